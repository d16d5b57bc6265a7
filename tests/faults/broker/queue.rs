//! The queue of results is deleted and made again. What a broker confirmed and then deletes is gone, so nothing is in it at
//! that moment; what is published after it is made again arrives.

use std::time::{Duration, Instant};

use crate::ledger::{PATIENCE, Publishing, row};
use crate::support::{Page, Service, event, ticket, wait_for, wait_up_to, within};

const QUEUE: &str = "payment-notifier.results";
const ORDER: &str = "queue-deleted";
const RUNS: u64 = 5;

#[tokio::test]
async fn queue_deleted_and_made_again_is_consumed_again() {
    let mut service = Service::start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket(ORDER)).await;
    let mut publishing = Publishing::new(vec![service.vhost().amqp_url()]);
    let mut longest = Duration::ZERO;
    let connects = async || service.metric("payment_notifier_broker_connects_total", "ok").await;
    for version in 1..=RUNS {
        wait_for("nothing is in the queue", async || {
            (service.metric("payment_notifier_deliveries_in_flight", "").await == 0.0).then_some(())
        })
        .await;
        let (before, began) = (connects().await, Instant::now());
        service.vhost().remove("queues", QUEUE).await;
        let mut event = event(ORDER, "processing");
        event["event_id"] = format!("{ORDER}-{version}").into();
        event["display"] = serde_json::json!({ "n": version });
        event["occurred_at"] = crate::support::events::second(i64::try_from(version).unwrap()).into();
        // Returned as unroutable, and published again, while there is no queue.
        within("it is confirmed", publishing.publish(event.to_string().as_bytes())).await;
        assert_eq!(page.payment().await["version"], version);
        longest = longest.max(began.elapsed());
        wait_up_to(PATIENCE, "the queue's end was noticed", async || (connects().await > before).then_some(())).await;
        service.wait_ready().await;
    }
    // Each end is told for what it is: a broker's cancel as that, and one that was asked for as none.
    let told =
        |service: &Service, words: &str| service.logs().lines().iter().filter(|line| line.contains(words)).count();
    let is_told = async || (told(&service, "the broker cancelled the subscription") > 0).then_some(());
    wait_for("the log tells of the cancel", is_told).await;
    let ends = told(&service, "consumer ended");
    service.terminate();
    assert!(service.wait_end().await.success());
    assert_eq!(told(&service, "consumer ended"), ends);
    row(&format!("queue-deleted runs={RUNS} lost=0 pause_ms={} confirmed={RUNS}", longest.as_millis()));
}
