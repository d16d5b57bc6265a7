//! `payment-notifier order show`: the timeline of one order, as support reads it aloud and as programs read it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::ticket::changed;
use crate::support::{MERCHANT, Page, Publisher, Service, Setup, event, ticket, tools, wait_for};

/// What the command says: its success, its output, its error.
async fn show(service: &Service, arguments: &[&str]) -> (bool, String, String) {
    let url = format!("http://{}", service.admin);
    let command = service.setup.command(&[&["order", "show"], arguments, &["--admin", &url]].concat());
    let (status, out, err) = tools::end_of(command, String::new()).await;
    (status.success(), out, err)
}

async fn timeline(service: &Service, order_id: &str) -> Value {
    service.admin_get(&format!("/v1/orders/{MERCHANT}/{order_id}")).await.json
}

/// What happened, as `type` or, for an arrival, its outcome.
fn kinds(timeline: &Value) -> Vec<String> {
    let entries = timeline["entries"].as_array().into_iter().flatten();
    let kind = |entry: &Value| entry["outcome"].as_str().or(entry["type"].as_str()).unwrap_or_default().to_owned();
    entries.map(kind).collect()
}

async fn wait_for_kind(service: &Service, order_id: &str, kind: &str, count: usize) -> Value {
    wait_for(&format!("{count} {kind} in the timeline"), async || {
        let timeline = timeline(service, order_id).await;
        (kinds(&timeline).iter().filter(|known| *known == kind).count() >= count).then_some(timeline)
    })
    .await
}

/// An event of the order, `second` seconds into its day.
fn told(order_id: &str, event_id: &str, status: &str, second: u32) -> Value {
    let at = format!("2026-01-31T08:30:{second:02}+08:00");
    let amount = json!({ "value": 1999, "currency": "CNY" });
    let changes = json!({ "event_id": event_id, "occurred_at": at, "amount": amount, "provider": "wechat_pay" });
    changed(event(order_id, status), changes)
}

#[tokio::test]
async fn a_timeline_with_a_duplicate_a_stale_event_a_conflict_and_an_escalation_is_shown() {
    let setup = Setup::new().await.set("INSTANCE", "node-1").set("ESCALATION__AFTER", "2s");
    let service = setup.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let order = "T20260131-0001";
    let (mut page, _) = Page::subscribed(&service, &ticket(order)).await;
    publisher.publish(&told(order, "e-5", "processing", 5)).await;
    assert_eq!(page.payment().await["version"], 1);
    publisher.publish(&told(order, "e-7", "succeeded", 7)).await;
    assert_eq!(page.payment().await["version"], 2);
    // The page is put away before it has said that the result was shown.
    page.close().await;
    publisher.publish(&told(order, "e-7", "succeeded", 7)).await;
    wait_for_kind(&service, order, "duplicate", 1).await;
    publisher.publish(&told(order, "e-6", "processing", 6)).await;
    wait_for_kind(&service, order, "stale", 1).await;
    publisher.publish(&told(order, "e-9", "failed", 9)).await;
    wait_for_kind(&service, order, "conflict", 1).await;
    wait_for_kind(&service, order, "pushed", 2).await;
    wait_for_kind(&service, order, "undelivered", 1).await;
    // It comes back, and the result is shown after all.
    let (mut page, _) = Page::subscribed(&service, &ticket(order)).await;
    page.send(&json!({ "type": "ack", "order_id": order, "version": 2 })).await;
    wait_for_kind(&service, order, "acknowledged", 1).await;
    let api = wait_for_kind(&service, order, "pushed", 3).await;

    let (success, out, err) = show(&service, &[MERCHANT, order]).await;
    assert!(success && err.is_empty(), "{out}{err}");
    println!("{out}");
    let header = format!(
        "order {order} of {MERCHANT}: succeeded, final, version 2, 19.99 CNY, by wechat_pay; acknowledged by a page"
    );
    assert_eq!(out.lines().next(), Some(header.as_str()));
    for part in [
        "arrived       processing (event e-5), applied as version 1",
        "arrived       succeeded (event e-7), applied as version 2",
        "arrived       repeated event e-7 (succeeded), nothing changed",
        "arrived       stale processing (event e-6): the order is further along, nothing changed",
        "CONFLICT      failed_after_succeeded (failed at a later time than succeeded), by event e-9: payment.conflict published",
        "watched       a page began to wait by websocket (connection ",
        "pushed        version 2 to a page by websocket (connection ",
        " ms after arrival",
        "as it stood when the page came",
        "escalated     no page has acknowledged version 2: payment.undelivered published",
        "acknowledged  version 2 was shown by a page by websocket (connection ",
        "UTC, node node-1",
    ] {
        assert!(out.contains(part), "{part}:\n{out}");
    }
    // A line an entry, after the header, an empty line and the day, with a time, a span and a word each.
    let entries = api["entries"].as_array().unwrap();
    let days: BTreeSet<_> = entries.iter().map(|entry| &entry["at"].as_str().unwrap()[..10]).collect();
    assert_eq!(out.lines().count(), 1 + 2 * days.len() + entries.len(), "{out}");

    let (success, out, _) = show(&service, &[MERCHANT, order, "--json"]).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(success && told == api, "{told}\n{api}");
    assert_eq!((&told["payment"]["status"], &told["acked_version"]), (&json!("succeeded"), &json!(2)));
    for entry in told["entries"].as_array().unwrap() {
        assert!(entry["at"].as_str().unwrap().ends_with('Z') && entry["node"] == "node-1", "{entry}");
        assert!(entry["type"].is_string() && entry["after_first_ms"].is_u64(), "{entry}");
    }

    let drawn = service.admin_get(&format!("/orders/{MERCHANT}/{order}")).await.text;
    for part in [
        "<svg class=\"timeline\"",
        "repeat",
        "stale",
        "conflict",
        "escalated",
        "Contradiction.",
        "A page has shown it.",
    ] {
        assert!(drawn.contains(part), "{part}: {drawn}");
    }
}

#[tokio::test]
async fn an_order_that_nobody_knows_and_a_node_that_is_not_there_are_one_line_each() {
    let service = Service::start().await;
    let (success, out, err) = show(&service, &[MERCHANT, "never"]).await;
    assert!(!success && out.is_empty(), "{out}");
    assert_eq!(err, "payment-notifier: unknown_order: this order is unknown\n");
    let (success, _, err) = show(&service, &[MERCHANT, "not an order"]).await;
    assert!(!success && err.starts_with("payment-notifier: ORDER must be") && err.lines().count() == 1, "{err}");
    let nowhere = service.setup.command(&["order", "show", MERCHANT, "never", "--admin", "http://127.0.0.1:1/"]);
    let (status, out, err) = tools::end_of(nowhere, String::new()).await;
    assert!(!status.success() && out.is_empty(), "{out}");
    assert!(
        err.starts_with("payment-notifier: the operators' listener at http://127.0.0.1:1 cannot be reached: "),
        "{err}"
    );
    assert!(err.contains("refused") && err.lines().count() == 1, "{err}");
    // What is there, and is no operators' listener.
    let pages = format!("http://{}", service.http);
    let elsewhere = service.setup.command(&["order", "show", MERCHANT, "never", "--admin", &pages]);
    let (status, _, err) = tools::end_of(elsewhere, String::new()).await;
    assert!(!status.success() && err.lines().count() == 1, "{err}");
}

#[tokio::test]
async fn an_order_is_found_by_the_providers_number() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let bearing = |order: &str, merchant: &str, event_id: &str, transaction: &str| {
        let changes = json!({ "merchant_id": merchant, "provider_transaction_id": transaction });
        changed(told(order, event_id, "succeeded", 5), changes)
    };
    publisher.publish(&bearing("T*1|@", MERCHANT, "e-1", "4200A")).await;
    // A second charge: stale, and remembered.
    publisher
        .publish(&changed(
            bearing("T*1|@", MERCHANT, "e-2", "2026ALI"),
            json!({ "occurred_at": "2026-01-31T09:00:00+08:00" }),
        ))
        .await;
    publisher.publish(&bearing("other", "another", "e-3", "4200A")).await;
    publisher.publish(&bearing("odd", MERCHANT, "e-4", "'; DROP TABLE payments --")).await;
    publisher.publish(&bearing("last", MERCHANT, "e-5", "4300")).await;
    wait_for_kind(&service, "last", "applied", 1).await;

    let (success, out, err) = show(&service, &["--transaction", "2026ALI"]).await;
    assert!(success && out.starts_with(&format!("order T*1|@ of {MERCHANT}: succeeded")), "{out}{err}");
    let (success, out, _) = show(&service, &["--transaction", "'; DROP TABLE payments --"]).await;
    assert!(success && out.starts_with(&format!("order odd of {MERCHANT}")), "{out}");
    let (success, out, err) = show(&service, &["--transaction", "4200A"]).await;
    assert!(!success, "{out}");
    assert_eq!(out, format!("another other  succeeded\n{MERCHANT} T*1|@  succeeded\n"));
    assert_eq!(
        err,
        "payment-notifier: several orders bear this number of the provider's: name one by MERCHANT and ORDER\n"
    );
    let (success, out, _) = show(&service, &["another", "--transaction", "4200A", "--json"]).await;
    assert!(success && serde_json::from_str::<Value>(&out).unwrap()["order_id"] == "other", "{out}");
    for (number, told) in [
        ("4200a", "unknown_order: no order bears this number of the provider's"),
        ("", "--transaction must be 1 to 128 bytes without control characters"),
        (&"4".repeat(10_240), "--transaction must be 1 to 128 bytes without control characters"),
        ("4200\u{1b}[31m", "--transaction must be 1 to 128 bytes without control characters"),
    ] {
        let (success, out, err) = show(&service, &["--transaction", number]).await;
        assert!(!success && out.is_empty() && err == format!("payment-notifier: {told}\n"), "{out}{err}");
    }

    let found = async |query: &str| service.admin_get(&format!("/v1/orders?{query}")).await;
    let names = |answer: &Value| -> Vec<String> {
        let each = |order: &Value| {
            format!("{} {}", order["merchant_id"].as_str().unwrap(), order["order_id"].as_str().unwrap())
        };
        answer["orders"].as_array().unwrap().iter().map(each).collect()
    };
    let first = format!("{MERCHANT} T*1|@");
    for query in
        ["number=T*1%7C%40", "number=2026ALI", "transaction=2026ALI", &format!("number=4200A&merchant={MERCHANT}")]
    {
        assert_eq!(names(&found(query).await.json), [first.as_str()], "{query}");
    }
    assert_eq!(names(&found("number=4200A").await.json), ["another other", first.as_str()]);
    assert_eq!(names(&found("").await.json)[0], format!("{MERCHANT} last"));
    found("transaction=other").await.assert_problem(404, "unknown_order");
    found("number=4200A&merchant=nobody").await.assert_problem(404, "unknown_order");
    let long = format!("number={}", "4".repeat(10_240));
    for query in [
        "number=%00",
        "number=",
        &long,
        "number=1&transaction=1",
        "merchant=shop",
        "number=1&merchant=a%2Fb",
        "colour=1",
    ] {
        found(query).await.assert_problem(400, "bad_request");
    }

    let page = service.admin_get("/orders?number=4200A").await;
    assert!(
        page.text.contains("Several orders have this number") && page.text.contains("/orders/another/other"),
        "{}",
        page.text
    );
    let page = service.admin_get("/orders?number=2026ALI&merchant_id=").await;
    assert!(page.text.contains("<code>T*1|@</code>") && page.text.contains("id=\"timeline\""), "{}", page.text);
    let page = service.admin_get("/orders").await;
    assert!(page.text.contains(&format!("/orders/{MERCHANT}/T%2A1%7C%40")), "{}", page.text);
}
