//! Contract section 1, bodies of others: what a publisher sends in a form of its own reaches the page, and `decode` says
//! beforehand what becomes of it.

use serde_json::json;

use crate::support::{DeadLetters, EventStream, MERCHANT, Page, Publisher, Service, Setup, event, ticket, tools};

const GATEWAY: &str = "payment.result.gateway";
const BODY: &str = r#"{"id":"g-1","type":"payment","data":{"no":"o*1|a@b","state":"PAID","at":1795843800123,"total":"19.9","cur":"cny"}}"#;
/// The same as a page has to percent-encode it.
const ORDER: &str = "o*1|a@b";
const ORDER_IN_PATH: &str = "o%2A1%7Ca%40b";

fn mapping() -> String {
    format!(
        r#"
        [[payments.mappings]]
        routing_key = "payment.result.gateway"
        when = {{ "/type" = ["payment"] }}
        event_id = "/id"
        merchant_id = "={MERCHANT}"
        order_id = "/data/no"
        status = "/data/state"
        statuses = {{ PAID = "succeeded", FAIL = "failed" }}
        statuses_ignored = ["REVIEW"]
        occurred_at = "/data/at"
        amount_value = "/data/total"
        amount_scale = 2
        amount_currency = "/data/cur"
        "#
    )
}

async fn decode(setup: &Setup, arguments: &[&str], body: &str) -> (bool, String, String) {
    let command = setup.command(&[&["decode"], arguments, &["-"]].concat());
    let (status, out, err) = tools::end_of(command, body.to_owned()).await;
    (status.success(), out, err)
}

#[tokio::test]
async fn a_mapped_body_reaches_every_transport_and_an_ignored_one_nobody() {
    let service = Setup::new().await.config(&mapping()).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut dead_letters = DeadLetters::of(service.vhost()).await;
    let (mut page, _) = Page::subscribed(&service, &ticket(ORDER)).await;
    let mut stream = EventStream::open(&service, ORDER_IN_PATH, &ticket(ORDER)).await;
    assert_eq!(stream.payment().await["version"], 0);
    publisher.publish_with(GATEWAY, BODY.replace("PAID", "REVIEW").as_bytes()).await;
    publisher.publish_with(GATEWAY, BODY.as_bytes()).await;
    let amount = json!({ "value": 1990, "currency": "CNY" });
    for payment in [
        page.payment().await,
        stream.payment().await,
        service.payment_with_status(ORDER_IN_PATH, &ticket(ORDER), "succeeded").await,
    ] {
        assert_eq!(
            (&payment["order_id"], &payment["version"], &payment["amount"]),
            (&json!(ORDER), &json!(1), &amount)
        );
        assert_eq!(payment["occurred_at"], "2026-11-28T05:30:00.123Z");
    }
    service.metric_is("payment_notifier_events_ignored_total", "", 1.0).await;
    let ack =
        service.post(&format!("/v1/payments/{ORDER_IN_PATH}/ack"), &ticket(ORDER), &json!({ "version": 1 })).await;
    assert_eq!(ack.status, 204, "{}", ack.text);
    let timeline = service.admin_get(&format!("/v1/orders/{MERCHANT}/{ORDER_IN_PATH}")).await;
    assert_eq!((timeline.status, &timeline.json["order_id"]), (200, &json!(ORDER)));
    let found = service.admin_get(&format!("/orders/{MERCHANT}/{ORDER_IN_PATH}")).await;
    assert_eq!(found.status, 200);
    let admin = format!("http://{}", service.admin);
    let command = service.setup.command(&["order", "show", MERCHANT, ORDER, "--admin", &admin]);
    let (status, out, err) = tools::end_of(command, String::new()).await;
    assert!(status.success() && out.contains(ORDER), "{out}{err}");
    // What no mapping takes is read as before, and what a mapping takes and cannot read is named.
    publisher.publish(&event("plain", "succeeded")).await;
    service.payment_with_status("plain", &ticket("plain"), "succeeded").await;
    publisher.publish_with(GATEWAY, BODY.replace("PAID", "WHAT").as_bytes()).await;
    let dead_letter = dead_letters.next().await;
    assert_eq!(dead_letter.reason, "unknown_status");
    assert!(dead_letter.error.starts_with("mapping 1: status (at /data/state)"), "{}", dead_letter.error);
}

#[tokio::test]
async fn a_java_time_without_seconds_is_read() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut java = event("java", "succeeded");
    java["occurred_at"] = json!("2026-11-28T13:30+08:00");
    publisher.publish(&java).await;
    let payment = service.payment_with_status("java", &ticket("java"), "succeeded").await;
    assert_eq!(payment["occurred_at"], "2026-11-28T13:30:00+08:00");
}

#[tokio::test]
async fn decode_says_what_becomes_of_a_body_or_why_nothing_does() {
    let setup = Setup::new().await.config(&mapping());
    let (is_taken, out, err) = decode(&setup, &["--routing-key", GATEWAY], BODY).await;
    assert!(is_taken, "{out}{err}");
    for (field, value) in [
        ("mapping", "number 1 of payments.mappings"),
        ("event_id", "g-1 /id"),
        ("order_id", "o*1|a@b /data/no"),
        ("status", "succeeded /data/state, \"PAID\""),
        ("amount", "1990 CNY /data/total, /data/cur"),
    ] {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(out.lines().any(|line| words(line) == format!("{field} {value}")), "{out}");
    }
    let (is_taken, out, _) = decode(&setup, &["--routing-key", GATEWAY], &BODY.replace("PAID", "REVIEW")).await;
    assert!(is_taken && out.contains("ignored"), "{out}");
    let (is_taken, out, err) = decode(&setup, &["--routing-key", GATEWAY], &BODY.replace("\"no\"", "\"x\"")).await;
    assert!(!is_taken && out.contains("order_id (at /data/no) is missing"), "{out}");
    assert!(err.contains("missing_field") && err.lines().count() == 1, "{err}");
    let plain = event("o", "failed").to_string();
    let (is_taken, out, err) = decode(&setup, &["--routing-key", "payment.result.x"], &plain).await;
    assert!(is_taken && out.contains("mapping                  none"), "{out}{err}");
    let (is_taken, _, err) = decode(&setup, &["--routing-key", GATEWAY], "\u{ac}\u{ed}").await;
    assert!(!is_taken && err.contains("invalid_json"), "{err}");
}

#[tokio::test]
async fn a_mapping_that_cannot_work_ends_check_serve_and_decode_with_one_line() {
    let setup = Setup::new().await.config(&mapping().replace("\"succeeded\"", "\"payed\""));
    for arguments in [["config", "check"].as_slice(), &["serve"], &["decode", "/dev/null"]] {
        let (status, _, err) = tools::end_of(setup.command(arguments), String::new()).await;
        assert!(!status.success(), "{arguments:?}");
        assert!(err.contains("payments.mappings, number 1 of 1, statuses \"PAID\" must be one of"), "{err}");
        assert_eq!(err.trim_end().lines().count(), 1, "{err}");
    }
}
