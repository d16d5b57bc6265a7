//! The race between an event and its page: published before, during and after the subscribe, a thousand times on each
//! transport, and nobody waits in vain.
//!
//! Each order gets two events in one breath. A page may miss the first, never the last, and never goes back.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{EventStream, Page, Publisher, Service, event, ticket};

const ROUNDS: u64 = 1000;
/// Pages at one time. Enough to keep the service busy, so that commits hold several events and reads wait their turn.
const AT_ONCE: usize = 24;
/// The publisher begins this long before or after the page does. A page takes some milliseconds to subscribe, so that
/// the ends of the range are surely before and surely after, and its middle is anywhere within.
const SPREAD_MS: u64 = 40;

/// When the page had its result, and whether that was its snapshot or came later.
struct Outcome {
    by_snapshot: bool,
    after_publish: Duration,
}

async fn race<F>(transport: &str, service: &Service, wait: impl Fn(String, String) -> F)
where
    F: Future<Output = bool>,
{
    let publisher = Publisher::connect(service.vhost()).await;
    let (publisher, wait) = (&publisher, &wait);
    let rounds = (0..ROUNDS).map(|round| async move {
        // The same offsets in every run.
        let offset_ms = StdRng::seed_from_u64(round).random_range(0..=2 * SPREAD_MS);
        let order_id = format!("{transport}-{round}");
        let ticket = ticket(order_id.as_str());
        let (page_after, publish_after) = (SPREAD_MS.saturating_sub(offset_ms), offset_ms.saturating_sub(SPREAD_MS));
        let publishing = async {
            tokio::time::sleep(Duration::from_millis(publish_after)).await;
            let (first, last) = (event(&order_id, "processing"), event(&order_id, "succeeded"));
            tokio::join!(publisher.publish(&first), publisher.publish(&last));
            Instant::now()
        };
        let page = async {
            tokio::time::sleep(Duration::from_millis(page_after)).await;
            let by_snapshot = wait(order_id.clone(), ticket).await;
            (by_snapshot, Instant::now())
        };
        let (published, (by_snapshot, shown)) = tokio::join!(publishing, page);
        Outcome { by_snapshot, after_publish: shown.saturating_duration_since(published) }
    });
    let outcomes: Vec<Outcome> = stream::iter(rounds).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(outcomes.len() as u64, ROUNDS);
    let before = outcomes.iter().filter(|outcome| outcome.by_snapshot).count();
    let slowest = outcomes.iter().map(|outcome| outcome.after_publish).max().unwrap_or_default();
    println!("{transport}: {before} of {ROUNDS} by snapshot, the slowest {slowest:?} after its publish");
    // Otherwise the offsets have missed the race that they are for.
    assert!(before >= 20 && before as u64 <= ROUNDS - 20, "{transport}: {before} of {ROUNDS} by snapshot");
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
        if !snapshot.is_null() && is_last(&snapshot, &mut version) {
            return true;
        }
        while !is_last(&page.payment().await, &mut version) {}
        false
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_an_event_stream() {
    let service = &Service::start().await;
    race("sse", service, |order_id, ticket| async move {
        let mut stream = EventStream::open(service, &order_id, &ticket).await;
        let (mut version, mut events) = (0, 0);
        loop {
            let payment = stream.payment().await;
            events += 1;
            if payment["version"] != 0 && is_last(&payment, &mut version) {
                return events == 1;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_a_long_poll() {
    let service = &Service::start().await;
    race("long", service, |order_id, ticket| async move {
        let (mut version, mut answers) = (0, 0);
        loop {
            // Longer than the test's own deadline: a page that is missed here is a failure, not a late success.
            let query = format!("?after={version}&wait=50");
            let answer = service.payment(&order_id, &ticket, &query).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            answers += 1;
            if is_last(&answer.json, &mut version) {
                return answers == 1;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_in_vain_on_a_poll() {
    let service = &Service::start().await;
    race("poll", service, |order_id, ticket| async move {
        let answer = service.payment(&order_id, &ticket, "").await;
        if answer.json["final"] == json!(true) {
            return true;
        }
        service.payment_with_status(&order_id, &ticket, "succeeded").await;
        false
    })
    .await;
}
