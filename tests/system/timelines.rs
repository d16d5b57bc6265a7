//! What pages did and what became of bad messages stands in their order's timeline.

use payment_notifier::payment::{Key, MerchantId, OrderId};
use payment_notifier::store::{EscalatedOrders, Escalation, Options, PaymentStore, Sqlite, Timeline};
use serde_json::{Value, json};

use crate::support::{DeadLetters, EventStream, MERCHANT, Page, Publisher, Service, Setup, event, ticket, wait_for};

/// Ends the service and reads what it has written of an order.
async fn timeline(mut service: Service, order_id: &str) -> Timeline {
    service.terminate();
    assert!(service.wait_end().await.success());
    let url = format!("sqlite://{}", service.database().display());
    let options = Options {
        batch_events_max: 1,
        readers: 1,
        reads_waiting_max: 1,
        cache_kib: 1024,
        instance: "reader".to_owned(),
        timeline: true,
        escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Off },
    };
    let store = Sqlite::open(&url, options).unwrap();
    let key = Key::new(MerchantId::new(MERCHANT).unwrap(), OrderId::new(order_id).unwrap());
    let timeline = store.timeline(&key).await.unwrap();
    store.close().await;
    timeline
}

/// The entries of one type.
fn of(timeline: &Timeline, kind: &str) -> Vec<Value> {
    let entries = timeline.entries.iter().filter(|entry| entry.what["type"] == kind);
    entries.map(|entry| Value::Object(entry.what.clone())).collect()
}

async fn everything(service: &Service) {
    let publisher = Publisher::connect(service.vhost()).await;
    let good = ticket("s-1");
    let (mut socket, _) = Page::subscribed(service, &good).await;
    let mut stream = EventStream::open(service, "s-1", &good).await;
    stream.payment().await;
    wait_for("both wait", async || (service.metric("payment_notifier_pages_waiting", "").await == 2.0).then_some(()))
        .await;
    let first = event("s-1", "succeeded");
    publisher.publish(&first).await;
    socket.payment_with_status("succeeded").await;
    stream.payment().await;
    let (mut late, payment) = Page::subscribed(service, &good).await;
    assert_eq!(payment["version"], 1);
    late.send(&json!({ "type": "ack", "order_id": "s-1", "version": 1 })).await;
    late.ping_pong().await;
    for _ in 0..5 {
        service.payment("s-1", &good, "").await;
    }
    let mut other = first.clone();
    other["status"] = "failed".into();
    publisher.publish(&other).await;
    let mut bad = event("s-1", "succeeded");
    bad["amount"] = 7.into();
    publisher.publish(&bad).await;
    let mut letters = DeadLetters::of(service.vhost()).await;
    let reasons = [letters.next().await.reason, letters.next().await.reason];
    assert!(
        reasons.contains(&"id_reused".to_owned()) && reasons.contains(&"malformed_field".to_owned()),
        "{reasons:?}"
    );
    wait_for("both dead letters are confirmed", async || {
        (service.metric("payment_notifier_dead_letters_total", "").await == 2.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_timeline_shows_who_waited_what_each_was_shown_and_what_was_put_aside() {
    let service = Setup::new().await.start().await;
    everything(&service).await;
    let timeline = timeline(service, "s-1").await;
    assert_eq!(timeline.acked_version, 1);
    let transports = |kind: &str| {
        let mut transports: Vec<_> = of(&timeline, kind).iter().map(|entry| entry["transport"].to_string()).collect();
        transports.sort();
        transports
    };
    let pushed = of(&timeline, "pushed");
    // Two waited and were given it as it came; one came later, and of five polls one is worth telling.
    assert_eq!(transports("pushed"), ["\"poll\"", "\"sse\"", "\"websocket\"", "\"websocket\""], "{pushed:?}");
    assert_eq!(pushed.iter().filter(|entry| entry["ms"].is_u64()).count(), 2, "{pushed:?}");
    assert!(pushed.iter().all(|entry| entry["version"] == 1 && entry["connection"].as_u64() >= Some(1)));
    assert!(!of(&timeline, "watched").is_empty());
    let acknowledged = of(&timeline, "acknowledged");
    assert_eq!(acknowledged.len(), 1);
    assert!(pushed.iter().any(|entry| entry["connection"] == acknowledged[0]["connection"]), "{acknowledged:?}");
    let mut letters: Vec<_> = of(&timeline, "dead_lettered").iter().map(|entry| entry["reason"].to_string()).collect();
    letters.sort();
    assert_eq!(letters, ["\"id_reused\"", "\"malformed_field\""]);
}

#[tokio::test]
async fn with_timelines_off_who_waited_is_kept_where_escalations_need_it_and_nothing_else() {
    for (orders, expected) in [("watched", true), ("all", false)] {
        let setup = Setup::new().await.set("TIMELINE__ENABLED", "false").set("ESCALATION__ORDERS", orders);
        let service = setup.start().await;
        everything(&service).await;
        let timeline = timeline(service, "s-1").await;
        assert_eq!(timeline.acked_version, 1);
        let watched = of(&timeline, "watched").len();
        assert_eq!((watched, timeline.entries.len()), (usize::from(expected), watched), "{:?}", timeline.entries);
    }
}
