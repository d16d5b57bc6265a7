//! More than the service can do is refused early, with a code and a time to come back, and harms nobody else.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::http::{send_raw, status_of};
use crate::support::{EventStream, Heard, Page, Publisher, Setup, event, ticket, wait_for};

/// Requests at one moment, many times what one reader with a queue of one takes.
const AT_ONCE: usize = 60;

#[tokio::test]
async fn a_connection_too_many_is_told_503_with_retry_after() {
    let service = Setup::new().await.set("HTTP__CONNECTIONS_MAX", 2).start().await;
    let mut pages =
        [Page::subscribed(&service, &ticket("full-2")).await.0, Page::subscribed(&service, &ticket("full-2")).await.0];
    let address = service.http;
    let request = b"GET /v1/payments/full-2 HTTP/1.1\r\nhost: a\r\n\r\n";
    let (answer, _) = tokio::task::spawn_blocking(move || send_raw(address, request)).await.unwrap();
    assert_eq!(status_of(&answer), 503, "{answer}");
    let after = answer.lines().find_map(|line| line.strip_prefix("retry-after: ")).expect("Retry-After");
    assert!(after.parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["code"], "unavailable");
    assert!(service.metric("payment_notifier_http_refused_total", "unavailable").await >= 1.0);
    for page in &mut pages {
        page.ping_pong().await;
    }
    assert_eq!(service.admin_get("/readyz").await.status, 200, "the operators' listener has places of its own");
}

#[tokio::test]
async fn reads_beyond_the_bound_are_refused_on_each_transport_and_those_who_wait_are_unharmed() {
    let setup = Setup::new().await.set("STORE__READS_WAITING_MAX", 1).set("STORE__READERS", 1);
    let service = setup.set("HTTP__CONNECTIONS_PER_TICKET_MAX", 10_000).start().await;
    // Too large to be kept beside the store: each answer is a reading.
    let mut pending = event("busy-1", "pending");
    pending["display"] = json!({ "note": "x".repeat(1500) });
    Publisher::connect(service.vhost()).await.publish(&pending).await;
    let watched = ticket("busy-1");
    wait_for("it is stored", async || service.payment("busy-1", &watched, "").await.text.contains("xxx").then_some(()))
        .await;
    let page = wait_for("a page gets through", async || subscribed(&service, &watched).await).await;
    let mut page = page;

    let polls = async || {
        let answers = join_all((0..AT_ONCE).map(|_| service.payment("busy-1", &watched, ""))).await;
        let mut refused = 0;
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.assert_problem(503, "unavailable");
            assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer:?}");
            refused += 1;
        }
        (refused > 0).then_some(())
    };
    wait_for("polls are refused", polls).await;
    let streams = async || {
        let open = |_| EventStream::open_with(&service, "busy-1", &watched, "", None);
        let refused: Vec<_> = join_all((0..AT_ONCE).map(open)).await.into_iter().filter_map(Result::err).collect();
        refused.iter().for_each(|answer| answer.assert_problem(503, "unavailable"));
        (!refused.is_empty()).then_some(())
    };
    wait_for("streams are refused", streams).await;
    let sockets = async || {
        let all = join_all((0..AT_ONCE).map(|_| subscribed(&service, &watched))).await;
        all.iter().any(Option::is_none).then_some(())
    };
    wait_for("subscriptions are sent away", sockets).await;

    page.ping_pong().await;
    Publisher::connect(service.vhost()).await.publish(&event("busy-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    let complaints = service.logs().complaints();
    assert!(complaints.is_empty(), "anybody can cause it: {complaints:?}");
}

/// Not set for a page that is asked to come back later, which is then closed as a node that drains closes.
async fn subscribed(service: &crate::support::Service, ticket: &str) -> Option<Page> {
    let mut page = Page::open(service).await;
    page.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
    let frame = page.frame().await;
    if frame["type"] == "subscribed" {
        return Some(page);
    }
    assert_eq!(frame["type"], "reconnect", "{frame}");
    assert!(frame["after_ms"].as_u64().is_some_and(|ms| ms >= 250), "{frame}");
    assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
    None
}

#[tokio::test]
async fn a_ticket_that_holds_all_it_may_is_refused_on_each_transport() {
    let service = Setup::new().await.set("HTTP__CONNECTIONS_PER_TICKET_MAX", 3).start().await;
    let watched = ticket("held-1");
    let (mut page, _) = Page::subscribed(&service, &watched).await;
    let mut stream = EventStream::open(&service, "held-1", &watched).await;
    stream.payment().await;
    let held = service.payment("held-1", &watched, "?after=0&wait=50");
    let trying = async {
        wait_for("all three wait", async || {
            (service.metric("payment_notifier_pages_waiting", "").await == 3.0).then_some(())
        })
        .await;
        let answer = service.payment("held-1", &watched, "?after=0&wait=50").await;
        answer.assert_problem(429, "rate_limited");
        assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer:?}");
        let refused = EventStream::open_with(&service, "held-1", &watched, "", None).await.err().expect("refused");
        refused.assert_problem(429, "rate_limited");
        let mut fourth = Page::open(&service).await;
        fourth.send(&json!({ "type": "subscribe", "ticket": watched })).await;
        fourth.error_then_close("rate_limited", 4429).await;
        // Whoever does not wait holds nothing, and another ticket has places of its own.
        assert_eq!(service.payment("held-1", &watched, "").await.status, 200);
        let other = crate::support::ticket::hs256(&crate::support::ticket::changed(
            crate::support::ticket::claims("held-1"),
            json!({ "sub": "another" }),
        ));
        Page::subscribed(&service, &other).await.0.ping_pong().await;
        Publisher::connect(service.vhost()).await.publish(&event("held-1", "succeeded")).await;
    };
    let (answer, ()) = tokio::join!(held, trying);
    assert_eq!(answer.json["status"], "succeeded");
    assert_eq!((page.payment().await, stream.payment().await), (answer.json.clone(), answer.json));
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_a_connection_no_longer_than_it_may() {
    let service = Setup::new().await.set("HTTP__BODY_TIMEOUT_S", 1).start().await;
    let address = service.http;
    let request = b"POST /v1/payments/slow-1/ack HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"version\":";
    let (answer, _) = tokio::task::spawn_blocking(move || send_raw(address, request)).await.unwrap();
    assert_eq!(status_of(&answer), 408, "{answer}");
    assert!(answer.contains(r#""code":"timeout""#), "{answer}");
}
