//! A payment that cannot be read or written, under a running service and on both stores: its events wait, those of all
//! others go on, and once it is put right what waited is applied.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::ledger::row;
use crate::postgres_server::Database;
use crate::support::{Page, Publisher, Service, Setup, event, ticket, wait_for};

const ORDERS: usize = 12;
/// The one that is damaged.
const BAD: usize = 7;
const DAMAGE: &str = "UPDATE payments SET state = '!' || state WHERE order_id = 'row-7'";
const REPAIR: &str = "UPDATE payments SET state = substr(state, 2) WHERE order_id = 'row-7'";

/// Where the payments are.
enum Place {
    File(PathBuf),
    Server(Database),
}

impl Place {
    async fn execute(&self, sql: &str) {
        match self {
            Self::File(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Self::Server(database) => database.execute(sql).await,
        }
    }

    /// A rule of an operator's own, by which the row can be read and not written, and how it is taken back.
    fn rule(&self) -> (&'static str, &'static str) {
        match self {
            Self::File(_) => (
                "CREATE TRIGGER own BEFORE UPDATE ON payments WHEN old.order_id = 'row-7'
                 BEGIN SELECT RAISE(ABORT, 'a rule of its own'); END",
                "DROP TRIGGER own",
            ),
            Self::Server(_) => (
                "ALTER TABLE payments ADD CONSTRAINT own CHECK (order_id <> 'row-7' OR version < 2) NOT VALID",
                "ALTER TABLE payments DROP CONSTRAINT own",
            ),
        }
    }
}

fn order(n: usize) -> String {
    format!("row-{n}")
}

fn all_orders() -> String {
    ticket(json!((0..ORDERS).map(order).collect::<Vec<_>>()))
}

/// Publishes one event of each order, the bad one's first and last, and answers how long the slowest of the others took to
/// its page.
async fn others_go_on(service: &Service, publisher: &Publisher, pages: &mut [Page], status: &str) -> Duration {
    publisher.publish(&event(&order(BAD), status)).await;
    let began = Instant::now();
    for n in (0..ORDERS).filter(|n| *n != BAD) {
        publisher.publish(&event(&order(n), status)).await;
    }
    publisher.publish(&event(&order(BAD), status)).await;
    for page in pages {
        page.payment_with_status(status).await;
    }
    let slowest = began.elapsed();
    let ready = service.admin_get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    slowest
}

async fn held(service: &Service, events: f64) {
    wait_for(&format!("{events} events are held"), async || {
        (service.metric("payment_notifier_events_held", "").await == events).then_some(())
    })
    .await;
}

/// The lines that name the damaged payment.
fn named(service: &Service) -> usize {
    let lines = service.logs().json();
    let named =
        |line: &&serde_json::Value| line["level"] == "ERROR" && line["fields"]["order_id"] == order(BAD).as_str();
    let events_wait = |line: &&serde_json::Value| {
        line["fields"]["message"].as_str().is_some_and(|text| text.contains("its events wait"))
    };
    lines.iter().filter(named).filter(events_wait).count()
}

/// Damages the row in two ways, one after the other, and answers the longest pause of the others.
async fn damaged_and_put_right(place: &Place, service: &mut Service) -> Duration {
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = all_orders();
    for n in 0..ORDERS {
        publisher.publish(&event(&order(n), "pending")).await;
    }
    let mut pages = Vec::new();
    for n in 0..ORDERS {
        service.payment_with_status(&order(n), &ticket, "pending").await;
        if n != BAD {
            pages.push(Page::subscribed(service, &crate::support::ticket(order(n).as_str())).await.0);
        }
    }
    place.execute(DAMAGE).await;
    let mut longest = others_go_on(service, &publisher, &mut pages, "processing").await;
    held(service, 2.0).await;
    service.metric_is("payment_notifier_damaged_payments_total", "during=\"event\"", 1.0).await;
    wait_for("it is named", async || (named(service) > 0).then_some(())).await;
    assert_eq!(named(service), 1, "once, however often it is tried");
    service.payment(&order(BAD), &ticket, "").await.assert_problem(503, "unavailable");
    // A socket for all of them is one for the others.
    let mut all = Page::open(service).await;
    all.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
    for n in 0..ORDERS {
        let frame = all.frame().await;
        let answer = if n == BAD { "error" } else { "subscribed" };
        assert_eq!((frame["type"].as_str(), frame["order_id"].as_str()), (Some(answer), Some(&*order(n))), "{frame}");
        assert!(n != BAD || frame["code"] == "unavailable", "{frame}");
    }
    place.execute(REPAIR).await;
    service.payment_with_status(&order(BAD), &ticket, "processing").await;
    held(service, 0.0).await;

    let (refuse, allow) = place.rule();
    place.execute(refuse).await;
    longest = longest.max(others_go_on(service, &publisher, &mut pages, "authorized").await);
    // What was held of the damaged one has reached this socket too.
    let (mut heard, mut repaired) = (Vec::new(), false);
    while heard.len() < ORDERS - 1 {
        let payment = all.payment().await;
        match payment["status"].as_str() {
            Some("authorized") => heard.push(payment["order_id"].as_str().unwrap().to_owned()),
            _ => repaired |= payment["order_id"] == order(BAD).as_str() && payment["status"] == "processing",
        }
    }
    heard.sort_unstable();
    heard.dedup();
    assert!(repaired && heard.len() == ORDERS - 1 && !heard.contains(&order(BAD)), "{repaired} {heard:?}");
    held(service, 2.0).await;
    let before = service.payment(&order(BAD), &ticket, "").await;
    assert_eq!(before.json["status"], "processing", "it can be read: {}", before.text);

    // What was held is delivered again, and held again.
    service.kill9().await;
    service.start_again().await;
    held(service, 2.0).await;
    place.execute(allow).await;
    service.payment_with_status(&order(BAD), &ticket, "authorized").await;
    held(service, 0.0).await;
    let letters = service.vhost().get("queues", "payment-notifier.dead-letters").await;
    assert_eq!(letters["messages"].as_u64().unwrap_or(0), 0, "{letters}");
    longest
}

#[tokio::test]
async fn one_payment_that_is_damaged_in_a_file_holds_up_no_other() {
    let mut service = Setup::new().await.start().await;
    let place = Place::File(service.database());
    let pause = damaged_and_put_right(&place, &mut service).await;
    row(&format!("payment-damaged-sqlite runs=2 lost=0 pause_ms={}", pause.as_millis()));
}

#[tokio::test]
async fn one_payment_that_is_damaged_in_postgresql_holds_up_no_other() {
    let database = Database::create().await;
    let mut service = Setup::new().await.set("STORE__URL", database.url()).start().await;
    let pause = damaged_and_put_right(&Place::Server(database), &mut service).await;
    row(&format!("payment-damaged-postgresql runs=2 lost=0 pause_ms={}", pause.as_millis()));
}

#[tokio::test]
async fn as_many_events_of_a_damaged_payment_as_the_prefetch_are_a_fault_of_the_node_until_it_is_put_right() {
    let service = Setup::new().await.set("AMQP__PREFETCH", 4).start().await;
    let place = Place::File(service.database());
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = all_orders();
    publisher.publish(&event(&order(BAD), "pending")).await;
    service.payment_with_status(&order(BAD), &ticket, "pending").await;
    place.execute(DAMAGE).await;
    for _ in 0..6 {
        publisher.publish(&event(&order(BAD), "processing")).await;
    }
    service.wait_unready_for(&["consumer", "4 events of damaged payments fill the whole prefetch"]).await;
    publisher.publish(&event(&order(0), "succeeded")).await;
    place.execute(REPAIR).await;
    service.payment_with_status(&order(0), &ticket, "succeeded").await;
    service.payment_with_status(&order(BAD), &ticket, "processing").await;
    service.wait_ready().await;
    held(&service, 0.0).await;
    row("payment-damaged-as-many-as-the-prefetch runs=1 lost=0");
}
