//! The client's address as proxies in front have written it down.
//!
//! A client may send any such header along. Only what stands to the right of the last address of a stranger was written by
//! proxies that are trusted, so that address is the client's, and nothing left of it is believed.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

use crate::config::ForwardedHeader;

/// Who may say for whom a connection is, and where.
#[derive(Clone, Debug)]
pub(super) struct Forwarding {
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
}

impl Forwarding {
    pub(super) fn new(trusted: &[IpNet], header: ForwardedHeader) -> Self {
        Self { trusted: trusted.to_vec(), header }
    }

    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The client of a request that came from `peer`, a trusted proxy. Where a proxy has written something else than an
    /// address, that proxy is all that is known.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer;
        for hop in self.hops(headers).into_iter().rev() {
            let Some(address) = hop else { return nearest };
            nearest = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        nearest
    }

    /// From the farthest to the nearest. Several headers are one list (RFC 9110, 5.3).
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => (header::HeaderName::from_static("x-forwarded-for"), node),
            ForwardedHeader::Forwarded => (header::FORWARDED, element),
        };
        let lists = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("unreadable"));
        lists.flat_map(|list| list.split(',')).map(|hop| read(hop.trim())).collect()
    }
}

/// `for=192.0.2.43;proto=https`, in any order and case (RFC 7239, 4). No address has a comma or semicolon, so quotes need
/// not be known to split.
fn element(text: &str) -> Option<IpAddr> {
    let value = text.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    node(value.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or(value))
}

/// An address, with or without brackets and port.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(header: ForwardedHeader, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8:ffff::/48".parse().unwrap()];
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        Forwarding::new(&trusted, header).client("10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_rightmost_address_of_a_stranger_is_the_client() {
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1, 10.0.0.7"], "192.0.2.1"),
            (&["203.0.113.9", "192.0.2.1 ,10.0.0.7"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::5"], "2001:db8::5"),
            (&["[2001:db8::5]:4711"], "2001:db8::5"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, 2001:db8:ffff::1"], "192.0.2.1"),
            // Only proxies of ours: the farthest of them.
            (&["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
            (&[], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            // What is not an address ends the belief, whatever stands left of it.
            (&["192.0.2.1, unknown"], "10.0.0.1"),
            (&["192.0.2.1, unknown, 10.0.0.7"], "10.0.0.7"),
            (&["192.0.2.1, \u{e9}"], "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedHeader::XForwardedFor, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_says() {
        for (lines, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (&["For=\"192.0.2.1:4711\";proto=https"], "192.0.2.1"),
            (&["proto=https; for=\"[2001:db8::5]\"; by=203.0.113.43"], "2001:db8::5"),
            (&["for=\"[2001:db8::5]:4711\""], "2001:db8::5"),
            (&["for=203.0.113.9, for=192.0.2.1, for=10.0.0.7"], "192.0.2.1"),
            (&["for=203.0.113.9", "for=192.0.2.1"], "192.0.2.1"),
            (&["for=192.0.2.1, for=_hidden"], "10.0.0.1"),
            (&["for=192.0.2.1, proto=https"], "10.0.0.1"),
        ] {
            assert_eq!(client(ForwardedHeader::Forwarded, lines), expected, "{lines:?}");
        }
    }
}
