//! Contract section 1, *Settling*: a message that cannot be understood is put aside with its reason, and costs nobody
//! else anything.

use lapin::BasicProperties;
use serde_json::{Value, json};

use crate::support::publisher::headers;
use crate::support::ticket::changed;
use crate::support::{DeadLetters, Publisher, Service, Setup, event, ticket, wait_for};

fn bent(changes: Value) -> Vec<u8> {
    changed(event("bad-1", "succeeded"), changes).to_string().into_bytes()
}

fn nested(levels: usize) -> Vec<u8> {
    let display = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    event("bad-1", "succeeded").to_string().replacen('{', &format!("{{\"display\":{display},"), 1).into_bytes()
}

/// Each with the reason that its dead letter must name, and with a word that the sentence must hold.
fn bad_bodies() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let twice = event("bad-1", "succeeded").to_string().replacen('{', r#"{"order_id":"bad-2","#, 1).into_bytes();
    let nest = json!({ "pattern": "payment.result", "data": event("bad-1", "succeeded") }).to_string().into_bytes();
    let structured = |data: Value| {
        json!({ "specversion": "1.0", "id": "x", "source": "/", "type": "t", "data": data }).to_string().into_bytes()
    };
    let invalid = "invalid_json";
    let (missing, malformed, unknown) = ("missing_field", "malformed_field", "unknown_status");
    vec![
        (b"".to_vec(), invalid, ""),
        (b"hunter2".to_vec(), invalid, ""),
        (b"{\"order_id\": ".to_vec(), invalid, ""),
        (b"{} {}".to_vec(), invalid, ""),
        (b"[]".to_vec(), invalid, ""),
        (b"null".to_vec(), invalid, ""),
        (b"\xac\xed\x00\x05sr\x00\x11java.lang.Integer".to_vec(), invalid, "Java"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec(), invalid, "UTF-8"),
        (b"{\"order_id\":\"\xff\"}".to_vec(), invalid, "UTF-8"),
        (vec![b' '; 64 * 1024 + 1], "too_large", "65537"),
        (vec![b'{'; 64 * 1024], "too_deep", "32"),
        (nested(32), "too_deep", "32"),
        (b"{}".to_vec(), missing, "merchant_id"),
        (bent(json!({ "merchant_id": null })), missing, "merchant_id"),
        (bent(json!({ "order_id": null })), missing, "order_id"),
        (bent(json!({ "order_id": "" })), missing, "order_id"),
        (bent(json!({ "status": null })), missing, "status"),
        (bent(json!({ "occurred_at": null })), missing, "occurred_at"),
        (nest, missing, "merchant_id"),
        (structured(json!({})), missing, "merchant_id"),
        (structured(json!("hunter2")), invalid, ""),
        (bent(json!({ "merchant_id": "a/b" })), malformed, "merchant_id"),
        (bent(json!({ "order_id": "x".repeat(65) })), malformed, "order_id"),
        (bent(json!({ "order_id": "订单" })), malformed, "order_id"),
        (bent(json!({ "order_id": 17 })), malformed, "order_id"),
        (bent(json!({ "event_id": "x".repeat(257) })), malformed, "event_id"),
        (bent(json!({ "occurred_at": "yesterday" })), malformed, "occurred_at"),
        (bent(json!({ "occurred_at": "2026-01-31 08:30:00" })), malformed, "occurred_at"),
        (bent(json!({ "occurred_at": 1_767_225_600 })), malformed, "occurred_at"),
        (bent(json!({ "status": "SUCCEEDED" })), unknown, "SUCCEEDED"),
        (bent(json!({ "status": "paid" })), unknown, "paid"),
        (bent(json!({ "status": 1 })), malformed, "status"),
        (bent(json!({ "amount": 1999 })), malformed, "amount"),
        (bent(json!({ "amount": { "value": 19.99, "currency": "CNY" } })), malformed, "amount.value"),
        (bent(json!({ "amount": { "value": -1, "currency": "CNY" } })), malformed, "amount.value"),
        (bent(json!({ "amount": { "value": "1999", "currency": "CNY" } })), malformed, "amount.value"),
        (bent(json!({ "amount": { "value": 1999, "currency": "yuan" } })), malformed, "amount.currency"),
        (bent(json!({ "amount": { "value": 1999 } })), missing, "amount.currency"),
        (bent(json!({ "refund": { "status": "maybe" } })), unknown, "refund.status"),
        (bent(json!({ "refund": {} })), missing, "refund.status"),
        (bent(json!({ "reason": "declined" })), malformed, "reason"),
        (bent(json!({ "provider": "x".repeat(65) })), malformed, "provider"),
        (bent(json!({ "display": "x".repeat(2048) })), malformed, "display"),
        (twice, "duplicate_field", "order_id"),
    ]
}

#[tokio::test]
async fn each_bad_message_is_put_aside_with_its_reason_while_the_next_good_one_arrives() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut dead_letters = DeadLetters::of(service.vhost()).await;
    let mut by_reason = std::collections::BTreeMap::<&str, f64>::new();
    let bodies = bad_bodies();
    for (n, (body, reason, word)) in bodies.iter().enumerate() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        publisher.publish_bytes(body, BasicProperties::default()).await;
        let good = format!("good-{n}");
        publisher.publish(&event(&good, "succeeded")).await;

        let letter = dead_letters.next().await;
        assert_eq!((&letter.body == body, letter.reason.as_str()), (true, *reason), "{shown}: {}", letter.error);
        assert!(letter.error.contains(word), "{shown}: {}", letter.error);
        assert!(letter.error.len() < 400 && !letter.error.contains('\n'), "a sentence: {}", letter.error);
        service.payment_with_status(&good, &ticket(good.as_str()), "succeeded").await;
        *by_reason.entry(reason).or_default() += 1.0;
    }
    for (reason, count) in by_reason {
        let label = format!("reason=\"{reason}\"");
        service.metric_is("payment_notifier_dead_letters_total", &label, count).await;
    }
    assert_eq!(service.metric("payment_notifier_redeliveries_total", "").await, 0.0);
    let unknown = service.payment("bad-1", &ticket("bad-1"), "").await;
    assert_eq!(unknown.json["version"], 0);
    wait_for("everything is settled", async || {
        let queue = service.vhost().get("queues", "payment-notifier.results").await;
        (queue["messages"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_keeps_the_message_as_it_was_sent() {
    let service = Service::start().await;
    let mut dead_letters = DeadLetters::of(service.vhost()).await;
    let properties = BasicProperties::default()
        .with_message_id("m-1".into())
        .with_content_type("text/plain".into())
        .with_headers(headers(&[("x-origin", "till-7"), ("x-reason", "of the publisher")]));
    Publisher::connect(service.vhost()).await.publish_bytes(b"\x00\xff\xfe", properties).await;
    let letter = dead_letters.next().await;
    assert_eq!((letter.body.as_slice(), letter.reason.as_str()), (b"\x00\xff\xfe".as_slice(), "invalid_json"));
    assert_eq!(letter.properties.message_id().as_ref().map(|id| id.as_str()), Some("m-1"));
    assert_eq!(letter.properties.content_type().as_ref().map(|kind| kind.as_str()), Some("text/plain"));
    let kept = letter.properties.headers().as_ref().unwrap().inner().contains_key("x-origin");
    assert!(kept, "{:?}", letter.properties);
    // It must outlive a restart of the broker.
    assert_eq!(*letter.properties.delivery_mode(), Some(2));
}

#[tokio::test]
async fn an_event_id_that_is_given_twice_to_different_events_is_put_aside() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut dead_letters = DeadLetters::of(service.vhost()).await;
    let first = event("reused-1", "processing");
    publisher.publish(&first).await;
    publisher.publish(&changed(first.clone(), json!({ "status": "succeeded" }))).await;
    assert_eq!(dead_letters.next().await.reason, "id_reused");
    let payment = service.payment_with_status("reused-1", &ticket("reused-1"), "processing").await;
    assert_eq!(payment["version"], 1);
}

#[tokio::test]
async fn a_flood_of_bad_messages_delays_a_good_one_and_loses_none() {
    const BAD: usize = 1000;
    let setup = Setup::new().await;
    let service = setup.set("AMQP__PREFETCH", 50).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let bad = (0..BAD).map(|_| publisher.publish_bytes(b"hunter2", BasicProperties::default()));
    futures_util::future::join_all(bad).await;
    publisher.publish(&event("after-the-flood", "succeeded")).await;
    service.payment_with_status("after-the-flood", &ticket("after-the-flood"), "succeeded").await;
    let mut dead_letters = DeadLetters::of(service.vhost()).await;
    for _ in 0..BAD {
        assert_eq!(dead_letters.next().await.reason, "invalid_json");
    }
    service.wait_ready().await;
}
