//! The header `Host` of every request, on both listeners (RFC 9112, 3.2): whom a request is for must not be a matter of
//! which of two proxies or programs reads it.

use std::net::Ipv6Addr;

use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// The answer to a request of HTTP/1.1 without `Host`, and to any with two of them or with one that names no host.
pub(super) fn refusal(version: Version, headers: &HeaderMap) -> Option<Response> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let detail = match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => return None,
        (None, _) => "the Host header is required",
        (Some(_), Some(_)) => "the Host header may appear only once",
        (Some(host), None) if is_host(host.as_bytes()) => return None,
        (Some(_), None) => "the Host header must be a host with an optional port",
    };
    let mut response = Problem::bad_request(detail).into_response();
    // Where one message of this connection ends and the next begins may be as doubtful.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2), and not without a host, which no http or https address is (4.2.1).
fn is_host(value: &[u8]) -> bool {
    let (is_name, port) = match value.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
            let address = std::str::from_utf8(&literal[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
            (address.is_some(), &literal[end + 1..])
        }
        None => {
            let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
            (is_reg_name(&value[..end]), &value[end..])
        }
    };
    let is_port = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
        }
        _ => false,
    };
    is_name && is_port
}

/// Unreserved characters, sub-delimiters and percent-encoded bytes (RFC 3986, 3.2.2).
fn is_reg_name(mut name: &[u8]) -> bool {
    let is_empty = name.is_empty();
    while let [byte, rest @ ..] = name {
        name = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (byte, rest) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => rest,
            _ => return false,
        };
    }
    !is_empty
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in [
            "shop.example",
            "localhost",
            "SHOP.example:8080",
            "shop.example:",
            "127.0.0.1:1",
            "[::1]",
            "[2001:db8::1]:443",
            "a_b",
            "xn--fiq228c.example",
            "%E4%BA%AC.example",
            "shop.example.",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b c",
            "user@shop.example",
            "shop.example/",
            "shop.example?",
            "shop.example#",
            "a\\b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:-1",
            "[::1",
            "[::1]x",
            "[shop]",
            "::1",
            "%zz",
            "%e",
            "\u{e9}.example",
            "http://a",
            "<a>",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn one_host_is_needed_from_http_1_1_on() {
        let status = |version, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            refusal(version, &headers).map(|answer| answer.status().as_u16())
        };
        assert_eq!(status(Version::HTTP_11, &["a.example"]), None);
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert_eq!(status(version, &["a.example", "a.example"]), Some(400), "though they are the same");
            assert_eq!(status(version, &["a example"]), Some(400));
            assert_eq!(status(version, &[""]), Some(400));
        }
    }
}
