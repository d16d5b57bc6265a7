//! PgBouncer before the database: by session all is as without it, otherwise it is found out and said.

use serde_json::json;

use crate::postgres_server::Database;
use crate::support::pgbouncer::PgBouncer;
use crate::support::process::Process;
use crate::support::{Page, Publisher, Setup, event, ticket, wait_for};

const READS: usize = 300;
const REFUSED: &str = "set pool_mode = session, or point store.url at PostgreSQL itself";

async fn setup(pooler: &PgBouncer) -> Setup {
    Setup::new().await.set("STORE__URL", pooler.url()).set("STORE__POSTGRES_CONNECTIONS_MAX", 4)
}

#[tokio::test]
async fn pooling_by_session_is_as_good_as_none() {
    // With as many places as the node has connections there is none left to look at the pooler with.
    for places in [20, 4] {
        let database = Database::create().await;
        let settings = format!("pool_mode = session\ndefault_pool_size = {places}");
        let pooler = PgBouncer::start(&database.url(), &settings).await;
        let service = setup(&pooler).await.start().await;
        let publisher = Publisher::connect(service.vhost()).await;
        let (mut page, _) = Page::subscribed(&service, &ticket("pooled")).await;
        publisher.publish(&event("pooled", "processing")).await;
        assert_eq!(page.payment().await["status"], "processing");
        let ticket = ticket("pooled");
        let reads = futures_util::future::join_all((0..READS).map(|_| service.payment("pooled", &ticket, "")));
        for answer in reads.await {
            assert_eq!((answer.status, &answer.json["version"]), (200, &json!(1)), "{}", answer.text);
        }
        publisher.publish(&event("pooled", "succeeded")).await;
        assert_eq!(page.payment().await["status"], "succeeded");
        assert_eq!(service.admin_get("/readyz").await.status, 200);
    }
}

#[tokio::test]
async fn pooling_by_transaction_or_statement_is_refused_in_one_line_that_says_what_to_do() {
    let as_usual = "ignore_startup_parameters = extra_float_digits,options";
    for settings in [
        "pool_mode = transaction".to_owned(),
        format!("pool_mode = transaction\n{as_usual}"),
        // Sessions that lie ready, taken in turn: one connection may come upon its own by chance.
        "pool_mode = transaction\nmin_pool_size = 2\nserver_round_robin = 1".to_owned(),
        "pool_mode = transaction\nmin_pool_size = 5\nserver_round_robin = 1".to_owned(),
        "pool_mode = transaction\ndefault_pool_size = 1".to_owned(),
        "pool_mode = transaction\nserver_reset_query_always = 1".to_owned(),
        "pool_mode = statement".to_owned(),
    ] {
        let database = Database::create().await;
        let pooler = PgBouncer::start(&database.url(), &settings).await;
        let mut process = Process::start(setup(&pooler).await.command(&["serve"]));
        assert!(!process.wait().await.success(), "{settings}");
        let told: Vec<_> = process.logs().lines().into_iter().filter(|line| line.contains(REFUSED)).collect();
        assert_eq!(told.len(), 1, "{settings}: {}", process.logs().text());
        let password = database.url().split([':', '@']).nth(2).unwrap().to_owned();
        assert!(!process.logs().text().contains(&password), "no password is logged");
    }
}

#[tokio::test]
async fn a_pooler_that_changes_under_a_running_service_is_found_out_and_used_again_when_it_is_put_right() {
    let database = Database::create().await;
    let mut pooler = PgBouncer::start(&database.url(), "pool_mode = session").await;
    let service = setup(&pooler).await.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    pooler.start_again("pool_mode = transaction").await;
    wait_for("readiness says so", async || {
        let answer = service.admin_get("/readyz").await;
        (answer.status == 503 && answer.text.contains(REFUSED)).then_some(())
    })
    .await;
    publisher.publish(&event("waits", "succeeded")).await;
    pooler.start_again("pool_mode = session").await;
    service.wait_ready().await;
    service.payment_with_status("waits", &ticket("waits"), "succeeded").await;
    assert_eq!(service.metric("payment_notifier_dead_letters_total", "").await, 0.0);
}
