//! Sections 4.1, 4.2 and 9.1: which handshakes are one, and what is negotiated.

use super::wire::{FIN, PING_JSON, TEXT, frame};
use super::{Bystander, assert_pong};
use crate::support::Service;
use crate::support::raw::RawSocket;

/// The key of section 1.3, and what answers it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Header lines that are other than in a good handshake.
type Changes = [(&'static str, Option<&'static str>)];

/// A request line and header lines. A changed header replaces the good one; `None` takes it away.
fn request(line: &str, changes: &Changes) -> String {
    let good = [
        ("Host", "shop.example"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let mut lines = vec![line.to_owned()];
    let kept = good.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed.eq_ignore_ascii_case(name)));
    lines.extend(kept.map(|(name, value)| format!("{name}: {value}")));
    lines.extend(changes.iter().filter_map(|(name, value)| value.map(|value| format!("{name}: {value}"))));
    lines.join("\r\n") + "\r\n\r\n"
}

const GET: &str = "GET /v1/ws HTTP/1.1";

/// The value of a header in the head of an answer.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
}

async fn assert_opens(service: &Service, name: &str, request: &str) -> String {
    let (mut socket, head) = RawSocket::request(service, request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{name}: {head}");
    assert_eq!(header(&head, "sec-websocket-accept"), Some(ACCEPT), "{name}: {head}");
    assert!(header(&head, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")), "{name}: {head}");
    assert!(header(&head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{name}: {head}");
    assert_eq!(header(&head, "sec-websocket-extensions"), None, "{name}: {head}");
    socket.send(&frame(FIN | TEXT, PING_JSON)).await;
    assert_pong(&mut socket, name).await;
    head
}

#[tokio::test]
async fn every_form_of_a_good_handshake_opens() {
    let bystander = Bystander::start("rfc-opens").await;
    let cases: [(&str, &Changes); 14] = [
        ("4.2.1: as in the standard", &[]),
        ("4.2.1: Upgrade in other letters", &[("Upgrade", Some("WebSocket"))]),
        ("4.2.1: Upgrade in capitals", &[("UPGRADE", Some("WEBSOCKET"))]),
        ("4.2.1: Connection in other letters", &[("connection", Some("uPGRADE"))]),
        ("4.2.1: Connection as a list, as Firefox sends it", &[("Connection", Some("keep-alive, Upgrade"))]),
        ("4.2.1: Connection as a list without blanks", &[("Connection", Some("Upgrade,keep-alive"))]),
        (
            "RFC 9110, 5.3: Connection on two lines",
            &[("Connection", Some("keep-alive")), ("Connection", Some("Upgrade"))],
        ),
        ("RFC 9110, 7.8: Upgrade as a list", &[("Upgrade", Some("h2c, websocket"))]),
        ("RFC 9110, 5.5: blanks around the version", &[("Sec-WebSocket-Version", Some("  13  "))]),
        ("4.1: an Origin", &[("Origin", Some("https://shop.example"))]),
        (
            "9.1: extensions that are offered",
            &[("Sec-WebSocket-Extensions", Some("permessage-deflate; client_max_window_bits"))],
        ),
        ("9.1: an extension that nobody knows", &[("Sec-WebSocket-Extensions", Some("x-unknown; a=\"b\", y"))]),
        ("4.1: a subprotocol that nobody knows", &[("Sec-WebSocket-Protocol", Some("mqtt, wamp"))]),
        ("4.1: headers that nobody knows", &[("X-Unknown", Some("1")), ("Cookie", Some("a=b"))]),
    ];
    for (name, changes) in cases {
        let head = assert_opens(&bystander.service, name, &request(GET, changes)).await;
        assert_eq!(header(&head, "sec-websocket-protocol"), None, "{name}: {head}");
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn of_several_subprotocols_the_one_of_the_service_is_echoed() {
    let bystander = Bystander::start("rfc-subprotocol").await;
    let ours = Some("payment-notifier.v1");
    let cases: [(&str, &Changes); 3] = [
        ("4.2.2: it alone", &[("Sec-WebSocket-Protocol", ours)]),
        ("4.2.2: it among others", &[("Sec-WebSocket-Protocol", Some("mqtt , payment-notifier.v1,wamp"))]),
        (
            "11.3.4: it on a line of its own",
            &[("Sec-WebSocket-Protocol", Some("mqtt")), ("Sec-WebSocket-Protocol", ours)],
        ),
    ];
    for (name, changes) in cases {
        let head = assert_opens(&bystander.service, name, &request(GET, changes)).await;
        assert_eq!(header(&head, "sec-websocket-protocol"), ours, "{name}: {head}");
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn a_handshake_that_lacks_something_is_refused() {
    let bystander = Bystander::start("rfc-refused").await;
    let key = |key| [("Sec-WebSocket-Key", Some(key))];
    let cases: Vec<(&str, u16, String)> = vec![
        ("4.2.1: no Host", 400, request(GET, &[("Host", None)])),
        ("RFC 9110, 15.5.22: no Upgrade", 426, request(GET, &[("Upgrade", None)])),
        ("RFC 9110, 15.5.22: another Upgrade", 426, request(GET, &[("Upgrade", Some("h2c"))])),
        ("RFC 9110, 15.5.22: an Upgrade that only begins so", 426, request(GET, &[("Upgrade", Some("websocket2"))])),
        ("RFC 9110, 15.5.22: no Connection", 426, request(GET, &[("Connection", None)])),
        ("RFC 9110, 15.5.22: another Connection", 426, request(GET, &[("Connection", Some("keep-alive"))])),
        (
            "RFC 9110, 15.5.22: a Connection that only holds the word",
            426,
            request(GET, &[("Connection", Some("no-upgrade"))]),
        ),
        ("4.2.1: no key", 400, request(GET, &[("Sec-WebSocket-Key", None)])),
        ("4.2.1: an empty key", 400, request(GET, &key(""))),
        ("4.2.1: a key that is not base64", 400, request(GET, &key("this is not base64 at al"))),
        ("4.2.1: a key of 15 bytes", 400, request(GET, &key("AAAAAAAAAAAAAAAAAAAA"))),
        ("4.2.1: a key of 17 bytes", 400, request(GET, &key("AAAAAAAAAAAAAAAAAAAAAAA="))),
        ("4.2.1: a key without its padding", 400, request(GET, &key("dGhlIHNhbXBsZSBub25jZQ"))),
        ("11.3.1: two keys", 400, request(GET, &[key(KEY)[0], key(KEY)[0]])),
        ("4.4: no version", 426, request(GET, &[("Sec-WebSocket-Version", None)])),
        ("4.4: version 0", 426, request(GET, &[("Sec-WebSocket-Version", Some("0"))])),
        ("4.4: version 8", 426, request(GET, &[("Sec-WebSocket-Version", Some("8"))])),
        ("4.4: version 12", 426, request(GET, &[("Sec-WebSocket-Version", Some("12"))])),
        ("4.4: version 14", 426, request(GET, &[("Sec-WebSocket-Version", Some("14"))])),
        ("4.4: version 13 in words", 426, request(GET, &[("Sec-WebSocket-Version", Some("thirteen"))])),
        ("4.4: two versions", 426, request(GET, &[("Sec-WebSocket-Version", Some("13, 8"))])),
        ("4.1: HTTP/1.0", 400, request("GET /v1/ws HTTP/1.0", &[])),
        ("4.1: HEAD", 400, request("HEAD /v1/ws HTTP/1.1", &[])),
        ("4.1: POST", 405, request("POST /v1/ws HTTP/1.1", &[("Content-Length", Some("0"))])),
    ];
    for (name, status, request) in cases {
        let (_socket, head) = RawSocket::request(&bystander.service, &request).await;
        let found = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        assert_eq!(found, Some(status), "{name}: {head}");
        assert_eq!(header(&head, "sec-websocket-accept"), None, "{name}: {head}");
        assert_eq!(header(&head, "content-type"), Some("application/problem+json"), "{name}: {head}");
        let version = (status == 426).then_some("13");
        assert_eq!(header(&head, "sec-websocket-version"), version, "{name}: {head}");
    }
    bystander.assert_unharmed().await;
}

#[tokio::test]
async fn frames_that_come_along_with_the_handshake_are_read() {
    let bystander = Bystander::start("rfc-early").await;
    let name = "4.1: a client must wait, and one that does not loses nothing";
    let bytes = [request(GET, &[]).into_bytes(), frame(FIN | TEXT, PING_JSON)].concat();
    let (mut socket, head) = RawSocket::request(&bystander.service, bytes).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{name}: {head}");
    assert_pong(&mut socket, name).await;
    bystander.assert_unharmed().await;
}
