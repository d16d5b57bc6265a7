//! Pages of a foreign origin: a browser lets them read nothing by HTTP; on a WebSocket they have what their ticket gives.

use reqwest::Method;
use reqwest::header::ORIGIN;
use serde_json::json;

use crate::ledger::row;
use crate::support::{Answer, EventStream, Page, Publisher, Setup, event, ticket};

const OURS: &str = "https://shop.example";

#[tokio::test]
async fn a_foreign_origin_reads_nothing_over_http_and_has_nothing_without_a_ticket() {
    let service = Setup::new().await.set("HTTP__ALLOWED_ORIGINS", OURS).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("origin-1", "processing")).await;
    let good = ticket("origin-1");
    service.payment_with_status("origin-1", &good, "processing").await;
    let origins = ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null", ""];
    let mut asked = 0;
    for origin in origins {
        let targets = [
            (Method::GET, "/v1/payments/origin-1", 200),
            (Method::GET, "/v1/payments/other", 403),
            (Method::POST, "/v1/payments/origin-1/ack", 415),
            (Method::POST, "/v1/tickets", 401),
            (Method::GET, "/openapi.json", 200),
            (Method::GET, "/nothing", 404),
            (Method::OPTIONS, "/v1/payments/origin-1", 200),
        ];
        for (method, target, status) in targets {
            let request = service.request(method.clone(), target).bearer_auth(&good).header(ORIGIN, origin);
            let answer = Answer::of(request.header("access-control-request-method", "GET")).await;
            assert_eq!(answer.status, status, "{origin} {method} {target}: {}", answer.text);
            for header in ["access-control-allow-origin", "access-control-allow-credentials"] {
                assert_eq!(answer.header(header), "", "{origin} {method} {target}");
            }
            asked += 1;
        }
        // Caches must not give one origin's answer to another.
        let answer = Answer::of(service.request(Method::GET, "/v1/payments/origin-1").bearer_auth(&good)).await;
        assert!(answer.header("vary").to_lowercase().contains("origin"), "{:?}", answer.headers);

        // What a browser would send along by itself is worth nothing.
        let cookie = format!("ticket={good}; authorization=Bearer {good}");
        let headers = [("origin", origin), ("cookie", cookie.as_str())];
        let (mut page, _) = Page::open_with(&service, "/v1/ws", &headers).await;
        page.ping_pong().await;
        page.send(&json!({ "type": "ack", "order_id": "origin-1", "version": 1 })).await;
        page.error("forbidden").await;
        // A ticket is: mini-programs and web views send origins of all kinds, or none.
        assert_eq!(page.subscribe(&good).await["status"], "processing");
        asked += 2;
    }
    let answer = service.request(Method::GET, "/v1/payments/origin-1").header("cookie", format!("ticket={good}"));
    Answer::of(answer).await.assert_problem(401, "invalid_ticket");
    let refused = EventStream::open_with(&service, "origin-1", "", "", None).await.err().unwrap();
    refused.assert_problem(401, "invalid_ticket");
    row(&format!("foreign-origin runs={asked} lost=0"));
}
