//! Messages that end the connection whenever they are delivered, whatever is mended: here by a proxy that breaks their
//! frames. The queue's delivery limit takes them away, and what is behind them waits no longer for many than for one.

use lapin::BasicProperties;

use crate::ledger::{Ledger, PATIENCE};
use crate::support::proxy::BREAKS;
use crate::support::{Proxy, Publisher, Setup, event, wait_up_to};

const RUNS: usize = 4;

#[tokio::test]
async fn messages_that_break_the_connection_are_taken_away_one_by_one_and_cost_no_other() {
    let proxy = Proxy::start();
    // Waits that grew would reach the longest with the second.
    let setup =
        Setup::new().await.through(&proxy).set("AMQP__RETRY_FIRST_MS", 10).set("AMQP__RETRY_LONGEST_MS", 60_000);
    let service = setup.start().await;
    let ledger = Ledger::open("broken-frames", &service).await;
    let publisher = Publisher::connect(service.vhost()).await;
    for run in 0..RUNS {
        let body = [BREAKS, run.to_string().as_bytes()].concat();
        publisher.publish_bytes(&body, BasicProperties::default()).await;
        ledger.is_put_aside(&body);
    }
    publisher.publish(&event("behind", "succeeded")).await;
    // Each is tried as often as the queue's limit says.
    wait_up_to(PATIENCE, "the broker takes them away", async || {
        let connects = service.metric("payment_notifier_broker_connects_total", "ok").await;
        (connects >= 20.0 * RUNS as f64).then_some(())
    })
    .await;
    ledger.flows().await;
    ledger.prove(&service, RUNS).await;
}
