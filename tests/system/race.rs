//! The race between an event and its page: published before, during and after the subscribe, three thousand times on
//! each transport, and nobody waits in vain.
//!
//! Each order gets two events in one breath. A page may miss the first, never the last, and never goes back.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{EventStream, Page, Publisher, Service, event, ticket};

const ROUNDS: u64 = 3000;
/// Pages at one time. Enough to keep the service busy, so that commits hold several events and reads wait their turn.
const AT_ONCE: usize = 24;
/// The publisher begins at most this long before or after the page does.
const SPREAD_MS: u64 = 40;

/// When the two events were sent and confirmed, and when the page began and had its result.
struct Times {
    sent: Instant,
    confirmed: Instant,
    begun: Instant,
    shown: Instant,
}

/// `wait` is a page from its first byte to the last payment that it hears.
async fn race<F>(transport: &str, service: &Service, wait: impl Fn(String, String) -> F)
where
    F: Future<Output = ()>,
{
    let publisher = Publisher::connect(service.vhost()).await;
    let (publisher, wait) = (&publisher, &wait);
    let rounds = (0..ROUNDS).map(|round| async move {
        // A third of them surely before, a third surely after, and the others anywhere: the same in every run.
        let offset_ms = match round % 3 {
            0 => 0,
            1 => 2 * SPREAD_MS,
            _ => StdRng::seed_from_u64(round).random_range(0..=2 * SPREAD_MS),
        };
        let confirmed_first = round % 3 == 0;
        let order_id = format!("{transport}-{round}");
        let ticket = ticket(order_id.as_str());
        let (page_after, publish_after) = (SPREAD_MS.saturating_sub(offset_ms), offset_ms.saturating_sub(SPREAD_MS));
        let publishing = async {
            tokio::time::sleep(Duration::from_millis(publish_after)).await;
            let (first, last) = (event(&order_id, "processing"), event(&order_id, "succeeded"));
            let sent = Instant::now();
            tokio::join!(publisher.publish(&first), publisher.publish(&last));
            (sent, Instant::now())
        };
        let page = async {
            tokio::time::sleep(Duration::from_millis(page_after)).await;
            let begun = Instant::now();
            wait(order_id.clone(), ticket).await;
            (begun, Instant::now())
        };
        let ((sent, confirmed), (begun, shown)) =
            if confirmed_first { (publishing.await, page.await) } else { tokio::join!(publishing, page) };
        Times { sent, confirmed, begun, shown }
    });
    let times: Vec<Times> = stream::iter(rounds).buffer_unordered(AT_ONCE).collect().await;
    let before = times.iter().filter(|t| t.confirmed <= t.begun).count();
    let after = times.iter().filter(|t| t.begun + Duration::from_millis(SPREAD_MS / 2) <= t.sent).count();
    let during = times.len() - before - after;
    let slowest = times.iter().map(|t| t.shown.saturating_duration_since(t.confirmed.max(t.begun))).max();
    println!("{transport}: published before {before}, during {during}, after {after}; the slowest page {slowest:?}");
    // Otherwise the offsets have missed the race that they are for.
    assert!([before, during, after].into_iter().all(|count| count >= 100), "{before} {during} {after}");
}

/// Checks that versions only grow; true once the last one is there.
fn is_last(payment: &Value, version: &mut u64) -> bool {
    let next = payment["version"].as_u64().unwrap_or(0);
    assert!(next > *version, "{payment} after version {version}");
    *version = next;
    if payment["final"] == json!(true) {
        // Also where the broker delivered the two the other way round.
        assert_eq!(payment["status"], "succeeded", "{payment}");
    }
    payment["final"] == json!(true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_a_websocket() {
    let service = &Service::start().await;
    race("ws", service, |_, ticket| async move {
        let (mut page, snapshot) = Page::subscribed(service, &ticket).await;
        let mut version = 0;
        if snapshot.is_null() || !is_last(&snapshot, &mut version) {
            while !is_last(&page.payment().await, &mut version) {}
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_an_event_stream() {
    let service = &Service::start().await;
    race("sse", service, |order_id, ticket| async move {
        let mut stream = EventStream::open(service, &order_id, &ticket).await;
        let mut version = 0;
        loop {
            let payment = stream.payment().await;
            if payment["version"] != 0 && is_last(&payment, &mut version) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_a_long_poll() {
    let service = &Service::start().await;
    race("long", service, |order_id, ticket| async move {
        let mut version = 0;
        loop {
            // Longer than the test's own deadline: a page that is missed here is a failure, not a late success.
            let query = format!("?after={version}&wait=50");
            let answer = service.payment(&order_id, &ticket, &query).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            if is_last(&answer.json, &mut version) {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_a_poll() {
    let service = &Service::start().await;
    race("poll", service, |order_id, ticket| async move {
        service.payment_with_status(&order_id, &ticket, "succeeded").await;
    })
    .await;
}
