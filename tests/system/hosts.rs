//! RFC 9112, 3.2: a request names the host that it is for, once, on both listeners and at every address.

use std::net::SocketAddr;

use crate::support::Service;
use crate::support::http::{send_raw, status_of};

async fn asked(address: SocketAddr, method: &str, target: &str, version: &str, hosts: &[&str]) -> String {
    let hosts: String = hosts.iter().map(|host| format!("host: {host}\r\n")).collect();
    let request = format!("{method} {target} HTTP/{version}\r\n{hosts}connection: close\r\ncontent-length: 0\r\n\r\n");
    tokio::task::spawn_blocking(move || send_raw(address, request.as_bytes()).0).await.unwrap()
}

#[tokio::test]
async fn a_request_without_a_host_or_with_two_or_with_none_that_could_be_one_is_400() {
    let service = Service::start().await;
    let (pages, operators) = (service.http, service.admin);
    let targets = [
        (pages, "GET", "/v1/payments/a"),
        (pages, "GET", "/v1/payments/a/events"),
        (pages, "POST", "/v1/payments/a/ack"),
        (pages, "GET", "/v1/ws"),
        (pages, "POST", "/v1/tickets"),
        (pages, "POST", "/v1/callbacks/stripe/shop"),
        (pages, "GET", "/openapi.json"),
        (pages, "GET", "/nowhere"),
        (pages, "OPTIONS", "/v1/payments/a"),
        (pages, "DELETE", "/v1/payments/a"),
        (pages, "GET", "http://shop.example/v1/payments/a"),
        (operators, "GET", "/healthz"),
        (operators, "GET", "/readyz"),
        (operators, "GET", "/metrics"),
        (operators, "GET", "/"),
        (operators, "POST", "/v1/revocations"),
    ];
    for (address, method, target) in targets {
        for (version, hosts) in [
            ("1.1", &[][..]),
            ("1.1", &["shop.example", "shop.example"]),
            ("1.0", &["shop.example", "other.example"]),
            ("1.1", &[""]),
            ("1.1", &["shop.example/"]),
            ("1.1", &["payer@shop.example"]),
            ("1.1", &["shop.example:port"]),
            ("1.1", &["shop example"]),
        ] {
            let answer = asked(address, method, target, version, hosts).await;
            assert_eq!(status_of(&answer), 400, "{method} {target} HTTP/{version} {hosts:?}: {answer}");
            assert!(answer.contains(r#""code":"bad_request""#), "{answer}");
            assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        }
    }
    for (address, target, good) in [(pages, "/openapi.json", 200), (operators, "/healthz", 200)] {
        let own = address.to_string();
        for (version, hosts) in
            [("1.0", &[][..]), ("1.0", &[own.as_str()]), ("1.1", &[own.as_str()]), ("1.1", &["[::1]:1"])]
        {
            let answer = asked(address, "GET", target, version, hosts).await;
            assert_eq!(status_of(&answer), good, "{target} HTTP/{version} {hosts:?}: {answer}");
        }
    }
    assert!(service.metric("payment_notifier_http_refused_total", "bad_request").await >= 80.0);
}
