//! Client frames, through HTTP, upgrade, RFC 6455 and JSON to the session and back. The input is a script, a line a step:
//!
//! - `81 {"type":"ping"}` a frame: its first byte in hexadecimal digits (FIN, reserved bits, opcode) and its payload
//! - `u81 {}` the same, not masked
//! - `r` and any bytes: those bytes as they are
//! - `p ORDER STATUS` an event for that order is stored and shown
//! - `w SECONDS` the page waits; the clock is the test's own
//! - `x 00 ` that frame again and again from here on, so that the socket always has something; `x` alone ends it
//! - `s SECONDS` each reading of the store takes so long from here on
//! - `d` the node drains
//! - `b` as the first line: the number of frames has no bound
//!
//! In a payload `@A` is a ticket for the orders `a` and `b`, `@B` one for `a` of another merchant, and `@S` one for `c`
//! that ends in 20 s.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use payment_notifier::payment::{Event, EventId, Key, MerchantId, OrderId, Timestamp};
use payment_notifier::tickets::Minter;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, WriteHalf, duplex, split};
use tokio::time::Instant;

use crate::SETTINGS;
use crate::page::{Arrived, Heard};
use crate::service::Service;

const STEPS_MAX: usize = 64;
const WAIT_S_MAX: u64 = 100;
const READ_S_MAX: u64 = 30;
/// Of virtual time, and far beyond `http.silent_s`.
const DEADLINE: Duration = Duration::from_secs(300);
/// More than one turn of a task may read.
const FLOOD_BYTES: usize = 160 * 1024;
/// For everything else to have its turn while the socket has something.
const TURNS: usize = 16;
/// Of a ticket by `@S`.
const SHORT_S: u64 = 20;
/// By which the clock moves at once while the socket has something.
const TICK: Duration = Duration::from_secs(10);
/// For the page's own end, and for a clock that moves by ticks.
const CLOSE: Duration = Duration::from_secs(15);
/// An input that floods for longer would only take longer.
const FLOODS_MAX: usize = 10;
/// All readings take longer than [`SHORT_S`].
const SLOW: &[u8] = b"s 25\n";
const STREAM_BYTES: usize = 1 << 20;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const HANDSHAKE: &[u8] = b"GET /v1/ws HTTP/1.1\r\nhost: fuzz\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const MERCHANT: &str = "shop";
/// The order of `@S` alone.
const SHORT_ORDER: &str = "c";

/// One script.
pub fn check(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(play(input));
}

async fn play(input: &[u8]) {
    let (page, far_end) = duplex(STREAM_BYTES);
    let mut http = SETTINGS.http.clone();
    if input.starts_with(b"b\n") {
        (http.frames_burst_max, http.frames_per_s_max) = (u32::MAX, u32::MAX);
    }
    let service = Arc::new(Service::serve(far_end, http));
    let (mut reading, mut writing) = split(page);
    let read = tokio::spawn(async move {
        let mut arrived = Arrived::default();
        let mut part = [0; 4096];
        loop {
            match reading.read(&mut part).await.expect("a stream in memory") {
                0 => return (arrived, Instant::now()),
                bytes => arrived.push(&part[..bytes]),
            }
        }
    });
    let began = Instant::now();
    writing.write_all(HANDSHAKE).await.expect("the service reads");
    // A node that drains opens nothing.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut script = Script {
        service: Arc::clone(&service),
        writing,
        tickets: Tickets::mint(),
        page_closed: false,
        flood: None,
        floods: 0,
        drained_at: None,
        read_s: 0,
        published: HashMap::new(),
    };
    for line in input.split(|byte| *byte == b'\n').take(STEPS_MAX) {
        script.step(line).await;
        script.pause().await;
    }
    script.flood = None;
    script.pause().await;
    let watched: Vec<(Key, u64)> =
        service.hub.watched().into_iter().map(|key| (key.clone(), service.version(&key))).collect();
    let Script { mut writing, tickets, page_closed, drained_at, read_s, published, .. } = script;
    // The page goes. Where the service has closed already, it cannot be told.
    drop(writing.shutdown().await);
    let read = tokio::time::timeout(DEADLINE, read).await.expect("the service ends what its page has ended");
    let (arrived, ended_at) = read.expect("a task of ours");
    let head = arrived.bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer to the handshake");
    assert!(arrived.bytes.starts_with(b"HTTP/1.1 101 "));
    let heard = Heard::check(&arrived, head + 4, page_closed, &tickets.all());
    for (key, version) in watched {
        let told = heard.versions.get(key.order_id.as_str());
        // Where reading takes its time, an order may not be told of yet, and a ticket may end before it is.
        if read_s > 0 && (told.is_none() || key.order_id.as_str() == SHORT_ORDER) {
            continue;
        }
        assert_eq!(told, Some(&version), "the last version is never skipped: {key:?}");
    }
    // One frame may ask for two orders, and what it asks for is done to its end, also what was begun a moment before.
    let work = Duration::from_secs(4 * read_s);
    let http = &SETTINGS.http;
    if let Some(drained_at) = drained_at {
        let due = drained_at + Duration::from_secs(http.drain_s) + work + CLOSE;
        assert!(ended_at <= due, "a node that stops is held by nobody: {:?}", ended_at - drained_at);
    }
    if heard.subscribed.is_empty() {
        let due = began + Duration::from_secs(http.ticket_wait_s) + work + CLOSE;
        assert!(ended_at <= due, "without a good ticket nobody stays: {:?}", ended_at - began);
    }
    if input.starts_with(SLOW) && !input[SLOW.len()..].windows(2).any(|two| two == b"s ") {
        let late = heard.subscribed.iter().any(|(order, ..)| order == SHORT_ORDER);
        assert!(!late, "subscribed by a ticket that was over before the payment was read");
    }
    heard.assert_told_in_time(SHORT_ORDER, Duration::from_secs(SHORT_S), &published);
    service.tasks.stop();
    service.tasks.join(DEADLINE).await.expect("nothing of a page stays");
    assert!(service.hub.watched().is_empty(), "no subscription outlives its page");
}

/// A script on its way.
struct Script {
    service: Arc<Service>,
    writing: WriteHalf<DuplexStream>,
    tickets: Tickets,
    /// The page may have sent a close.
    page_closed: bool,
    /// What the socket always has.
    flood: Option<Vec<u8>>,
    floods: usize,
    drained_at: Option<Instant>,
    /// The longest that a reading of the store was set to take.
    read_s: u64,
    /// When each version of [`SHORT_ORDER`] was shown.
    published: HashMap<u64, Instant>,
}

impl Script {
    /// Until nothing is left to do: then the clock moves on. With a flood there always is.
    async fn pause(&mut self) {
        let Some(flood) = self.flood.as_ref().filter(|_| self.floods < FLOODS_MAX) else {
            self.flood = None;
            return tokio::time::sleep(Duration::from_millis(1)).await;
        };
        self.floods += 1;
        // The service may have closed.
        drop(self.writing.write_all(flood).await);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    async fn step(&mut self, line: &[u8]) {
        match line {
            [b'p', b' ', rest @ ..] => {
                if let Some(event) = event(rest) {
                    self.publish(event).await;
                }
            }
            [b'w', b' ', rest @ ..] => {
                let wait = Duration::from_secs(number(rest).min(WAIT_S_MAX));
                let ends_at = Instant::now() + wait;
                while self.flood.is_some() && Instant::now() < ends_at {
                    tokio::time::advance(TICK.min(ends_at - Instant::now())).await;
                    self.pause().await;
                }
                tokio::time::sleep_until(ends_at).await;
            }
            [b's', b' ', rest @ ..] => {
                let read_s = number(rest).min(READ_S_MAX);
                self.read_s = self.read_s.max(read_s);
                self.service.read_slowly(read_s);
            }
            [b'x'] => self.flood = None,
            [b'x', b' ', rest @ ..] => {
                if let Some((frame, closes)) = self.tickets.frame(rest, Some(MASK)) {
                    self.page_closed |= closes;
                    self.flood = Some(frame.repeat((FLOOD_BYTES / frame.len()).max(1)));
                }
            }
            [b'd'] => {
                self.drained_at = self.drained_at.or(Some(Instant::now()));
                self.service.tasks.stop();
            }
            [b'r', bytes @ ..] => {
                drop(self.writing.write_all(bytes).await);
                // Whatever these are.
                self.page_closed = true;
            }
            [b'u', rest @ ..] => self.send(rest, None).await,
            rest => self.send(rest, Some(MASK)).await,
        }
    }

    async fn publish(&mut self, event: Event) {
        let key = event.key.clone();
        let before = self.service.version(&key);
        let at = Instant::now();
        self.service.store_and_show(event).await;
        let version = self.service.version(&key);
        if version > before && key.order_id.as_str() == SHORT_ORDER {
            self.published.insert(version, at);
        }
    }

    async fn send(&mut self, line: &[u8], mask: Option<[u8; 4]>) {
        let Some((frame, closes)) = self.tickets.frame(line, mask) else { return };
        // The service may have closed.
        drop(self.writing.write_all(&frame).await);
        self.page_closed |= closes;
    }
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
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
            (b"@S", ticket(MERCHANT, &[SHORT_ORDER], SHORT_S)),
        ])
    }

    fn all(&self) -> [&str; 3] {
        std::array::from_fn(|n| self.0[n].1.as_str())
    }

    /// The frame of a line, and whether it closes.
    fn frame(&self, line: &[u8], mask: Option<[u8; 4]>) -> Option<(Vec<u8>, bool)> {
        let digits = line.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        let first = u8::from_str_radix(digits, 16).ok()?;
        let payload = self.put_into(line.get(3..).unwrap_or_default());
        let mask_bit = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(short), _) if short < 126 => bytes.push(mask_bit | short),
            (_, Ok(long)) => {
                bytes.push(mask_bit | 126);
                bytes.extend(long.to_be_bytes());
            }
            _ => return None,
        }
        let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        Some((bytes, first & 0x0f == 0x8))
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
