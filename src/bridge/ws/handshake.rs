//! The opening handshake (RFC 6455, 4.2): what a request must bring, and the answer to it.

use axum::body::Body;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tungstenite::handshake::derive_accept_key;

use crate::http::{Problem, WEBSOCKET_VERSION};

/// The one subprotocol that is echoed. None is required.
const SUBPROTOCOL: &str = "payment-notifier.v1";
/// Of `Sec-WebSocket-Key`, decoded.
const KEY_BYTES: usize = 16;

/// The answer that switches protocols.
///
/// # Errors
/// What the request lacks: 426 where it is a plain request or asks for another version, 400 where the handshake is wrong.
pub(super) fn accept(version: Version, headers: &HeaderMap) -> Result<Response, Problem> {
    let wrong = |detail| Err(Problem::bad_request(detail));
    if version < Version::HTTP_11 {
        return wrong("a WebSocket handshake must use HTTP/1.1");
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") || !has_token(headers, &header::UPGRADE, "websocket") {
        let detail =
            "this is a WebSocket endpoint: the headers Connection: Upgrade and Upgrade: websocket are required";
        return Err(Problem::upgrade_required(detail));
    }
    if !headers.contains_key(header::HOST) {
        return wrong("the Host header is required");
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != WEBSOCKET_VERSION) {
        return Err(Problem::upgrade_required("Sec-WebSocket-Version must be 13"));
    }
    let Some(key) = only(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key)) else {
        return wrong("Sec-WebSocket-Key must be 16 bytes in Base64");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accepted) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    }
    // Exactly: a page that offered another writing of it would take the answer for one that it did not offer.
    if words(headers, &header::SEC_WEBSOCKET_PROTOCOL).any(|word| word == SUBPROTOCOL) {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(response)
}

fn is_key(key: &HeaderValue) -> bool {
    BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == KEY_BYTES)
}

/// The value of a header that may stand once only.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// True if one of the header's comma-separated words is `token`, in whatever case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(token))
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let good = [
            ("host", "shop.example"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in good.iter().chain(changes) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_key_of_the_standard_gets_its_answer_and_our_subprotocol_is_echoed() {
        let offered = headers(&[("sec-websocket-protocol", "chat, payment-notifier.v1")]);
        let answer = accept(Version::HTTP_11, &offered).unwrap();
        assert_eq!(answer.status(), 101);
        // RFC 6455, 1.3
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        for other in ["chat", "Payment-Notifier.V1"] {
            let foreign = accept(Version::HTTP_11, &headers(&[("sec-websocket-protocol", other)])).unwrap();
            assert!(!foreign.headers().contains_key("sec-websocket-protocol"), "{other}");
        }
    }

    #[test]
    fn a_request_that_lacks_something_is_refused() {
        assert!(accept(Version::HTTP_10, &headers(&[])).is_err());
        for lacking in [
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", "c2hvcnQ="),
            ("sec-websocket-key", "no base64, but long enough"),
        ] {
            assert!(accept(Version::HTTP_11, &headers(&[lacking])).is_err(), "{lacking:?}");
        }
    }
}
