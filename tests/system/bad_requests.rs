//! Contract section 4: every HTTP error is a problem document with a stable code, and nobody holds a connection for
//! longer than its bounds allow.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ORIGIN};
use serde_json::json;

use crate::support::http::{send_raw, status_of};
use crate::support::ticket::API_KEY;
use crate::support::{Answer, Publisher, Service, Setup, event, ticket};

#[tokio::test]
async fn bad_query_values_are_refused() {
    let service = Service::start().await;
    let ticket = ticket("q-1");
    let queries = [
        "?wait=51&after=0",
        "?wait=-1&after=0",
        "?wait=1.5&after=0",
        "?wait=&after=0",
        "?wait=soon",
        "?after=-1",
        "?after=x",
        "?after=18446744073709551616",
        "?after=1&after=2",
    ];
    for query in queries {
        let answer = service.payment("q-1", &ticket, query).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_request"), "{query}: {}", answer.text);
        answer.assert_is_problem();
    }
    assert_eq!(service.payment("q-1", &ticket, "?wait=50&after=9&unknown=parameter").await.status, 200);
    service.get("/v1/payments/q-1/events?after=x", &ticket).await.assert_problem(400, "bad_request");
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problem_documents_too() {
    let service = Service::start().await;
    for target in
        ["/", "/v1", "/v2/ws", "/v1/payments", "/v1/payments/", "/v1/payments/a/b/c", "/metrics", "/readyz", "/demo"]
    {
        let answer = service.get(target, "").await;
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{target}");
        answer.assert_is_problem();
    }
    for (method, target) in [
        (Method::POST, "/v1/ws"),
        (Method::DELETE, "/v1/payments/a"),
        (Method::PUT, "/v1/payments/a/ack"),
        (Method::GET, "/v1/payments/a/ack"),
        (Method::GET, "/v1/tickets"),
        (Method::TRACE, "/v1/payments/a"),
    ] {
        let answer = Answer::of(service.request(method.clone(), target)).await;
        assert_eq!((answer.status, answer.code()), (405, "method_not_allowed"), "{method} {target}");
        answer.assert_is_problem();
        assert!(!answer.header("allow").is_empty(), "{method} {target}");
    }
    // Not a WebSocket handshake.
    let answer = service.get("/v1/ws", "").await;
    assert!((400..=426).contains(&answer.status), "{}", answer.text);
    answer.assert_is_problem();
}

#[tokio::test]
async fn odd_order_numbers_in_the_address_are_answers_and_not_failures() {
    let service = Service::start().await;
    let ticket = ticket("odd-1");
    let orders =
        ["%00", "%ff", "%2e%2e", "a%2fb", "%E8%AE%A2%E5%8D%95", "a%20b", "*", "'", &"x".repeat(65), &"x".repeat(5000)];
    for order_id in orders {
        let answer = service.payment(order_id, &ticket, "").await;
        assert!((400..=404).contains(&answer.status), "{order_id}: {} {}", answer.status, answer.text);
        answer.assert_is_problem();
    }
}

#[tokio::test]
async fn odd_addresses_of_operators_are_answers_too() {
    let service = Service::start().await;
    for (target, status, code) in [
        ("/v1/orders/%ff/a", 400, "bad_request"),
        ("/v1/dead-letters/%ff", 400, "bad_request"),
        ("/readyz/%ff", 404, "unknown_part"),
    ] {
        service.admin_get(target).await.assert_problem(status, code);
    }
    let looked = service.admin_get("/dead-letters/look").await;
    assert_eq!(looked.status, 200, "it leads to the list: {}", looked.text);
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let service = Service::start().await;
    let ticket = ticket("b-1");
    let post = async |target: &str, bearer: &str, kind: &str, body: String| {
        let request = service.request(Method::POST, target).bearer_auth(bearer);
        let request = if kind.is_empty() { request } else { request.header(CONTENT_TYPE, kind) };
        Answer::of(request.body(body)).await
    };
    let json = "application/json";
    for (target, bearer) in [("/v1/payments/b-1/ack", ticket.as_str()), ("/v1/tickets", API_KEY)] {
        for malformed in ["", "hunter2", "{\"version\":", "[]", "null", "{}", "{\"version\":1.5}"] {
            let answer = post(target, bearer, json, malformed.to_owned()).await;
            assert!(matches!(answer.status, 400 | 422), "{target} {malformed}: {} {}", answer.status, answer.text);
            assert_eq!(answer.code(), "bad_request");
            answer.assert_is_problem();
        }
        for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"] {
            let answer = post(target, bearer, kind, json!({ "version": 1 }).to_string()).await;
            answer.assert_problem(415, "unsupported_media_type");
        }
        let large = json!({ "version": 1, "padding": "x".repeat(70_000) }).to_string();
        post(target, bearer, json, large).await.assert_problem(413, "too_large");
    }
}

#[tokio::test]
async fn a_huge_header_is_refused_and_costs_nobody_else_anything() {
    let service = Setup::new().await.set("HTTP__HEADER_TIMEOUT_S", 2).start().await;
    let huge = format!("GET / HTTP/1.1\r\nhost: a\r\nx-padding: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x-a: b\r\n".repeat(500));
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(64 * 1024));
    for request in [huge, many, long_target] {
        let address = service.http;
        let (answer, _) = tokio::task::spawn_blocking(move || send_raw(address, request.as_bytes())).await.unwrap();
        // The rest of the header may still be on its way when the connection is reset, and take the answer with it.
        assert!(answer.is_empty() || matches!(status_of(&answer), 400 | 414 | 431), "{answer}");
    }
    for garbage in ["\r\n\r\n\r\n", "hunter2\r\n\r\n", "GET / HTTP/3\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}"] {
        let (address, garbage) = (service.http, format!("{garbage}\r\n\r\n"));
        let (answer, _) = tokio::task::spawn_blocking(move || send_raw(address, garbage.as_bytes())).await.unwrap();
        assert!(matches!(status_of(&answer), 0 | 400), "{answer}");
    }
    service.get("/", "").await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn a_slow_header_or_body_is_given_up_after_its_time() {
    let service = Setup::new().await.set("HTTP__HEADER_TIMEOUT_S", 1).start().await;
    let partial = ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: ", "GET"];
    for request in partial {
        let address = service.http;
        let raw = tokio::task::spawn_blocking(move || send_raw(address, request.as_bytes()));
        let (answer, open_for) = raw.await.unwrap();
        assert!(matches!(status_of(&answer), 0 | 400 | 408), "{request:?}: {answer}");
        assert!(open_for.as_millis() >= 900 && open_for.as_secs() < 15, "{request:?}: {open_for:?}");
    }
}

#[tokio::test]
async fn only_allowed_origins_may_call_from_a_browser() {
    let service = Setup::new().await.set("HTTP__ALLOWED_ORIGINS", "https://shop.example,https://m.example:8443");
    let service = service.start().await;
    let ticket = ticket("cors-1");
    let allowed = async |origin: &str| {
        let request = service.request(Method::GET, "/v1/payments/cors-1").bearer_auth(&ticket);
        let answer = Answer::of(request.header(ORIGIN, origin)).await;
        assert_eq!(answer.status, 200);
        let preflight = service
            .request(Method::OPTIONS, "/v1/payments/cors-1")
            .header(ORIGIN, origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization,if-none-match");
        let preflight = Answer::of(preflight).await;
        let header = "access-control-allow-origin";
        assert_eq!(answer.header(header), preflight.header(header));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        if !preflight.header(header).is_empty() {
            assert!(preflight.header("access-control-allow-headers").to_lowercase().contains("authorization"));
            assert!(answer.header("access-control-expose-headers").to_lowercase().contains("etag"));
        }
        answer.header(header).to_owned()
    };
    for origin in ["https://shop.example", "https://m.example:8443"] {
        assert_eq!(allowed(origin).await, origin);
    }
    let strangers = [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example.evil.example",
        "https://m.example",
        "null",
    ];
    for origin in strangers {
        assert_eq!(allowed(origin).await, "", "{origin}");
    }
    // A browser must be able to read why it was refused.
    let refused = service.request(Method::GET, "/v1/payments/cors-1").header(ORIGIN, "https://shop.example");
    let refused = Answer::of(refused).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "https://shop.example"));
}

#[tokio::test]
async fn without_allowed_origins_no_browser_may_call() {
    let service = Service::start().await;
    let request = service.request(Method::GET, "/v1/payments/cors-2").bearer_auth(ticket("cors-2"));
    let answer = Answer::of(request.header(ORIGIN, "https://shop.example")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn more_connections_than_allowed_are_told_so_and_the_others_work_on() {
    let service = Setup::new().await.set("HTTP__CONNECTIONS_MAX", 3).start().await;
    let ticket = ticket("full-1");
    let mut pages = Vec::new();
    for _ in 0..3 {
        pages.push(crate::support::Page::subscribed(&service, &ticket).await.0);
    }
    let address = service.http;
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let (answer, _) = tokio::task::spawn_blocking(move || send_raw(address, request)).await.unwrap();
    assert!(answer.is_empty() || status_of(&answer) == 503, "{answer}");
    Publisher::connect(service.vhost()).await.publish(&event("full-1", "succeeded")).await;
    for page in &mut pages {
        assert_eq!(page.payment().await["status"], "succeeded");
    }
}
