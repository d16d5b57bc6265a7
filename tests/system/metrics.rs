//! What operators are told: the names that the documents promise, figures that move, and logs that keep secrets.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use lapin::BasicProperties;
use lapin::types::AMQPValue;
use serde_json::json;

use crate::support::publisher::headers;
use crate::support::ticket::{API_KEY, SECRET, SUB};
use crate::support::{
    DeadLetters, EventStream, MERCHANT, Page, Publisher, Service, Setup, event, repository, ticket, wait_for,
};

/// How names of metrics begin: our own, and those that Prometheus gives to every process.
pub(crate) const PREFIXES: [&str; 2] = ["payment_notifier_", "process_"];

/// Name to kind, from `src/telemetry/names.rs`: `NAME = "deliveries_total", Kind::Counter, "…";`
fn names_in_the_source() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(repository().join("src/telemetry/names.rs")).unwrap();
    let lines = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" = \"")?.1.split_once("\", Kind::")?;
        let kind: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        let prefix = if name.starts_with("process_") { "" } else { "payment_notifier_" };
        Some((format!("{prefix}{name}"), kind.to_lowercase()))
    });
    lines.collect()
}

/// Name to kind, from the table in `docs/operations/metrics.md`: `` | `name` | kind | ``
fn names_in_the_documents() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(repository().join("docs/operations/metrics.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let kind: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix)).then(|| (name.to_owned(), kind))
    });
    rows.collect()
}

/// Name to kind, as `/metrics` says.
async fn names_served(service: &Service) -> BTreeMap<String, String> {
    let text = service.admin_get("/metrics").await.text;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// One of everything that can be counted without breaking anything.
pub(crate) async fn do_something_of_everything(service: &Service) {
    let publisher = Publisher::connect(service.vhost()).await;
    let tickets = ticket(json!(["m-ws", "m-sse", "m-long", "m-poll"]));
    let (mut page, _) = Page::subscribed(service, &ticket("m-ws")).await;
    let mut stream = EventStream::open(service, "m-sse", &tickets).await;
    stream.payment().await;
    let long_poll = service.payment("m-long", &tickets, "?after=0&wait=50");
    let publishing = async {
        wait_for("all pages wait", async || {
            let waiting = service.metric("payment_notifier_pages_waiting", "").await;
            (waiting == 3.0).then_some(())
        })
        .await;
        let orders = ["m-ws", "m-sse", "m-long", "m-poll"];
        join_all(orders.map(|order_id| publish_with_time(&publisher, order_id, "succeeded"))).await;
    };
    let (answer, ()) = tokio::join!(long_poll, publishing);
    assert_eq!(answer.json["status"], "succeeded");
    page.payment().await;
    stream.payment().await;
    service.payment_with_status("m-poll", &tickets, "succeeded").await;
    page.send(&json!({ "type": "ack", "order_id": "m-ws", "version": 1 })).await;
    page.ping_pong().await;
    service.post("/v1/payments/m-poll/ack", &tickets, &json!({ "version": 1 })).await;

    let repeated = event("m-ws", "failed");
    publisher.publish(&repeated).await;
    publisher.publish(&repeated).await;
    publisher.publish_bytes(b"hunter2", BasicProperties::default()).await;
    assert_eq!(DeadLetters::of(service.vhost()).await.next().await.reason, "invalid_json");
    service.payment("m-poll", "hunter2", "").await;
    service.post("/v1/callbacks/stripe/nobody", "", &json!({})).await;
    let body = json!({ "merchant_id": MERCHANT, "order_id": "m-ws", "sub": SUB, "ttl_s": 60 });
    service.post("/v1/tickets", API_KEY, &body).await;
}

async fn publish_with_time(publisher: &Publisher, order_id: &str, status: &str) {
    let mut table = headers(&[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
    table.insert("timestamp_in_ms".into(), AMQPValue::LongLongInt(payment_notifier::runtime::unix_ms()));
    let properties = BasicProperties::default().with_headers(table);
    publisher.publish_bytes(event(order_id, status).to_string().as_bytes(), properties).await;
}

#[test]
fn the_documents_list_each_metric_with_its_kind_and_no_other() {
    let source = names_in_the_source();
    assert!(source.len() > 20, "{source:?}");
    assert_eq!(names_in_the_documents(), source);
}

#[tokio::test]
async fn what_is_served_is_what_is_documented_and_the_figures_move() {
    let service = Setup::new().await.set("AMQP__LAG_INTERVAL_S", 1).start().await;
    let documented = names_in_the_documents();
    do_something_of_everything(&service).await;

    let served = names_served(&service).await;
    for (name, kind) in &served {
        assert_eq!(documented.get(name), Some(kind), "{name}");
    }
    let metric = async |name: &str, labels: &str| service.metric(&format!("payment_notifier_{name}"), labels).await;
    for (name, labels, expected) in [
        ("deliveries_total", "", 7.0),
        ("redeliveries_total", "", 0.0),
        ("events_total", "outcome=\"applied\"", 4.0),
        ("events_total", "outcome=\"stale\"", 1.0),
        ("conflicts_total", "kind=\"failed_after_succeeded\"", 1.0),
        ("dead_letters_total", "reason=\"invalid_json\"", 1.0),
        ("acks_lost_total", "", 0.0),
        ("broker_connected", "", 1.0),
        ("broker_connects_total", "result=\"ok\"", 1.0),
        ("store_available", "", 1.0),
        ("publish_to_page_seconds_count", "transport=\"websocket\"", 1.0),
        ("publish_to_page_seconds_count", "transport=\"sse\"", 1.0),
        ("publish_to_page_seconds_count", "transport=\"long_poll\"", 1.0),
        ("arrival_to_page_seconds_count", "transport=\"websocket\"", 1.0),
        ("page_acks_total", "transport=\"websocket\"", 1.0),
        ("page_acks_total", "transport=\"poll\"", 1.0),
        ("tickets_refused_total", "reason=\"malformed\"", 1.0),
        ("tickets_minted_total", "", 1.0),
        ("callbacks_total", "provider=\"stripe\"", 1.0),
    ] {
        service.metric_is(&format!("payment_notifier_{name}"), labels, expected).await;
    }
    assert!(metric("commit_seconds_count", "").await >= 1.0);
    // The poll of `m-poll` is repeated until its payment has come.
    assert!(metric("tickets_accepted_total", "").await >= 5.0);
    service.metric_is("payment_notifier_batch_events_sum", "", 6.0).await;
    assert!(metric("http_refused_total", "code=\"invalid_ticket\"").await >= 1.0);
    let _stays_open = Page::subscribed(&service, &ticket("m-open")).await;
    assert!(metric("http_connections", "").await >= 1.0);
    wait_for("the queues have been looked at", async || {
        let consumers = metric("queue_consumers", "").await == 1.0;
        (consumers && names_served(&service).await.contains_key("payment_notifier_queue_messages_ready")).then_some(())
    })
    .await;
    wait_for("nothing is in flight", async || (metric("deliveries_in_flight", "").await == 0.0).then_some(())).await;
    let served = names_served(&service).await;
    let missing: Vec<_> = documented.keys().filter(|name| !served.contains_key(*name)).collect();
    // Nobody speaks TLS, there is no key set and no other node.
    let elsewhere = |name: &str| ["_tls_", "_key_sets_", "_live_"].iter().any(|part| name.contains(part));
    let missing: Vec<_> = missing.into_iter().filter(|name| !elsewhere(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn no_label_names_an_order_a_merchant_or_a_ticket() {
    let service = Service::start().await;
    do_something_of_everything(&service).await;
    let text = service.admin_get("/metrics").await.text;
    for private in ["m-ws", MERCHANT, SUB, "hunter2", service.vhost().password()] {
        assert!(!text.contains(private), "{private}");
    }
}

#[tokio::test]
async fn not_even_at_trace_level_is_there_a_ticket_a_secret_a_payer_or_a_body_in_the_logs() {
    const BODY_CANARY: &str = "canary-of-a-body-0001";
    let mut service = Setup::new().await.set("TELEMETRY__LOG_FILTER", "trace").start().await;
    do_something_of_everything(&service).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut shown = event("m-display", "succeeded");
    shown["display"] = json!({ "note": BODY_CANARY });
    publisher.publish(&shown).await;
    publisher.publish_bytes(format!("{{\"{BODY_CANARY}\":").as_bytes(), BasicProperties::default()).await;

    let good = ticket("m-display");
    service.payment_with_status("m-display", &good, "succeeded").await;
    service.get(&format!("/v1/payments/m-display?ticket={good}"), "").await;
    Page::open_with(&service, &format!("/v1/ws?ticket={good}"), &[]).await.0.frame().await;
    let (_page, _) = Page::subscribed(&service, &good).await;
    let forged = format!("{}forged", ticket("m-forged"));
    Page::open_with(&service, &format!("/v1/ws?ticket={forged}"), &[]).await.0.frame().await;
    service.payment("m-forged", &forged, "").await;
    service.get(&format!("/v1/payments/m-forged/events?ticket={forged}"), "").await;
    let revoked = crate::support::ticket::hs256(&json!({
        "aud": "payment-notifier", "merchant_id": MERCHANT, "order_id": "m-revoked", "sub": SUB,
        "exp": crate::support::ticket::now_s() + 300,
    }));
    let (mut sent_away, _) = Page::subscribed(&service, &revoked).await;
    assert_eq!(service.admin_post("/v1/revocations", &json!({ "ticket": revoked })).await.status, 200);
    sent_away.error_then_close("invalid_ticket", 4401).await;
    service.admin_post("/v1/revocations", &json!({ "ticket": forged, "ttl_s": -1 })).await;
    service.get(&format!("/v1/payments/m-revoked?ticket={revoked}"), "").await;
    service.terminate();
    service.wait_end().await;

    let log = service.logs().text();
    assert!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "the level is in force");
    let of_ticket =
        |ticket: &str| ticket.split('.').map(|part| part[..part.len().min(24)].to_owned()).collect::<Vec<_>>();
    let mut private = vec![SECRET.to_owned(), API_KEY.to_owned(), SUB.to_owned(), BODY_CANARY.to_owned()];
    private.push(service.vhost().password().to_owned());
    // The first part of every ticket is the same few words of JSON.
    private.extend([&good, &forged, &revoked].into_iter().flat_map(|ticket| of_ticket(ticket).into_iter().skip(1)));
    for secret in private {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} in: {}", line.unwrap_or_default());
    }
}
