//! A node that stops: whom it refuses, how its pages end, and when they are asked to come back.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, EventStream, Heard, Page, Service, Setup, ticket, wait_for, within};

/// A request whose body does not come: the node waits for it, so that there is time to look at it.
async fn unfinished_request(service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect(service.http).await.unwrap();
    let head =
        "POST /v1/payments/drain-1/ack HTTP/1.1\r\nhost: a\r\ncontent-length: 13\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 16];
    // The request is under way once its body is asked for.
    within("100 Continue", stream.read_exact(&mut told)).await.unwrap();
    assert!(told.starts_with(b"HTTP/1.1 100 "));
    stream
}

fn retry_after_s(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap_or_else(|_| panic!("Retry-After in whole seconds: {answer:?}"))
}

#[tokio::test]
async fn a_draining_node_refuses_who_comes_with_503_and_retry_after() {
    let setup = Setup::new().await.set("HTTP__DRAIN_S", 10).set("HTTP__BODY_TIMEOUT_S", 60);
    let mut service = setup.start().await;
    let unfinished = unfinished_request(&service).await;
    let (mut page, _) = Page::subscribed(&service, &ticket("drain-1")).await;
    service.terminate();
    service.wait_unready_for(&["drain"]).await;
    // Until the pages are asked to leave, the consumer still ends.
    wait_for("new connections are refused", async || {
        let request = service.request(Method::GET, "/v1/payments/drain-1").header(AUTHORIZATION, "Bearer none");
        let answer = Answer::of(request.header("connection", "close")).await;
        (answer.status == 503).then(|| {
            answer.assert_problem(503, "unavailable");
            assert!((1..=60).contains(&retry_after_s(&answer)), "{answer:?}");
        })
    })
    .await;
    for target in ["/v1/ws", "/v1/payments/drain-1", "/v1/payments/drain-1/events", "/openapi.json"] {
        let answer = service.get(target, &ticket("drain-1")).await;
        answer.assert_problem(503, "unavailable");
        assert!(retry_after_s(&answer) >= 1, "{target}");
    }
    let refused = Page::try_open(&service, "/v1/ws", &[]).await.err().expect("refused");
    let tokio_tungstenite::tungstenite::Error::Http(answer) = refused else { panic!("an answer: {refused}") };
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());

    assert_eq!(page.frame().await["type"], "reconnect");
    assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
    drop(unfinished);
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
}

#[tokio::test]
async fn the_more_pages_a_node_has_the_wider_is_the_span_in_which_they_are_to_come_back() {
    const PAGES: usize = 60;
    let setup = Setup::new().await.set("HTTP__RECONNECT_PAGES_PER_S_MAX", 10);
    let mut service = setup.set("HTTP__CONNECTIONS_PER_TICKET_MAX", PAGES).start().await;
    let watched = ticket("spread-1");
    let mut pages = Vec::new();
    for _ in 0..PAGES {
        pages.push(Page::subscribed(&service, &watched).await.0);
    }
    service.terminate();
    let mut spread_ms = Vec::new();
    for page in &mut pages {
        let frame = page.frame().await;
        assert_eq!(frame["type"], "reconnect", "{frame}");
        spread_ms.push(frame["after_ms"].as_u64().expect("milliseconds"));
        assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
    }
    // 60 pages at 10 a second: 6 s. That none of 60 is in the upper half happens once in 10^18.
    assert!(spread_ms.iter().all(|ms| (250..6_250).contains(ms)), "{spread_ms:?}");
    assert!(spread_ms.iter().any(|ms| *ms > 3_250) && spread_ms.iter().any(|ms| *ms < 3_250), "{spread_ms:?}");
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
}

#[tokio::test]
async fn event_streams_and_long_polls_end_whole_and_are_told_when_to_come_back() {
    let mut service = Setup::new().await.set("HTTP__DRAIN_S", 2).start().await;
    let watched = ticket("whole-1");
    let target = "/v1/payments/whole-1/events";
    let stream = service.request(Method::GET, target).header(AUTHORIZATION, format!("Bearer {watched}"));
    let stream = within("the stream opens", stream.send()).await.unwrap();
    let mut second = EventStream::open(&service, "whole-1", &watched).await;
    let (answer, ()) = tokio::join!(service.payment("whole-1", &watched, "?after=0&wait=50"), async {
        wait_for("all three wait", async || {
            (service.metric("payment_notifier_pages_waiting", "").await == 3.0).then_some(())
        })
        .await;
        service.terminate();
    });
    assert_eq!((answer.status, &answer.json["version"]), (200, &0.into()), "{}", answer.text);
    // An answer that breaks off is an error here.
    let text = within("the stream ends", stream.text()).await.expect("the last chunk came");
    let retries: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("retry: ")).map(|ms| ms.parse().unwrap()).collect();
    assert!(retries.len() >= 2 && retries.iter().all(|ms| (250..60_000).contains(ms)), "{text}");
    assert!(text.ends_with("\n\n") && text.trim_end().lines().last().unwrap().starts_with("retry: "), "{text}");
    second.payment().await;
    second.end().await;
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
}
