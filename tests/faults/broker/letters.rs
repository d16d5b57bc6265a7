//! Nowhere for bad messages to go: their exchange is missing. Good ones go on, and nothing is acknowledged that is nowhere.

use serde_json::json;

use crate::ledger::Ledger;
use crate::support::Setup;

/// Exchange and queue are of one name.
const DEAD_LETTERS: &str = "payment-notifier.dead-letters";

const RUNS: usize = 3;

#[tokio::test]
async fn dead_letter_exchange_missing_holds_back_bad_messages_alone() {
    // A look at the queues would make it anew.
    let service = Setup::new().await.set("AMQP__LAG_INTERVAL_S", 600).start().await;
    let ledger = Ledger::open("dead-letter-exchange-missing", &service).await;
    for _ in 0..RUNS {
        service.vhost().remove("exchanges", DEAD_LETTERS).await;
        service.wait_unready_for(&[DEAD_LETTERS]).await;
        ledger.flows().await;
        service.vhost().put("exchanges", DEAD_LETTERS, &json!({ "type": "fanout", "durable": true })).await;
        service.vhost().bind(DEAD_LETTERS, DEAD_LETTERS).await;
        service.wait_ready().await;
        ledger.flows().await;
    }
    assert!(service.metric("payment_notifier_dead_letter_failures_total", "").await >= 1.0);
    ledger.prove(&service, RUNS).await;
}
