//! Deliveries that nobody acknowledges in time: RabbitMQ closes the channel with 406.

use super::node::Node;
use crate::ledger::{Ledger, PATIENCE};
use crate::support::wait_up_to;

/// 5 s instead of half an hour, looked at every second instead of every minute.
const IMPATIENT: &str = "[{rabbit, [{consumer_timeout, 5000}, {channel_tick_interval, 1000}]}].\n";

const RUNS: usize = 2;

#[tokio::test]
async fn consumer_timeout_closes_the_channel_by_406_and_all_is_delivered_again() {
    let node = Node::start(IMPATIENT).await;
    let service = node.setup().await.start().await;
    let ledger = Ledger::open("consumer-timeout-406", &service).await;
    let closed = || service.logs().lines().iter().filter(|line| line.contains("delivery acknowledgement")).count();
    for run in 0..RUNS {
        let before = closed();
        let lock = rusqlite::Connection::open(service.database()).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let what = format!("the broker closes the channel, run {run}");
        wait_up_to(PATIENCE, &what, async || (closed() > before).then_some(())).await;
        service.wait_unready_for(&["store"]).await;
        lock.execute_batch("ROLLBACK").unwrap();
        ledger.flows().await;
    }
    assert!(service.metric("payment_notifier_redeliveries_total", "").await > 0.0);
    ledger.prove(&service, RUNS).await;
}
