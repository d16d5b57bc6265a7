//! The real program of an older version beside this one, on one PostgreSQL and one RabbitMQ. `scripts/test-upgrade` runs it.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::history::{Order, outcomes, told};
use super::merchants::Merchants;
use super::{go_on, old_program, said};
use crate::postgres_server::Database;
use crate::support::process::Process;
use crate::support::{DeadLetters, MERCHANT, Page, Publisher, Service, Setup, wait_for};

/// Orders of each part of the test.
const ORDERS: usize = 200;
const AT_ONCE: usize = 20;
const OF_EACH_KIND: usize = 5;

/// An order that the older version does not accept.
const NEW_NUMBER: &str = "of*any|kind@shop";

/// An order that is charged twice, at the older version's time.
const CHARGED_BY_OLD: &str = "before-0";

struct Test {
    merchants: Merchants,
    publisher: Publisher,
    orders: Vec<String>,
}

impl Test {
    /// Orders whose pages wait on the nodes in turn: each is paid, shown and acknowledged. One event of three is a repetition.
    async fn load(&mut self, nodes: &[&Service], name: &str) {
        let orders: Vec<String> = (0..ORDERS).map(|n| format!("{name}-{n}")).collect();
        for (chunk, orders) in orders.chunks(AT_ONCE).enumerate() {
            let pages = orders.iter().enumerate().map(async |(n, order_id)| {
                let node = nodes[(chunk + n) % nodes.len()];
                let (mut page, _) = Page::subscribed(node, &Order::named(order_id).ticket()).await;
                for (id, status, second) in [("1", "processing", 1), ("2", "succeeded", 2), ("2", "succeeded", 2)] {
                    self.publisher.publish(&told(order_id, id, status, second)).await;
                }
                let payment = page.payment_with_status("succeeded").await;
                page.send(&json!({ "type": "ack", "order_id": order_id, "version": payment["version"] })).await;
                page.ping_pong().await;
            });
            join_all(pages).await;
        }
        self.merchants.are_told("payment.delivered", &orders).await;
        for order in &orders {
            same_on(nodes, &Order::named(order)).await;
        }
        self.orders.extend(orders);
    }

    /// Pages of the same orders on all nodes, for which nothing comes, and results that nobody acknowledges.
    async fn inquiries_and_escalations(&mut self, nodes: &[&Service], name: &str) {
        let named = |kind: &str| (0..OF_EACH_KIND).map(|n| format!("{name}-{kind}-{n}")).collect::<Vec<_>>();
        let (asked, unseen) = (named("asked"), named("unseen"));
        let mut pages = Vec::new();
        for node in nodes {
            for order_id in asked.iter().chain(&unseen) {
                pages.push(Page::subscribed(node, &Order::named(order_id).ticket()).await.0);
            }
        }
        for order_id in &unseen {
            self.publisher.publish(&told(order_id, "1", "succeeded", 1)).await;
        }
        self.merchants.are_told("payment.undelivered", &unseen).await;
        self.merchants.are_told("payment.inquiry", &asked).await;
    }

    /// What the older version, alone, does not accept or know of.
    async fn done_otherwise(&self, dead_letters: &mut DeadLetters, old: &Service) {
        let of_a_mapping = json!({ "mchOrderNo": "of-a-mapping", "state": 2 });
        for (event, reason) in
            [(told(NEW_NUMBER, "1", "succeeded", 1), "malformed_field"), (of_a_mapping, "missing_field")]
        {
            self.publisher.publish(&event).await;
            let dead = dead_letters.next().await;
            assert_eq!(dead.reason, reason, "{dead:?}");
        }
        let answer = old.get("/v1/payments/0", &Order::named(NEW_NUMBER).ticket()).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        let order = Order::named(CHARGED_BY_OLD);
        let before = outcomes(old, &order).await.len();
        self.publisher.publish(&charged_again(CHARGED_BY_OLD)).await;
        wait_for("the second charge is stored", async || (outcomes(old, &order).await.len() > before).then_some(()))
            .await;
    }

    fn has_conflict(&self, order_id: &str) -> bool {
        self.merchants.heard.iter().any(|m| (m.kind(), m.order_id()) == ("payment.conflict", order_id))
    }

    fn without_headers(&self) -> usize {
        self.merchants.heard.iter().filter(|message| message.headers.is_empty()).count()
    }
}

/// Checks that all nodes answer the same of an order: what pages wait for and the timeline, in which each version is once.
async fn same_on(nodes: &[&Service], order: &Order) {
    let mut last = Vec::new();
    // A node writes what it did for pages some milliseconds later.
    let same = wait_for(&format!("all nodes answer the same of {}", order.order_id), async || {
        let mut all = join_all(nodes.iter().map(|node| said::of(node, order))).await;
        let entries: Vec<_> = all.iter_mut().map(said::entries).collect();
        last = all.into_iter().zip(entries).map(|(said, entries)| (said["payment"].clone(), entries)).collect();
        let done = |(_, entries): &(Value, Vec<Value>)| entries.iter().any(|entry| entry["type"] == "acknowledged");
        (last.iter().all(|other| *other == last[0]) && done(&last[0])).then(|| last[0].clone())
    })
    .await;
    let (payment, entries) = same;
    let applied = entries.iter().filter(|entry| entry["outcome"] == "applied");
    let mut versions: Vec<u64> = applied.filter_map(|entry| entry["version"].as_u64()).collect();
    // Each node writes when it received an event, which need not be the order in which they were stored.
    versions.sort_unstable();
    assert_eq!((&payment["status"], payment["version"].as_u64()), (&json!("succeeded"), versions.last().copied()));
    assert!(versions.iter().zip(1..).all(|(version, n)| *version == n), "each version once: {versions:?}");
}

async fn revoked_on_the_other(one: &Service, other: &Service, order_id: &str) {
    let what = json!({ "merchant_id": MERCHANT, "order_id": order_id, "ttl_s": 600 });
    let answer = one.admin_post("/v1/revocations", &what).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    wait_for("the other node knows of it", async || {
        (other.payment(order_id, &Order::named(order_id).ticket(), "").await.status == 403).then_some(())
    })
    .await;
}

async fn ends(service: &mut Service) {
    service.terminate();
    assert!(service.wait_end().await.success());
}

fn charged_again(order_id: &str) -> Value {
    let mut second = told(order_id, "3", "succeeded", 3);
    second["provider_transaction_id"] = "4200-another".into();
    second
}

async fn applied(service: &Service) -> f64 {
    service.metric("payment_notifier_events_total", "applied").await
}

fn settings(setup: Setup, database: &Database, instance: &str) -> Setup {
    let setup = setup.set("STORE__URL", database.url()).set("INSTANCE", instance).set("AMQP__PREFETCH", 10);
    setup.set("ESCALATION__AFTER", "2s").set("INQUIRY__AFTER", "2s")
}

#[ignore = "needs the program of an older version"]
#[tokio::test]
async fn an_old_node_and_a_new_one_lose_nothing_tell_once_and_agree() {
    let (began, database) = (Instant::now(), Database::create().await);
    let setup = go_on::setup().await;
    let merchants = Merchants::of(setup.vhost()).await;
    let mut old = settings(setup.program(&old_program()), &database, "old").start().await;
    let publisher = Publisher::connect(old.vhost()).await;
    let mut dead_letters = DeadLetters::of(old.vhost()).await;
    let mut test = Test { merchants, publisher, orders: Vec::new() };
    test.load(&[&old], "before").await;
    test.done_otherwise(&mut dead_letters, &old).await;
    assert_eq!(test.without_headers(), test.merchants.heard.len(), "the old one gives messages no headers");

    let setup = go_on::setup_on(old.vhost().clone()).set("STORE__KEEP", "10m");
    let mut new = settings(setup, &database, "new").start().await;
    for node in [&old, &new] {
        node.metric_is("payment_notifier_live_connected", "", 1.0).await;
    }
    let before = applied(&old).await;
    test.load(&[&old, &new], "both").await;
    let shares = [applied(&old).await - before, applied(&new).await];
    assert!(shares.iter().all(|share| *share > 0.0), "both nodes take part: {shares:?}");
    test.inquiries_and_escalations(&[&old, &new], "both").await;
    revoked_on_the_other(&old, &new, "both-0").await;
    revoked_on_the_other(&new, &old, "both-1").await;

    // The new one alone stores what the old one does not know of, and then the old one is there again.
    ends(&mut old).await;
    let without = test.without_headers();
    test.load(&[&new], "new").await;
    assert_eq!(test.without_headers(), without, "the new one gives each message headers");
    test.publisher.publish(&charged_again("new-0")).await;
    test.merchants.is_told("payment.conflict", "new-0").await;
    test.publisher.publish(&told(NEW_NUMBER, "1", "succeeded", 1)).await;
    old.start_again().await;
    let answer = old.payment("new-0", &Order::named("new-0").ticket(), "").await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("succeeded")));
    test.load(&[&old, &new], "again").await;
    test.inquiries_and_escalations(&[&old, &new], "again").await;

    // The old one goes for good. What it has stored beside the new one is found by the provider's number, too.
    ends(&mut old).await;
    test.load(&[&new], "after").await;
    ends(&mut new).await;
    new.start_again().await;
    for order_id in &test.orders {
        wait_for(&format!("{order_id} is found by the provider's number"), async || {
            let found = new.admin_get(&format!("/v1/orders?transaction=4200-{order_id}")).await.json;
            (found["orders"][0]["order_id"] == order_id.as_str()).then_some(())
        })
        .await;
    }
    new.metric_is("payment_notifier_outbox_messages", "", 0.0).await;
    test.merchants.are_told_all().await;
    test.merchants.were_told_once();
    assert!(
        test.has_conflict("new-0") && !test.has_conflict(CHARGED_BY_OLD),
        "the old one does not tell of a second charge"
    );
    assert_eq!(new.vhost().ready("payment-notifier.results").await, 0);
    assert_eq!(new.vhost().ready("payment-notifier.dead-letters").await, 0);
    let (orders, told) = (test.orders.len(), test.merchants.heard.len());
    println!("{orders} orders, {told} messages; both at once stored {shares:?} changes; {:?}", began.elapsed());
}

#[ignore = "needs the program of an older version"]
#[tokio::test]
async fn an_old_node_puts_aside_the_probes_of_a_new_one_whose_topology_operators_own() {
    let database = Database::create().await;
    let old = settings(go_on::setup().await.program(&old_program()), &database, "old").start().await;
    let mut dead_letters = DeadLetters::of(old.vhost()).await;
    let setup = settings(go_on::setup_on(old.vhost().clone()), &database, "new");
    let _new = setup.set("AMQP__DECLARE", false).set("AMQP__PROBE_INTERVAL_S", 1).start().await;
    let dead = dead_letters.next().await;
    assert_eq!(dead.reason, "invalid_json", "{dead:?}");
}

#[ignore = "needs the program of an older version"]
#[tokio::test]
async fn an_old_program_refuses_a_file_that_this_one_has_opened_in_one_line() {
    let mut new = Setup::new().await.start().await;
    ends(&mut new).await;
    let store = new.setup.get("STORE__URL").unwrap().to_owned();
    let setup = Setup::beside(&new).program(&old_program()).set("STORE__URL", store);
    let mut refused = Process::start(setup.command(&["serve"]));
    let status = refused.wait().await;
    let text = refused.logs().text();
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(!status.success() && said.len() == 1 && said[0].contains("a newer one wrote it"), "{text}");
    println!("{}", said[0]);
}
