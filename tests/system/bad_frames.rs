//! Contract section 3: what a socket may not do, with an error frame before every close, since mini-programs lose or
//! invent close codes.

use futures_util::future::join_all;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::raw::RawSocket;
use crate::support::{EventStream, Heard, Page, Publisher, Service, Setup, event, ticket, wait_for};

#[tokio::test]
async fn frames_that_are_not_of_the_protocol_get_an_error_frame_and_close_4400() {
    let service = Service::start().await;
    let bad = [
        Message::text("hunter2"),
        Message::text(""),
        Message::text("{\"type\":"),
        Message::text("[]"),
        Message::text("null"),
        Message::text("{}"),
        Message::text(json!({ "type": "publish" }).to_string()),
        Message::text(json!({ "type": 1 }).to_string()),
        Message::text(json!({ "type": "subscribe" }).to_string()),
        Message::text(json!({ "type": "subscribe", "ticket": 7 }).to_string()),
        Message::text(json!({ "type": "ack", "order_id": "a" }).to_string()),
        Message::text(json!({ "type": "ack", "order_id": "a", "version": -1 }).to_string()),
        Message::text("[".repeat(8000)),
        Message::binary(b"{\"type\":\"ping\"}".as_slice()),
    ];
    for message in bad {
        let shown = format!("{message:.60?}");
        let mut page = Page::open(&service).await;
        page.send_message(message).await;
        let frame = page.frame().await;
        assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("bad_request")), "{shown}: {frame}");
        assert_eq!(page.hear().await, Heard::Closed(Some(4400)), "{shown}");
    }
}

#[tokio::test]
async fn frames_that_break_the_websocket_standard_get_an_error_frame_and_close_4400() {
    let service = Service::start().await;
    let broken: [(&str, &[u8]); 5] = [
        ("not masked", b"\x81\x02{}"),
        ("not UTF-8", b"\x81\x82\0\0\0\0\xff\xfe"),
        ("a reserved bit", b"\xc1\x82\0\0\0\0{}"),
        ("an unknown opcode", b"\x83\x82\0\0\0\0{}"),
        ("a continuation of nothing", b"\x80\x82\0\0\0\0{}"),
    ];
    for (what, bytes) in broken {
        let mut socket = RawSocket::open(&service, "/v1/ws").await;
        socket.send(bytes).await;
        let Heard::Frame(frame) = socket.hear().await else { panic!("{what}: an error frame comes first") };
        assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("bad_request")), "{what}");
        assert_eq!(socket.hear().await, Heard::Closed(Some(4400)), "{what}");
    }
}

#[tokio::test]
async fn an_error_never_repeats_what_the_page_sent() {
    let service = Service::start().await;
    let mut page = Page::open(&service).await;
    let canary = "eyJhbGciOiJIUzI1NiJ9.canary";
    page.send_message(Message::text(format!("{{\"type\":\"subscribe\",\"ticket\":\"{canary}\",}}"))).await;
    let frame = page.error("bad_request").await;
    assert!(!frame.to_string().contains("canary"), "{frame}");
}

#[tokio::test]
async fn an_oversize_frame_gets_an_error_frame_and_close_4413() {
    let service = Service::start().await;
    // The largest that is allowed is read, and found to be no JSON of the protocol.
    let mut page = Page::open(&service).await;
    page.send_message(Message::text("x".repeat(8192))).await;
    page.error_then_close("bad_request", 4400).await;

    for bytes in [8193, 60_000, 70_000, 1_000_000] {
        let mut page = Page::open(&service).await;
        page.flood_message(Message::text("x".repeat(bytes))).await;
        page.error_then_close("bad_request", 4413).await;
    }
    // A length alone is enough: nothing is kept ready for bytes that are only promised.
    for bytes in [1 << 20, 1 << 40, i64::MAX as u64] {
        let mut socket = RawSocket::open(&service, "/v1/ws").await;
        socket.promise_text(bytes).await;
        let Heard::Frame(frame) = socket.hear().await else { panic!("an error frame comes first") };
        assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!("bad_request")));
        assert_eq!(socket.hear().await, Heard::Closed(Some(4413)));
    }
}

#[tokio::test]
async fn a_silent_page_gets_an_error_frame_and_close_4408_and_one_that_answers_pings_stays() {
    let service = Setup::new().await.set("HTTP__SILENT_S", 10).set("HTTP__PING_S", 2).start().await;
    let ticket = ticket("silent-1");
    let (mut alive, _) = Page::subscribed(&service, &ticket).await;
    let silent = async {
        let begun = std::time::Instant::now();
        let mut socket = RawSocket::open(&service, &format!("/v1/ws?ticket={ticket}")).await;
        let Heard::Frame(first) = socket.hear().await else { panic!("subscribed comes first") };
        assert_eq!(first["type"], "subscribed");
        let Heard::Frame(frame) = socket.hear().await else { panic!("an error frame comes first") };
        assert_eq!(frame["type"], "error", "{frame}");
        assert_eq!(socket.hear().await, Heard::Closed(Some(4408)));
        begun.elapsed()
    };
    // Reading is what answers pings; nothing is due before the payment is published.
    let (silent_for, payment) = tokio::join!(
        async {
            let silent_for = silent.await;
            Publisher::connect(service.vhost()).await.publish(&event("silent-1", "succeeded")).await;
            silent_for
        },
        alive.payment()
    );
    assert!(silent_for.as_millis() >= 9900, "{silent_for:?}");
    assert_eq!(payment["status"], "succeeded");
}

#[tokio::test]
async fn a_socket_without_a_good_ticket_has_20_s_and_no_ping_or_bad_word_gives_it_more() {
    let setup = Setup::new().await.set("HTTP__TICKET_WAIT_S", 6).set("HTTP__PING_S", 2);
    let service = setup.start().await;
    let (mut subscribed, _) = Page::subscribed(&service, &ticket("waits-1")).await;
    // Who had a good ticket and watches nothing for the moment has as long as anybody.
    let mut left = Page::open(&service).await;
    left.subscribe(&ticket("waits-1")).await;
    left.send(&json!({ "type": "unsubscribe", "order_id": "waits-1" })).await;
    let began = std::time::Instant::now();
    let mut page = Page::open(&service).await;
    let frame = loop {
        page.send(&json!({ "type": "ping" })).await;
        let frame = page.frame().await;
        if frame["type"] == "error" {
            break frame;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert_eq!(frame["code"], "bad_request", "{frame}");
    assert!(frame["message"].as_str().unwrap().contains("ticket"), "{frame}");
    let closed = loop {
        if let Heard::Closed(code) = page.hear().await {
            break code;
        }
    };
    assert_eq!(closed, Some(4408));
    let took = began.elapsed().as_millis();
    assert!((5900..30_000).contains(&took), "{took} ms");
    subscribed.ping_pong().await;
    left.ping_pong().await;
}

#[tokio::test]
async fn one_socket_watches_no_more_orders_than_it_may() {
    let service = Setup::new().await.set("HTTP__SUBSCRIPTIONS_PER_CONNECTION_MAX", 2).start().await;
    let mut page = Page::open(&service).await;
    page.send(&json!({ "type": "subscribe", "ticket": ticket(json!(["a", "b", "c"])) })).await;
    for order_id in ["a", "b"] {
        let frame = page.frame().await;
        assert_eq!((&frame["type"], &frame["order_id"]), (&json!("subscribed"), &json!(order_id)));
    }
    assert_eq!(page.error("too_many_subscriptions").await["order_id"], "c");
    // The two stay, and a place that is given back can be taken.
    Publisher::connect(service.vhost()).await.publish(&event("b", "succeeded")).await;
    assert_eq!(page.payment().await["order_id"], "b");
    page.send(&json!({ "type": "unsubscribe", "order_id": "b" })).await;
    page.subscribe(&ticket("c")).await;
}

#[tokio::test]
async fn a_flood_of_frames_is_rate_limited_and_closed_with_4429() {
    let service = Service::start().await;
    let mut page = Page::open(&service).await;
    page.flood(&json!({ "type": "ping" }), 400).await;
    let mut pongs = 0;
    let error = loop {
        let frame = page.frame().await;
        if frame["type"] != "pong" {
            break frame;
        }
        pongs += 1;
    };
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("rate_limited")));
    assert_eq!(page.hear().await, Heard::Closed(Some(4429)));
    assert!((40..200).contains(&pongs), "the burst is served, the flood is not: {pongs}");
    // Others are not affected.
    Page::open(&service).await.ping_pong().await;
}

#[tokio::test]
async fn one_ticket_holds_no_more_waiting_pages_than_it_may_on_all_transports_together() {
    let service = Setup::new().await.set("HTTP__CONNECTIONS_PER_TICKET_MAX", 2).start().await;
    let ticket = ticket("crowd-1");
    let (page, _) = Page::subscribed(&service, &ticket).await;
    let stream = EventStream::open(&service, "crowd-1", &ticket).await;

    let mut third = Page::open(&service).await;
    third.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
    third.error_then_close("rate_limited", 4429).await;
    let refused = EventStream::open_with(&service, "crowd-1", &ticket, "", None).await;
    refused.err().expect("one stream too many").assert_problem(429, "rate_limited");
    service.payment("crowd-1", &ticket, "?after=0&wait=5").await.assert_problem(429, "rate_limited");
    // Asking without waiting holds nothing, and another ticket has its own places.
    assert_eq!(service.payment("crowd-1", &ticket, "").await.status, 200);
    Page::subscribed(&service, &crate::support::ticket("crowd-2")).await;

    drop((page, stream));
    let mut again = wait_for("the places are given back", async || {
        let mut page = Page::open(&service).await;
        page.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
        (page.frame().await["type"] == "subscribed").then_some(page)
    })
    .await;
    again.ping_pong().await;
}

#[tokio::test]
async fn bad_sockets_cost_a_good_one_nothing() {
    let service = Service::start().await;
    let (mut good, _) = Page::subscribed(&service, &ticket("calm-1")).await;
    let bad = (0..20).map(|n| {
        let service = &service;
        async move {
            let mut page = Page::open(service).await;
            match n % 3 {
                0 => page.flood_message(Message::text("x".repeat(70_000))).await,
                1 => page.flood(&json!({ "type": "ping" }), 200).await,
                _ => page.send_message(Message::text("hunter2")).await,
            }
        }
    });
    let publisher = Publisher::connect(service.vhost()).await;
    let publishing = async { publisher.publish(&event("calm-1", "succeeded")).await };
    let (_, ()) = tokio::join!(join_all(bad), publishing);
    assert_eq!(good.payment().await["status"], "succeeded");
    good.ping_pong().await;
}
