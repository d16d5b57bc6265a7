//! Two nodes on one PostgreSQL, whose COMMIT is done and not answered: what may have happened counts as if it had.

use std::time::{Duration, Instant};

use crate::live::Nodes;
use crate::postgres_proxy::{Loss, PostgresProxy};
use crate::support::{Page, Publisher, Told, event, ticket, wait_for, within};

const RUNS: usize = 3;

/// The node that stores reaches the database by a proxy.
async fn nodes() -> (Nodes, PostgresProxy) {
    let mut proxy = None;
    let through = |setup: crate::support::Setup| {
        let url = setup.get("STORE__URL").unwrap().to_owned();
        let before = proxy.insert(PostgresProxy::start(&url));
        let url = before.url(&url);
        setup.set("STORE__URL", url)
    };
    let nodes = Nodes::start_with(through, |setup| setup).await;
    (nodes, proxy.unwrap())
}

#[tokio::test]
async fn what_was_stored_by_a_commit_that_was_not_answered_reaches_the_pages_of_another_node_at_once() {
    let (nodes, proxy) = nodes().await;
    let publisher = Publisher::connect(nodes.consumes.vhost()).await;
    // They stay, since a hint of an order that nobody waits for is not looked at.
    let (mut longest, mut pages) = (Duration::ZERO, Vec::new());
    for run in 0..RUNS {
        let order = format!("unanswered-{run}");
        let (mut page, _) = Page::subscribed(&nodes.waits, &ticket(order.as_str())).await;
        proxy.lose_commit_after(&order, Loss::Cut);
        let began = Instant::now();
        publisher.publish(&event(&order, "succeeded")).await;
        let told = within("the page is told", page.payment()).await;
        assert_eq!(told["status"], "succeeded");
        longest = longest.max(began.elapsed());
        assert_eq!(proxy.lost(), run + 1);
        pages.push(page);
    }
    // A page may be told by a look at the store that a gap has asked for, before the hint is there.
    let hits = async || nodes.waits.metric("payment_notifier_live_hits_total", "").await;
    wait_for("each came by a hint", async || (hits().await == 3.0).then_some(())).await;
    nodes.consumes.metric_is("payment_notifier_events_total", "applied", 3.0).await;
    assert_eq!(nodes.consumes.metric("payment_notifier_events_total", "duplicate").await, 0.0);
    println!("fault-row: unanswered-commit runs={RUNS} lost=0 pause_ms={}", longest.as_millis());
}

#[tokio::test]
async fn a_conflict_that_was_stored_by_a_commit_that_was_not_answered_is_counted_and_published_once() {
    let (nodes, proxy) = nodes().await;
    let publisher = Publisher::connect(nodes.consumes.vhost()).await;
    let mut told = Told::of(nodes.consumes.vhost(), "payment.conflict").await;
    let counted = async |name: &str| nodes.consumes.metric(&format!("payment_notifier_{name}"), "").await;
    publisher.publish(&event("contradicted", "succeeded")).await;
    wait_for("it is stored", async || (counted("events_total").await == 1.0).then_some(())).await;
    proxy.lose_commit_after("contradicted", Loss::Cut);
    publisher.publish(&event("contradicted", "failed")).await;
    let first = told.next().await;
    assert_eq!((&first["data"]["order_id"], proxy.lost()), (&"contradicted".into(), 1));
    wait_for("it is counted", async || (counted("events_total").await == 2.0).then_some(())).await;
    assert_eq!(counted("conflicts_total").await, 1.0);
    let outcome = async |outcome| nodes.consumes.metric("payment_notifier_events_total", outcome).await;
    assert_eq!((outcome("stale").await, outcome("duplicate").await), (1.0, 0.0));
    // What is told next is of the next event, so that the first was told once.
    publisher.publish(&event("contradicted", "canceled")).await;
    assert_ne!(told.next().await["id"], first["id"]);
}
