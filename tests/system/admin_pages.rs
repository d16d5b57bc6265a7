//! The operators' pages and their API: what they tell, what they refuse, and that nothing of others is taken for HTML.

use std::process::Command;

use lapin::BasicProperties;
use serde_json::{Value, json};

use super::dead_letters_cli::{LETTERS, adopting, all_succeeded, orders, ready, stopped, wait_for_ready, with_orphans};
use crate::support::api::Answer;
use crate::support::ticket::changed;
use crate::support::{EventStream, Publisher, Service, Setup, event, ticket, tools, wait_for};

const HOSTILE: &str = r#"<script>alert("x")</script>'&"#;
const TOKEN: &str = "the-token-of-the-browser";

async fn post_form(service: &Service, path: &str, form: &str) -> Answer {
    let request = service.client.post(format!("http://{}{path}", service.admin));
    Answer::of(request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())).await
}

async fn ids(service: &Service, query: &str) -> Vec<String> {
    let answer = service.admin_get(&format!("/v1/dead-letters{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let letters = answer.json["dead_letters"].as_array().expect("a list");
    letters.iter().map(|letter| letter["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn the_status_says_how_the_node_is() {
    let service = Setup::new().await.set("INSTANCE", "node-7").start().await;
    Publisher::connect(service.vhost()).await.publish(&event("status-1", "processing")).await;
    let mut stream = EventStream::open(&service, "status-1", &ticket("status-1")).await;
    stream.payment().await;
    let status = wait_for("the broker has said how long its queues are", async || {
        let status = service.admin_get("/v1/status").await.json;
        let is_known = status["lag"] == 0 && status["queues"]["payment-notifier.dead-letters"] == 0;
        (is_known && status["pages_waiting"]["sse"] == 1).then_some(status)
    })
    .await;
    assert_eq!((&status["ready"], &status["faults"]), (&json!(true), &json!({})));
    assert_eq!((&status["instance"], &status["version"]), (&json!("node-7"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!((&status["outbox_waiting"], &status["store"]["available"]), (&json!(0), &json!(true)));
    assert!(status["store"]["url"].as_str().unwrap().starts_with("sqlite://"), "{status}");
    wait_for("the event is in the rates, and the page in the percentiles", async || {
        let status = service.admin_get("/v1/status").await.json;
        let is_seen = status["events_per_s"]["60s"].as_f64()? > 0.0;
        is_seen.then_some(())
    })
    .await;
    let home = service.admin_get("/").await;
    for part in ["<h1 id=\"state\">Ready</h1>", "node-7", "Arrival to page, p99", "event stream"] {
        assert!(home.text.contains(part), "{part}: {}", home.text);
    }
}

#[tokio::test]
async fn the_page_says_in_words_what_does_not_work() {
    let service = Service::start().await;
    service.vhost().delete().await;
    let status = wait_for("the node says why", async || {
        let status = service.admin_get("/v1/status").await.json;
        (status["ready"] == false).then_some(status)
    })
    .await;
    assert!(!status["faults"].as_object().unwrap().is_empty(), "{status}");
    let home = service.admin_get("/").await;
    assert_eq!(home.status, 200);
    assert!(home.text.contains("Not ready") && home.text.contains("Results"), "{}", home.text);
}

#[tokio::test]
async fn what_is_not_there_is_said_to_programs_and_to_people() {
    let service = Service::start().await;
    service.admin_get("/v1/orders/shop/never").await.assert_problem(404, "unknown_order");
    service.admin_get("/v1/orders/shop/not%20an%20order").await.assert_problem(400, "bad_request");
    service.admin_get("/v1/dead-letters/0123456789ab").await.assert_problem(404, "unknown_dead_letter");
    service.admin_get("/v1/dead-letters/0").await.assert_problem(404, "unknown_dead_letter");
    service.admin_get("/v1/dead-letters?limit=0").await.assert_problem(400, "bad_request");
    service.admin_get("/v1/dead-letters?colour=red").await.assert_problem(400, "bad_request");
    service.admin_get("/nothing").await.assert_problem(404, "not_found");
    service.admin_post("/v1/status", &json!({})).await.assert_problem(405, "method_not_allowed");
    let unknown = service.admin_get("/orders/shop/never").await;
    assert!(unknown.status == 200 && unknown.text.contains("No event of this order has arrived"), "{}", unknown.text);
    let letter = service.admin_get("/dead-letters/0123456789ab").await;
    assert!(letter.status == 404 && letter.text.starts_with("<!DOCTYPE html>"), "{}", letter.text);
    let wrong = service.admin_get("/orders?number=%3Cb%3E").await;
    assert!(
        wrong.status == 404 && wrong.text.contains("no order has this number") && !wrong.text.contains("<b>"),
        "{}",
        wrong.text
    );
    let found = service.admin_get("/orders?merchant_id=shop&number=%20T-1%20").await;
    assert!(found.text.contains("<code>T-1</code>"), "led to the order: {}", found.text);
}

#[tokio::test]
async fn texts_of_others_are_shown_and_never_taken_for_html() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let changes =
        json!({ "provider": HOSTILE, "reason": { "code": HOSTILE, "message": HOSTILE }, "event_id": HOSTILE });
    publisher.publish(&changed(event("hostile-1", "failed"), changes)).await;
    service.payment_with_status("hostile-1", &ticket("hostile-1"), "failed").await;
    let bad = changed(event("x", "succeeded"), json!({ "order_id": HOSTILE, "status": HOSTILE })).to_string();
    let properties = BasicProperties::default().with_message_id(HOSTILE.into());
    publisher.publish_bytes(bad.as_bytes(), properties).await;
    wait_for_ready(&service, LETTERS, 1).await;
    let id = &ids(&service, "").await[0];
    let letter = format!("/dead-letters/{id}");
    let pages = [
        "/orders/shop/hostile-1",
        "/dead-letters",
        &letter,
        &format!("{letter}?body=true"),
        &format!("{letter}/replay"),
    ];
    for path in pages {
        let page = service.admin_get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert!(page.text.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"), "{path}: {}", page.text);
        assert!(!page.text.contains("<script>"), "{path}: {}", page.text);
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && page.header("x-frame-options") == "DENY");
        assert_eq!(page.header("cache-control"), "no-store");
    }
    let filtered = service.admin_get("/dead-letters?order=%22%3E%3Cscript%3E").await;
    assert!(filtered.text.contains(r#"value="&quot;&gt;&lt;script&gt;""#), "{}", filtered.text);
}

#[tokio::test]
async fn dead_letters_are_listed_by_reason_and_replayed_one_by_one_when_confirmed() {
    let names = orders("adm", 2);
    let service = with_orphans(Setup::new().await, &names).await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish_bytes(b"no json", BasicProperties::default()).await;
    wait_for_ready(&service, LETTERS, 3).await;
    let all = service.admin_get("/v1/dead-letters").await.json;
    assert_eq!(all["reasons"], json!({ "invalid_json": 1, "missing_field": 2 }), "{all}");
    assert_eq!((&all["in_queue"], &all["selected"]), (&json!(3), &json!(3)));
    assert_eq!(ids(&service, "?reason=invalid_json").await.len(), 1);
    assert_eq!(ids(&service, "?reason=invalid_json,missing_field&limit=2").await.len(), 2);
    let [id] = &ids(&service, "?order=adm-001").await[..] else { panic!("one letter of that order") };
    let path = format!("/v1/dead-letters/{id}");
    let shown = service.admin_get(&path).await;
    assert_eq!(
        (&shown.json["order_id"], &shown.json["headers"]["x-reason"]),
        (&json!("adm-001"), &json!("missing_field"))
    );
    assert!(!shown.text.contains("openid-canary"), "{}", shown.text);
    assert!(service.admin_get(&format!("{path}?body=true")).await.text.contains("openid-canary"));

    let replay = format!("{path}/replay");
    service.admin_post(&replay, &json!({})).await.assert_problem(400, "bad_request");
    service.admin_post(&replay, &json!({ "confirm": false })).await.assert_problem(400, "not_confirmed");
    assert_eq!(post_form(&service, &format!("/dead-letters/{id}/replay"), "again=yes").await.status, 400);
    assert_eq!(ready(&service, LETTERS).await, 3);
    // Bad for this service still: it comes back, and is not replayed a second time unless that is meant.
    let done = service.admin_post(&replay, &json!({ "confirm": true })).await;
    assert_eq!((done.status, &done.json["outcome"]), (200, &json!("replayed")), "{}", done.text);
    wait_for_ready(&service, LETTERS, 3).await;
    service.admin_post(&replay, &json!({ "confirm": true })).await.assert_problem(409, "failed_again");
    let again = service.admin_post(&replay, &json!({ "confirm": true, "again": true })).await;
    assert_eq!(again.status, 200, "{}", again.text);
    wait_for_ready(&service, LETTERS, 3).await;

    // Good for another one.
    let service = stopped(service).await;
    let adopting = adopting(&service).await;
    let page = service_page(&adopting, &format!("/dead-letters/{id}/replay")).await;
    assert!(page.contains("Replay this dead letter?"), "{page}");
    let done = post_form(&adopting, &format!("/dead-letters/{id}/replay"), "confirm=yes&again=yes").await;
    assert!(done.status == 200 && done.text.contains("<h1>Replayed</h1>"), "{}", done.text);
    all_succeeded(&adopting, &names[1..]).await;
    wait_for_ready(&adopting, LETTERS, 2).await;
    adopting.admin_post(&replay, &json!({ "confirm": true })).await.assert_problem(404, "unknown_dead_letter");

    // Bad for good: not offered, and not done unless that is meant.
    let [id] = &ids(&adopting, "?reason=invalid_json").await[..] else { panic!("one letter of that reason") };
    let path = format!("/v1/dead-letters/{id}");
    adopting
        .admin_post(&format!("{path}/replay"), &json!({ "confirm": true }))
        .await
        .assert_problem(409, "bad_for_good");
    let page = service_page(&adopting, &format!("/dead-letters/{id}")).await;
    assert!(page.contains("A replay cannot help") && !page.contains(&format!("{id}/replay")), "{page}");
    let told = adopting.setup.command(&["dead-letters", "replay", "--id", id]);
    let (_, out, err) = tools::end_of(told, String::new()).await;
    assert!(out.contains("the message itself is bad (invalid_json)"), "{out}{err}");
    let discard = format!("{path}/discard");
    adopting.admin_post(&discard, &json!({ "confirm": false })).await.assert_problem(400, "not_confirmed");
    assert_eq!(post_form(&adopting, &format!("/dead-letters/{id}/discard"), "").await.status, 400);
    let done = post_form(&adopting, &format!("/dead-letters/{id}/discard"), "confirm=yes").await;
    assert!(done.status == 200 && done.text.contains("<h1>Discarded</h1>"), "{}", done.text);
    wait_for_ready(&adopting, LETTERS, 1).await;
    adopting.admin_post(&discard, &json!({ "confirm": true })).await.assert_problem(404, "unknown_dead_letter");
}

async fn service_page(service: &Service, path: &str) -> String {
    let answer = service.admin_get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.text
}

#[tokio::test]
async fn a_refresh_of_the_page_spends_no_look() {
    let service = with_orphans(Setup::new().await, &orders("look", 1)).await;
    for _ in 0..5 {
        assert!(service_page(&service, "/dead-letters").await.contains("look-000"));
        service_page(&service, "/").await;
    }
    let letters = service.admin_get("/v1/dead-letters").await.json;
    // The page's first look alone.
    assert_eq!(letters["dead_letters"][0]["delivery_count"], 1, "{letters}");
    assert_eq!(post_form(&service, "/dead-letters/look", "").await.status, 200);
    let letters: Value = service.admin_get("/v1/dead-letters").await.json;
    assert_eq!(letters["dead_letters"][0]["delivery_count"], 3, "{letters}");
}

#[tokio::test]
async fn a_real_browser_shows_it_on_desktop_and_phone_and_keeps_it_live() {
    let setup = Setup::new().await.set("DEMO__ENABLED", true).set("ADMIN__TOKEN", TOKEN).set("INSTANCE", "node-1");
    let service = setup.set("ESCALATION__ORDERS", "all").set("ESCALATION__AFTER", "5s").start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for status in ["PAID", "unpaid"] {
        let bad = changed(event("lost-1", "succeeded"), json!({ "status": status }));
        publisher.publish(&bad).await;
    }
    wait_for_ready(&service, LETTERS, 2).await;
    for [event_id, status, second] in [
        ["e-5", "processing", "05"],
        ["e-7", "succeeded", "07"],
        ["e-7", "succeeded", "07"],
        ["e-6", "processing", "06"],
        ["e-9", "failed", "09"],
    ] {
        let changes = json!({ "event_id": event_id, "occurred_at": format!("2026-01-31T08:30:{second}+08:00") });
        publisher.publish(&changed(event("whole-timeline", status), changes)).await;
    }
    let mut command = Command::new("node");
    command
        .args(["--test", "admin.test.mjs"])
        .env("ADMIN_URL", format!("http://{}", service.admin))
        .env("ADMIN_TOKEN", TOKEN)
        .env("DEMO_URL", format!("http://{}", service.http))
        .current_dir(tools::browser_tests());
    if std::env::var_os("SCREENSHOTS").is_none() {
        command.env("SCREENSHOTS", service.setup.folder());
    }
    println!("{}", tools::run(command, String::new()).await);
}
