//! Client frames, through HTTP, upgrade, RFC 6455 and JSON to the session and back. The input is a script, a line a step:
//!
//! - `81 {"type":"ping"}` a frame: its first byte in hexadecimal digits (FIN, reserved bits, opcode) and its payload
//! - `u81 {}` the same, not masked
//! - `r` and any bytes: those bytes as they are
//! - `p ORDER STATUS` an event for that order is stored and shown
//! - `w SECONDS` the page waits; the clock is the test's own
//! - `d` the node drains
//!
//! In a payload `@A` is a ticket for the orders `a` and `b`, `@B` one for `a` of another merchant, and `@S` one for `c`
//! that ends in 20 s.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use payment_notifier::bridge::ticket::Minter;
use payment_notifier::payment::{Event, EventId, Key, MerchantId, OrderId, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, WriteHalf, duplex, split};

use crate::SETTINGS;
use crate::page::Heard;
use crate::service::Service;

const STEPS_MAX: usize = 64;
const WAIT_S_MAX: u64 = 100;
/// Of virtual time, and far beyond `http.silent_s`.
const DEADLINE: Duration = Duration::from_secs(300);
const STREAM_BYTES: usize = 1 << 20;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const HANDSHAKE: &[u8] = b"GET /v1/ws HTTP/1.1\r\nhost: fuzz\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const MERCHANT: &str = "shop";

/// One script.
pub fn check(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(play(input));
}

async fn play(input: &[u8]) {
    let (page, far_end) = duplex(STREAM_BYTES);
    let service = Arc::new(Service::serve(far_end));
    let (mut reading, mut writing) = split(page);
    let read = tokio::spawn(async move {
        let mut all = Vec::new();
        reading.read_to_end(&mut all).await.map(|_bytes| all)
    });
    writing.write_all(HANDSHAKE).await.expect("the service reads");
    // A node that drains opens nothing.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let tickets = Tickets::mint();
    let mut page_closed = false;
    for line in input.split(|byte| *byte == b'\n').take(STEPS_MAX) {
        page_closed |= step(line, &service, &mut writing, &tickets).await;
        // The clock moves on only when there is nothing left to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let watched: Vec<(Key, u64)> =
        service.hub.watched().into_iter().map(|key| (key.clone(), service.version(&key))).collect();
    // The page goes. Where the service has closed already, it cannot be told.
    drop(writing.shutdown().await);
    let read = tokio::time::timeout(DEADLINE, read).await.expect("the service ends what its page has ended");
    let stream = read.expect("a task of ours").expect("a stream in memory");
    let head = stream.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer to the handshake");
    assert!(stream.starts_with(b"HTTP/1.1 101 "));
    let heard = Heard::check(&stream[head + 4..], page_closed, &tickets.all());
    for (key, version) in watched {
        assert_eq!(
            heard.versions.get(key.order_id.as_str()),
            Some(&version),
            "the last version is never skipped: {key:?}"
        );
    }
    service.tasks.stop();
    service.tasks.join(DEADLINE).await.expect("nothing of a page stays");
    assert!(service.hub.watched().is_empty(), "no subscription outlives its page");
}

/// True if the page may have sent a close by it.
async fn step(line: &[u8], service: &Service, writing: &mut WriteHalf<DuplexStream>, tickets: &Tickets) -> bool {
    match line {
        [b'p', b' ', rest @ ..] => {
            if let Some(event) = event(rest) {
                service.store_and_show(event).await;
            }
            false
        }
        [b'w', b' ', rest @ ..] => {
            let seconds = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
            tokio::time::sleep(Duration::from_secs(WAIT_S_MAX.min(seconds))).await;
            false
        }
        [b'd'] => {
            service.tasks.stop();
            false
        }
        [b'r', bytes @ ..] => {
            drop(writing.write_all(bytes).await);
            // Whatever these are.
            true
        }
        [b'u', rest @ ..] => send(rest, None, writing, tickets).await,
        rest => send(rest, Some(MASK), writing, tickets).await,
    }
}

async fn send(line: &[u8], mask: Option<[u8; 4]>, writing: &mut WriteHalf<DuplexStream>, tickets: &Tickets) -> bool {
    let digits = line.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
    let Some(first) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
        return false;
    };
    let payload = tickets.put_into(line.get(3..).unwrap_or_default());
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => bytes.push(mask_bit | short),
        (_, Ok(long)) => {
            bytes.push(mask_bit | 126);
            bytes.extend(long.to_be_bytes());
        }
        _ => return false,
    }
    let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    // The service may have closed.
    drop(writing.write_all(&bytes).await);
    first & 0x0f == 0x8
}

/// The next second of 2026, so that no two events are the same.
static SECOND: AtomicI64 = AtomicI64::new(1_767_225_600_000);

fn event(words: &[u8]) -> Option<Event> {
    let (order, status) = std::str::from_utf8(words).ok()?.split_once(' ')?;
    let at_ms = SECOND.fetch_add(1000, Ordering::Relaxed);
    let key = Key::new(MerchantId::new(MERCHANT).ok()?, OrderId::new(order).ok()?);
    let event_id = EventId::new(&format!("event-{at_ms}")).ok()?;
    Some(Event::new(key, event_id, status.parse().ok()?, Timestamp::from_unix_ms(at_ms).ok()?))
}

/// What stands for `@A`, `@B` and `@S`.
struct Tickets([(&'static [u8], String); 3]);

impl Tickets {
    fn mint() -> Self {
        let minter = Minter::new(&SETTINGS.tickets).expect("there is a secret");
        let ticket = |merchant: &str, orders: &[&str], ttl_s| {
            let orders: Vec<OrderId> = orders.iter().map(|order| OrderId::new(order).expect("an order")).collect();
            let merchant = MerchantId::new(merchant).expect("a merchant");
            minter.mint(&merchant, &orders, "payer", ttl_s).expect("within bounds").ticket
        };
        Self([
            (b"@A", ticket(MERCHANT, &["a", "b"], 600)),
            (b"@B", ticket("other", &["a"], 600)),
            (b"@S", ticket(MERCHANT, &["c"], 20)),
        ])
    }

    fn all(&self) -> [&str; 3] {
        std::array::from_fn(|n| self.0[n].1.as_str())
    }

    fn put_into(&self, payload: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(payload.len());
        let mut rest = payload;
        while let Some(&byte) = rest.first() {
            if let Some((name, ticket)) = self.0.iter().find(|(name, _)| rest.starts_with(name)) {
                filled.extend_from_slice(ticket.as_bytes());
                rest = &rest[name.len()..];
            } else {
                filled.push(byte);
                rest = &rest[1..];
            }
        }
        filled
    }
}
