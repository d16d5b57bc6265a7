//! Numbers that others send and that go into sums and differences, at the ends of what they can be.

use futures_util::future::join_all;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use crate::support::ticket::{API_KEY, SUB, hs256, now_s};
use crate::support::{DeadLetters, MERCHANT, Page, Publisher, Service, event, ticket};

const DAY_MS: i64 = 24 * 3_600_000;

fn with_header(name: &str, value: AMQPValue) -> BasicProperties {
    let mut table = FieldTable::default();
    table.insert(name.into(), value);
    BasicProperties::default().with_headers(table)
}

#[tokio::test]
async fn a_time_of_publishing_that_cannot_be_true_is_in_no_sum() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let (mut page, _) = Page::subscribed(&service, &ticket("extreme-1")).await;
    let now_ms = payment_notifier::runtime::unix_ms();
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, now_ms - 2 * DAY_MS, now_ms + 2 * DAY_MS, i64::MAX - 1, i64::MAX];
    let ends = ends.map(AMQPValue::LongLongInt).into_iter();
    let ends = ends.chain([0, u64::MAX / 2, u64::MAX].map(AMQPValue::Timestamp));
    for (n, end) in (1_u64..).zip(ends) {
        let mut event = event("extreme-1", "processing");
        event["display"] = json!({ "n": n });
        publisher.publish_bytes(event.to_string().as_bytes(), with_header("timestamp_in_ms", end)).await;
        assert_eq!(page.payment().await["version"], n);
    }
    publisher
        .publish_bytes(
            event("extreme-1", "succeeded").to_string().as_bytes(),
            with_header("timestamp_in_ms", AMQPValue::LongLongInt(payment_notifier::runtime::unix_ms())),
        )
        .await;
    assert_eq!(page.payment().await["status"], "succeeded");
    page.ping_pong().await;
    service.metric_is("payment_notifier_publish_to_page_seconds_count", "", 1.0).await;
    assert!(service.metric("payment_notifier_publish_to_page_seconds_sum", "").await < 60.0);
}

#[tokio::test]
async fn numbers_at_the_ends_of_their_range_are_taken_or_refused_and_harm_nothing() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut dead = 0;
    // In bodies, and beside them.
    for (n, (value, is_good)) in
        [("0", true), ("9223372036854775807", true), ("9223372036854775808", false), ("-1", false), ("1e308", false)]
            .into_iter()
            .enumerate()
    {
        let mut event = event(&format!("extreme-amount-{n}"), "succeeded");
        event["amount"] = json!({ "value": "VALUE", "currency": "CNY" });
        let body = event.to_string().replace("\"VALUE\"", value);
        publisher
            .publish_bytes(body.as_bytes(), with_header("x-delivery-count", AMQPValue::LongLongInt(i64::MIN)))
            .await;
        dead += usize::from(!is_good);
    }
    for timestamp in [0, 1, 253_402_300_799, i64::MAX as u64, u64::MAX] {
        let mut event = event("extreme-time", "processing");
        event.as_object_mut().unwrap().remove("occurred_at");
        let properties = BasicProperties::default().with_timestamp(timestamp).with_priority(255);
        publisher.publish_bytes(event.to_string().as_bytes(), properties).await;
        // Not said at all, or in no year of four digits.
        dead += usize::from(timestamp == 0 || timestamp > 253_402_300_799_000);
    }
    let mut letters = DeadLetters::of(service.vhost()).await;
    for _ in 0..dead {
        let letter = letters.next().await;
        assert!(["malformed_field", "missing_field"].contains(&letter.reason.as_str()), "{letter:?}");
    }
    // In requests.
    for ttl_s in ["0", "-1", "9223372036854775807", "18446744073709551615", "1e300"] {
        let body = format!("{{\"merchant_id\":\"{MERCHANT}\",\"order_id\":\"e\",\"sub\":\"{SUB}\",\"ttl_s\":{ttl_s}}}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let answer = service.post("/v1/tickets", API_KEY, &body).await;
        assert!((400..500).contains(&answer.status), "{ttl_s}: {} {}", answer.status, answer.text);
    }
    for exp in [json!(i64::MIN), json!(0), json!(i64::MAX), json!(u64::MAX), json!(1e300), json!(-1e300)] {
        let claims = json!({
            "aud": "payment-notifier", "merchant_id": MERCHANT, "order_id": "extreme-time", "sub": SUB,
            "exp": exp, "nbf": now_s() - 1,
        });
        assert_eq!(service.payment("extreme-time", &hs256(&claims), "").await.status, 401, "{claims}");
    }
    let good = ticket("extreme-time");
    for query in ["?after=18446744073709551615", "?after=0&wait=18446744073709551615", "?after=-1", "?wait=-1"] {
        let status = service.payment("extreme-time", &good, query).await.status;
        assert!([200, 400].contains(&status), "{query}: {status}");
    }
    let acks = [json!(0), json!(u64::MAX), json!(-1), json!(1e300), json!(9_007_199_254_740_991_u64)];
    for version in acks {
        let answer = service.post("/v1/payments/extreme-time/ack", &good, &json!({ "version": version })).await;
        assert!(answer.status < 500, "{version}: {} {}", answer.status, answer.text);
    }
    for ttl_s in [json!(u64::MAX), json!(i64::MIN), json!(1e300)] {
        let body = json!({ "merchant_id": MERCHANT, "order_id": "extreme-none", "ttl_s": ttl_s });
        assert!((400..500).contains(&service.admin_post("/v1/revocations", &body).await.status), "{ttl_s}");
    }
    // All goes on.
    let pages = join_all((0..2).map(async |n| {
        service.payment(&format!("extreme-amount-{n}"), &ticket(format!("extreme-amount-{n}")), "").await
    }));
    assert!(pages.await.iter().all(|page| page.json["status"] == "succeeded"));
    assert!(!service.logs().text().contains("panicked"), "{}", service.logs().tail());
    service.wait_ready().await;
}
