//! Contract sections 3 and 4: the payment as it stands first, then whatever is newer, by each of the four transports.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::sse::Item;
use crate::support::{Answer, EventStream, Heard, Page, Publisher, Service, Setup, event, ticket, wait_for, within};

/// A service that knows one order, at version 2.
async fn service_with_an_order(order_id: &str) -> (Service, Publisher) {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event(order_id, "pending")).await;
    publisher.publish(&event(order_id, "processing")).await;
    service.payment_with_status(order_id, &ticket(order_id), "processing").await;
    (service, publisher)
}

#[tokio::test]
async fn every_transport_shows_the_same_payment_with_all_that_was_published() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut full = event("full-1", "failed");
    full["amount"] = json!({ "value": 1999, "currency": "CNY" });
    full["provider"] = json!("wechat_pay");
    full["provider_transaction_id"] = json!("4200001");
    full["refund"] = json!({ "status": "partial", "amount": { "value": 99, "currency": "CNY" } });
    full["reason"] = json!({ "code": "declined", "message": "余额不足" });
    full["display"] = json!({ "shop": "一号店", "lines": [1, 2.50, null] });
    publisher.publish(&full).await;

    let ticket = ticket("full-1");
    let polled = service.payment_with_status("full-1", &ticket, "failed").await;
    let expected = json!({
        "order_id": "full-1", "version": 1, "status": "failed", "final": true, "occurred_at": full["occurred_at"],
        "amount": full["amount"], "provider": "wechat_pay", "refund": full["refund"], "reason": full["reason"],
        "display": full["display"],
    });
    assert_eq!(polled, expected);
    assert_eq!(service.payment("full-1", &ticket, "?after=0&wait=20").await.json, expected);
    assert_eq!(Page::subscribed(&service, &ticket).await.1, expected);
    assert_eq!(EventStream::open(&service, "full-1", &ticket).await.payment().await, expected);
}

#[tokio::test]
async fn absent_fields_are_left_out() {
    let (service, _publisher) = service_with_an_order("bare-1").await;
    let payment = service.payment("bare-1", &ticket("bare-1"), "").await.json;
    let names: Vec<_> = payment.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["final", "occurred_at", "order_id", "status", "version"]);
}

#[tokio::test]
async fn poll_answers_with_an_etag_and_304_while_nothing_changed() {
    let (service, publisher) = service_with_an_order("poll-1").await;
    let ticket = ticket("poll-1");
    let answer = service.payment("poll-1", &ticket, "").await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""));

    let conditional = async |etag: &str| {
        let request = service.request(Method::GET, "/v1/payments/poll-1").bearer_auth(&ticket);
        Answer::of(request.header("if-none-match", etag)).await
    };
    for matching in ["\"2\"", "\"1\", \"2\"", "W/\"2\"", "*"] {
        let answer = conditional(matching).await;
        assert_eq!((answer.status, answer.text.as_str(), answer.header("etag")), (304, "", "\"2\""), "{matching}");
    }
    assert_eq!(conditional("\"1\"").await.status, 200);

    publisher.publish(&event("poll-1", "succeeded")).await;
    service.payment_with_status("poll-1", &ticket, "succeeded").await;
    let answer = conditional("\"2\"").await;
    assert_eq!((answer.status, answer.header("etag"), &answer.json["final"]), (200, "\"3\"", &json!(true)));
}

#[tokio::test]
async fn an_order_never_heard_of_is_version_zero_on_every_transport() {
    let service = Service::start().await;
    let ticket = ticket("nobody-1");
    let answer = service.payment("nobody-1", &ticket, "").await;
    let unknown = json!({ "order_id": "nobody-1", "version": 0, "status": "unknown", "final": false });
    assert_eq!((answer.status, answer.json), (200, unknown.clone()));
    let waited = service.payment("nobody-1", &ticket, "?after=0&wait=1").await;
    assert_eq!((waited.status, waited.json), (200, unknown));
    let (mut page, payment) = Page::subscribed(&service, &ticket).await;
    assert_eq!(payment, Value::Null);

    let mut stream = EventStream::open(&service, "nobody-1", &ticket).await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("nobody-1", "succeeded")).await;
    assert_eq!(page.payment_with_status("succeeded").await["version"], 1);
    let mut seen = stream.payment().await;
    if seen["version"] == 0 {
        seen = stream.payment().await;
    }
    assert_eq!((&seen["version"], &seen["status"]), (&json!(1), &json!("succeeded")));
}

#[tokio::test]
async fn a_long_poll_waits_for_another_version_than_the_one_it_names() {
    let (service, publisher) = service_with_an_order("long-1").await;
    let ticket = ticket("long-1");

    // Any other version answers at once: an older one, none, and one that this store never gave.
    for after in [0, 1, 3, 99] {
        let answer = within("at once", service.payment("long-1", &ticket, &format!("?after={after}&wait=50"))).await;
        assert_eq!((answer.status, &answer.json["version"]), (200, &json!(2)), "after={after}");
    }

    // The same version waits for its time, and then says what still stands.
    let begun = std::time::Instant::now();
    let answer = service.payment("long-1", &ticket, "?after=2&wait=1").await;
    assert_eq!((answer.status, &answer.json["version"]), (200, &json!(2)));
    assert!(begun.elapsed().as_millis() >= 950, "{:?}", begun.elapsed());

    // And it ends early when something happens.
    let waiting = service.payment("long-1", &ticket, "?after=2&wait=50");
    let publishing = async {
        publisher.publish(&event("long-1", "succeeded")).await;
    };
    let (answer, ()) = within("the new version", async { tokio::join!(waiting, publishing) }).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"3\""));
    assert_eq!(answer.json["status"], "succeeded");
}

#[tokio::test]
async fn an_event_stream_begins_with_the_payment_unless_the_page_has_it() {
    let service = Setup::new().await.set("HTTP__HEARTBEAT_S", 1).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("sse-1", "processing")).await;
    let ticket = ticket("sse-1");
    service.payment_with_status("sse-1", &ticket, "processing").await;

    let open = async |query: &str, last_event_id: Option<&str>| {
        EventStream::open_with(&service, "sse-1", &ticket, query, last_event_id).await.unwrap()
    };
    for (query, last_event_id) in [("", None), ("?after=0", None), ("?after=7", None), ("", Some("7"))] {
        let first = open(query, last_event_id).await.payment().await;
        assert_eq!(first["version"], 1, "{query} {last_event_id:?}");
    }
    let mut caught_up = [
        open("?after=1", None).await,
        open("", Some("1")).await,
        open("?after=1", Some("7")).await,
        open("?after=7", Some("1")).await,
    ];
    for stream in &mut caught_up {
        assert_eq!(stream.next().await, Item::Comment, "a heartbeat, not the payment that the page has");
    }
    publisher.publish(&event("sse-1", "succeeded")).await;
    for stream in &mut caught_up {
        let payment = stream.payment().await;
        assert_eq!((&payment["version"], &payment["status"]), (&json!(2), &json!("succeeded")));
    }
}

#[tokio::test]
async fn acknowledgements_are_taken_over_http_and_over_the_socket() {
    let (service, _publisher) = service_with_an_order("ack-1").await;
    let ticket = ticket("ack-1");
    let ack = async |body: Value| service.post("/v1/payments/ack-1/ack", &ticket, &body).await;
    for version in [2, 2, 1] {
        let answer = ack(json!({ "version": version })).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "version {version}");
    }
    for impossible in [json!({ "version": 3 }), json!({ "version": 0 }), json!({ "version": "2" }), json!({})] {
        let answer = ack(impossible.clone()).await;
        assert!((400..500).contains(&answer.status), "{impossible}: {}", answer.text);
        answer.assert_is_problem();
    }

    let (mut page, _) = Page::subscribed(&service, &ticket).await;
    page.send(&json!({ "type": "ack", "order_id": "ack-1", "version": 2 })).await;
    page.ping_pong().await;
    page.send(&json!({ "type": "ack", "order_id": "somebody-elses", "version": 1 })).await;
    let frame = page.frame().await;
    assert_eq!(frame["type"], "error", "{frame}");
    page.ping_pong().await;
}

#[tokio::test]
async fn one_ticket_may_name_several_orders_and_each_is_answered() {
    let (service, publisher) = service_with_an_order("many-1").await;
    let ticket = ticket(json!(["many-1", "many-2", "many-3"]));
    let mut page = Page::open(&service).await;
    page.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
    let mut subscribed = Vec::new();
    for _ in 0..3 {
        let frame = page.frame().await;
        assert_eq!(frame["type"], "subscribed");
        subscribed.push((frame["order_id"].as_str().unwrap().to_owned(), frame["payment"]["version"].clone()));
    }
    subscribed.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [("many-1", json!(2)), ("many-2", Value::Null), ("many-3", Value::Null)];
    assert_eq!(subscribed, expected.map(|(order_id, version)| (order_id.to_owned(), version)));

    publisher.publish(&event("many-3", "succeeded")).await;
    let payment = page.payment().await;
    assert_eq!((&payment["order_id"], &payment["status"]), (&json!("many-3"), &json!("succeeded")));
    for order_id in ["many-1", "many-2", "many-3"] {
        assert_eq!(service.payment(order_id, &ticket, "").await.status, 200);
    }
}

#[tokio::test]
async fn an_unsubscribed_order_is_quiet_and_may_be_subscribed_again() {
    let (service, publisher) = service_with_an_order("quiet-1").await;
    let both = ticket(json!(["quiet-1", "loud-1"]));
    let mut page = Page::open(&service).await;
    page.send(&json!({ "type": "subscribe", "ticket": both })).await;
    page.frame().await;
    page.frame().await;
    page.send(&json!({ "type": "unsubscribe", "order_id": "quiet-1" })).await;
    page.ping_pong().await;

    publisher.publish(&event("quiet-1", "succeeded")).await;
    service.payment_with_status("quiet-1", &both, "succeeded").await;
    publisher.publish(&event("loud-1", "succeeded")).await;
    assert_eq!(page.payment().await["order_id"], "loud-1");

    assert_eq!(page.subscribe(&ticket("quiet-1")).await["status"], "succeeded");
}

#[tokio::test]
async fn a_subscribed_page_gets_each_newer_version_and_nothing_else() {
    let (service, publisher) = service_with_an_order("newer-1").await;
    let (mut page, payment) = Page::subscribed(&service, &ticket("newer-1")).await;
    assert_eq!(payment["version"], 2);

    let repeated = event("newer-1", "authorized");
    publisher.publish(&repeated).await;
    assert_eq!(page.payment().await["version"], 3);
    publisher.publish(&repeated).await;
    let mut stale = event("newer-1", "pending");
    stale["occurred_at"] = json!("2020-01-01T00:00:00Z");
    publisher.publish(&stale).await;
    publisher.publish(&event("newer-1", "failed")).await;
    let failed = page.payment().await;
    assert_eq!((&failed["version"], &failed["status"], &failed["final"]), (&json!(4), &json!("failed"), &json!(true)));
    // Money moved after all.
    publisher.publish(&event("newer-1", "succeeded")).await;
    let succeeded = page.payment().await;
    assert_eq!((&succeeded["version"], &succeeded["status"]), (&json!(5), &json!("succeeded")));
}

#[tokio::test]
async fn the_socket_takes_its_ticket_from_a_frame_a_header_or_the_address() {
    let (service, _publisher) = service_with_an_order("three-1").await;
    let ticket = ticket("three-1");
    let authorization = format!("Bearer {ticket}");
    let by_address = Page::open_with(&service, &format!("/v1/ws?ticket={ticket}"), &[]).await.0;
    let by_header = Page::open_with(&service, "/v1/ws", &[("authorization", &authorization)]).await.0;
    for mut page in [by_address, by_header] {
        let frame = page.frame().await;
        assert_eq!((&frame["type"], &frame["order_id"]), (&json!("subscribed"), &json!("three-1")));
        assert_eq!(frame["payment"]["version"], 2);
        page.ping_pong().await;
    }
    let by_query = Answer::of(service.request(Method::GET, &format!("/v1/payments/three-1?ticket={ticket}"))).await;
    assert_eq!((by_query.status, &by_query.json["version"]), (200, &json!(2)));
}

#[tokio::test]
async fn the_socket_echoes_its_own_subprotocol_and_no_other() {
    let service = Service::start().await;
    let echoed = async |offered: &str| {
        let headers = [("sec-websocket-protocol", offered)];
        let answer = Page::try_open(&service, "/v1/ws", &headers).await;
        match answer {
            Ok((mut page, response)) => {
                page.ping_pong().await;
                response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned())
            }
            // The client library itself refuses a handshake that echoes nothing of what it offered.
            Err(e) if e.to_string().to_lowercase().contains("subprotocol") => None,
            Err(e) => panic!("{offered}: {e}"),
        }
    };
    assert_eq!(echoed("payment-notifier.v1").await.as_deref(), Some("payment-notifier.v1"));
    assert_eq!(echoed("chat, payment-notifier.v1").await.as_deref(), Some("payment-notifier.v1"));
    assert_eq!(echoed("chat").await, None);
}

#[tokio::test]
async fn a_page_that_closes_is_answered_and_forgotten() {
    let (service, _publisher) = service_with_an_order("bye-1").await;
    let (mut page, _) = Page::subscribed(&service, &ticket("bye-1")).await;
    let waiting = async || service.metric("payment_notifier_pages_waiting", "websocket").await;
    wait_for("the page waits", async || (waiting().await == 1.0).then_some(())).await;
    page.close().await;
    assert!(matches!(page.hear().await, Heard::Closed(_)));
    wait_for("no page waits", async || (waiting().await == 0.0).then_some(())).await;
}
