//! What a page may hear, whatever it said: docs/PROTOCOL.md and RFC 6455, read by a parser of their own.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

const KINDS: [&str; 5] = ["subscribed", "payment", "error", "pong", "reconnect"];
const CODES: [&str; 6] =
    ["invalid_ticket", "ticket_expired", "forbidden", "bad_request", "too_many_subscriptions", "rate_limited"];
/// Within which two clocks are one: tickets go by seconds.
const LATE: Duration = Duration::from_secs(2);
/// After an error frame.
const CLOSES: [u16; 5] = [4400, 4401, 4408, 4413, 4429];
/// After a reconnect frame.
const DRAINING: u16 = 1012;

/// What came, and when.
#[derive(Default)]
pub(crate) struct Arrived {
    pub(crate) bytes: Vec<u8>,
    /// How much there was at which time.
    times: Vec<(usize, Instant)>,
}

impl Arrived {
    pub(crate) fn push(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.times.push((self.bytes.len(), Instant::now()));
    }

    /// When the byte before this place was there.
    fn at(&self, place: usize) -> Instant {
        let first = self.times.partition_point(|(bytes, _)| *bytes < place);
        self.times[first].1
    }
}

/// Everything that came, in its order.
#[derive(Default)]
pub(crate) struct Heard {
    /// Each order with the time at which it was subscribed last, and the versions that were told after that.
    pub(crate) subscribed: Vec<(String, Instant, Vec<u64>)>,
    /// The last version of each order.
    pub(crate) versions: HashMap<String, u64>,
    pub(crate) is_closed: bool,
    last_kind: String,
}

impl Heard {
    /// Takes the stream apart after the head of the handshake's answer. `page_closed`: the page may have sent a close.
    pub(crate) fn check(arrived: &Arrived, head_bytes: usize, page_closed: bool, tickets: &[&str]) -> Self {
        let mut heard = Self::default();
        let mut rest = &arrived.bytes[head_bytes..];
        while !rest.is_empty() {
            assert!(!heard.is_closed, "nothing follows a close");
            let (first, payload, after) = frame(rest);
            rest = after;
            let at = arrived.at(arrived.bytes.len() - rest.len());
            match first {
                0x81 => heard.text(payload, tickets, at),
                0x88 => heard.close(payload, page_closed),
                0x89 | 0x8a => assert!(payload.len() <= 125, "control frames are short"),
                other => panic!("a service sends no frame that begins {other:#x}"),
            }
        }
        heard
    }

    /// No version of the order was told that was shown when its ticket, of that life, was over.
    pub(crate) fn assert_told_in_time(&self, order: &str, life: Duration, published: &HashMap<u64, Instant>) {
        for (_, at, versions) in self.subscribed.iter().filter(|(subscribed, ..)| subscribed == order) {
            for version in versions {
                let late = published.get(version).is_some_and(|shown| *shown > *at + life + LATE);
                assert!(!late, "version {version} was told by a ticket that is over");
            }
        }
    }

    fn text(&mut self, payload: &[u8], tickets: &[&str], at: Instant) {
        let frame: Value = serde_json::from_slice(payload).expect("every text frame is JSON");
        let kind = frame["type"].as_str().expect("a type");
        assert!(KINDS.contains(&kind), "{frame}");
        match kind {
            "error" => {
                assert!(CODES.contains(&frame["code"].as_str().expect("a code")), "{frame}");
                let message = frame["message"].as_str().expect("a message");
                assert!(!message.is_empty() && tickets.iter().all(|ticket| !message.contains(ticket)), "{frame}");
            }
            "subscribed" => {
                let order = frame["order_id"].as_str().expect("an order");
                let version = frame["payment"]["version"].as_u64().unwrap_or(0);
                self.subscribed.push((order.to_owned(), at, Vec::new()));
                let known = self.versions.insert(order.to_owned(), version);
                // An order of that name of another merchant is not known.
                assert!(version == 0 || known.is_none_or(|known| version >= known), "never backward: {frame}");
            }
            "payment" => {
                let order = frame["payment"]["order_id"].as_str().expect("an order");
                let version = frame["payment"]["version"].as_u64().expect("a version");
                let known = self.versions.insert(order.to_owned(), version).expect("subscribed comes first");
                assert!(version > known, "versions only grow: {frame}");
                let subscribed = self.subscribed.iter_mut().rfind(|(subscribed, ..)| subscribed == order);
                subscribed.expect("as just seen").2.push(version);
            }
            "reconnect" => assert!(frame["after_ms"].is_u64(), "{frame}"),
            _ => {}
        }
        kind.clone_into(&mut self.last_kind);
    }

    fn close(&mut self, payload: &[u8], page_closed: bool) {
        self.is_closed = true;
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        assert!(payload.len() != 1 && payload.len() <= 125, "a code is two bytes");
        assert!(payload.is_empty() || std::str::from_utf8(&payload[2..]).is_ok(), "a reason is text");
        let announced = match code {
            Some(DRAINING) => self.last_kind == "reconnect",
            Some(code) => CLOSES.contains(&code) && self.last_kind == "error",
            None => false,
        };
        assert!(announced || page_closed, "a close by the service says why in a frame first: {code:?}");
    }
}

/// The first byte and the payload of the next frame, and what follows it.
fn frame(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (&first, &second) = (&bytes[0], bytes.get(1).expect("a whole frame"));
    let (length, head) = match second {
        126 => (usize::from(u16::from_be_bytes(*bytes[2..].first_chunk().expect("a whole head"))), 4),
        127 => {
            (usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk().expect("a whole head"))).expect("sane"), 10)
        }
        short => {
            assert!(short < 126, "a service masks nothing");
            (usize::from(short), 2)
        }
    };
    let (payload, after) = bytes[head..].split_at_checked(length).expect("a whole frame");
    (first, payload, after)
}
