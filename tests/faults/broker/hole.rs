//! One bad message that has nowhere to go, and very many good ones behind it: each is acknowledged singly, and none is held
//! for that.

use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use lapin::BasicProperties;

use crate::ledger::{PATIENCE, row};
use crate::support::{Publisher, Setup, event, wait_up_to};

const DEAD_LETTERS: &str = "payment-notifier.dead-letters";
const EVENTS: usize = 15_000;
/// The prefetch by default, and as many whose acknowledgements are being sent: the broker delivers in their place before it is
/// known here that they are gone.
const HELD_MAX: f64 = 600.0;
/// What the store's cache and an allocator may take beside.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

#[tokio::test]
async fn what_is_held_behind_a_message_that_cannot_leave_does_not_grow() {
    // With each look at the queues the exchange would be made again.
    let service = Setup::new().await.set("AMQP__LAG_INTERVAL_S", 600).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    service.vhost().remove("exchanges", DEAD_LETTERS).await;
    publisher.publish_bytes(b"nowhere to go", BasicProperties::default()).await;
    let publisher = &publisher;
    let round = async |round: usize| {
        let began = Instant::now();
        let events = round * EVENTS..(round + 1) * EVENTS;
        let all =
            stream::iter(events).map(async |n| publisher.publish(&event(&format!("hole-{n}"), "succeeded")).await);
        all.buffer_unordered(64).collect::<Vec<()>>().await;
        wait_up_to(PATIENCE, "all are stored, and acknowledged but one", async || {
            let stored = service.metric("payment_notifier_events_total", "applied").await;
            let held = service.metric("payment_notifier_deliveries_unacknowledged", "").await;
            assert!(held <= HELD_MAX, "{held}");
            (stored >= ((round + 1) * EVENTS) as f64 && held == 1.0).then_some(())
        })
        .await;
        (began.elapsed().as_millis(), service.status("VmRSS"))
    };
    let (first_ms, before) = round(0).await;
    let (second_ms, after) = round(1).await;
    assert!(after <= before + GROWTH_KIB_MAX, "{after} KiB, from {before}");
    let grown_kib = after.saturating_sub(before);
    row(&format!("hole runs=1 lost=0 first_ms={first_ms} second_ms={second_ms} grown_kib={grown_kib}"));
}
