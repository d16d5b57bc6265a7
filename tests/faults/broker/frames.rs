//! Messages that cannot be put aside as they came: their headers fit no frame beside ours, or the broker takes less of a body
//! than it took before. Each is put aside all the same, and none is in anybody's way.

use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use reqwest::Method;
use ring::hmac;
use serde_json::json;

use super::node::Node;
use crate::ledger::row;
use crate::support::ticket::now_s;
use crate::support::{Answer, MERCHANT, Publisher, Service, Setup, Vhost, event, ticket, wait_for};

const DEAD_LETTERS: &str = "payment-notifier.dead-letters";
const CONFIG: &str =
    "[[callbacks.stripe]]\nmerchant_id = \"shop\"\nsigning_secrets = [\"whsec_test_only_0123456789\"]\n";

/// What a publisher's connection takes of one header, beside its name, with frames of 131,072 bytes.
const VALUE_BYTES_MAX: usize = 130_850;
/// Names that dead letters use themselves.
const OWN: [&str; 12] = [
    "x-original-exchange",
    "x-original-routing-key",
    "x-original-user-id",
    "x-original-expiration",
    "x-reason",
    "x-error",
    "x-reason-history",
    "x-dead-lettered-at",
    "x-replays",
    "x-replayed-reason",
    "x-headers-dropped",
    "x-truncated",
];

fn long(bytes: usize) -> AMQPValue {
    AMQPValue::LongString("a".repeat(bytes).into())
}

fn nested(levels: usize, inner: AMQPValue) -> AMQPValue {
    (0..levels).fold(inner, |inner, level| {
        if level % 2 == 0 {
            return AMQPValue::FieldArray(FieldArray::from(vec![inner]));
        }
        let mut table = FieldTable::default();
        table.insert("n".into(), inner);
        AMQPValue::FieldTable(table)
    })
}

/// Header tables that leave no room, each of another kind.
fn headers(n: usize) -> FieldTable {
    let mut table = FieldTable::default();
    if let Some(name) = OWN.get(n % (OWN.len() + 5)) {
        table.insert((*name).into(), long(VALUE_BYTES_MAX));
        return table;
    }
    match n % (OWN.len() + 5) - OWN.len() {
        0 => {
            for key in 0..9_000 {
                table.insert(format!("k{key:05}").into(), AMQPValue::LongInt(key));
            }
        }
        1 => {
            table.insert("x-reason-history".into(), AMQPValue::FieldArray(vec![long(10_000); 13].into()));
        }
        2 => {
            table.insert("x-death".into(), nested(20, long(VALUE_BYTES_MAX - 200)));
        }
        3 => {
            table.insert("x-error".into(), AMQPValue::ByteArray(vec![255; 65_000].into()));
            table.insert("foreign".into(), nested(20, long(65_000)));
        }
        _ => {
            table.insert("foreign".into(), long(VALUE_BYTES_MAX));
        }
    }
    table
}

async fn is_ready(service: &Service) {
    let answer = service.admin_get("/readyz").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

async fn put_aside(service: &Service) -> f64 {
    service.metric("payment_notifier_dead_letters_total", "reason=\"invalid_json\"").await
}

async fn notified(service: &Service, order: &str) -> u16 {
    let body = json!({
        "id": format!("evt_{order}"), "object": "event", "type": "payment_intent.succeeded", "created": now_s(),
        "data": { "object": {
            "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1999, "amount_received": 1999,
            "currency": "cny", "metadata": { "order_id": order },
        } },
    })
    .to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_test_only_0123456789");
    let at_s = now_s();
    let tag = hmac::sign(&key, format!("{at_s}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = service.request(Method::POST, &format!("/v1/callbacks/stripe/{MERCHANT}"));
    Answer::of(request.header("stripe-signature", format!("t={at_s},v1={hex}")).body(body)).await.status
}

#[tokio::test]
async fn headers_that_fit_no_frame_are_left_behind_and_stop_nothing() {
    // Readiness is to say nothing of a machine that is slow.
    let service = Setup::new().await.config(CONFIG).set("AMQP__CONFIRM_TIMEOUT_S", 30).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let (mut sent, mut longest) = (0, Duration::ZERO);
    // One, as many as are published at once, and one more than the prefetch.
    for count in [1_usize, 16, 301] {
        for n in sent..sent + count {
            let properties = BasicProperties::default().with_headers(headers(n));
            publisher.publish_bytes(format!("bad {n}").as_bytes(), properties).await;
        }
        sent += count;
        let (order, began) = (format!("behind-{count}"), Instant::now());
        publisher.publish(&event(&order, "succeeded")).await;
        service.payment_with_status(&order, &ticket(order.as_str()), "succeeded").await;
        longest = longest.max(began.elapsed());
        assert!((200..300).contains(&notified(&service, &format!("callback-{count}")).await));
        is_ready(&service).await;
        wait_for("they are put aside", async || {
            (put_aside(&service).await >= f64::from(u32::try_from(sent).unwrap())).then_some(())
        })
        .await;
        is_ready(&service).await;
    }
    let ready = async || service.vhost().ready(DEAD_LETTERS).await;
    wait_for("each is among the dead letters", async || (ready().await == sent as u64).then_some(())).await;
    assert!(service.metric("payment_notifier_dead_letters_reduced_total", "headers").await > 0.0);
    assert_eq!(service.metric("payment_notifier_dead_letters_reduced_total", "body").await, 0.0);
    assert_eq!(service.metric("payment_notifier_acks_lost_total", "").await, 0.0);
    assert!(longest < Duration::from_secs(30), "an event waited {longest:?} behind them");
    // A reason, and where it came from, whatever the publisher said of that.
    let letter = service.vhost().peek(DEAD_LETTERS).await;
    let headers = &letter["properties"]["headers"];
    assert_eq!((&headers["x-reason"], &headers["x-original-exchange"]), (&json!("invalid_json"), &json!("payments")));
    row(&format!("headers-fit-no-frame runs={sent} lost=0 pause_ms={}", longest.as_millis()));
}

/// The first dead letter's body, and its headers.
async fn first(vhost: &Vhost) -> (String, serde_json::Value) {
    let letter = vhost.take(DEAD_LETTERS).await;
    (letter["payload"].as_str().unwrap_or_default().to_owned(), letter["properties"]["headers"].clone())
}

#[tokio::test]
async fn a_broker_of_small_frames_and_one_that_takes_less_than_before_get_smaller_dead_letters() {
    let node = Node::start("[{rabbit, [{frame_max, 8192}]}].").await;
    let mut service = node.setup().await.set("AMQP__CONFIRM_TIMEOUT_S", 30).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut table = FieldTable::default();
    table.insert("mine".into(), long(3_600));
    table.insert("x-original-routing-key".into(), long(3_800));
    publisher.publish_bytes(b"bad headers", BasicProperties::default().with_headers(table)).await;
    wait_for("it is put aside", async || (put_aside(&service).await == 1.0).then_some(())).await;
    let (body, headers) = first(service.vhost()).await;
    assert_eq!((body.as_str(), &headers["x-original-routing-key"]), ("bad headers", &json!("payment.result.test")));

    service.terminate();
    service.wait_end().await;
    let body = "b".repeat(60_000);
    let mut table = FieldTable::default();
    table.insert("mine".into(), AMQPValue::LongInt(7));
    publisher.publish_bytes(body.as_bytes(), BasicProperties::default().with_headers(table)).await;
    publisher.publish(&event("behind", "succeeded")).await;
    node.ctl(&["eval", "application:set_env(rabbit, max_message_size, 5000)."]).await;
    service.start_again().await;
    service.payment_with_status("behind", &ticket("behind"), "succeeded").await;
    wait_for("it is put aside", async || (put_aside(&service).await == 1.0).then_some(())).await;
    let (kept, headers) = first(service.vhost()).await;
    assert_eq!((kept.len(), &headers["x-truncated"]), (4096, &json!(60_000)));
    assert_eq!((&headers["mine"], &headers["x-reason"]), (&json!(7), &json!("invalid_json")));
    service.metric_is("payment_notifier_dead_letters_reduced_total", "body", 1.0).await;
    is_ready(&service).await;
    row("dead-letter-too-large runs=2 lost=0");
}
