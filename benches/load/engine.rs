//! One thread and one epoll for all pages, the publisher and the bare consumer's answers. It shares the machine with
//! what it measures, so it does little: frames by hand, no allocation a page's event.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::arrivals::Arrivals;
use super::dialect::{self, Dialect, Meaning};
use super::frames::{self, Framing};
use super::publish::Publisher;
use super::socket::{Got, Socket};

const PUBLISHER: usize = 1 << 32;
const ARRIVALS: usize = 1 << 40;
const SCRATCH_BYTES: usize = 64 * 1024;
const CONNECTING_AT_ONCE: usize = 64;
/// All pages of a target are subscribed within it.
const CONNECT_WITHIN: Duration = Duration::from_secs(180);
/// Nothing at all for so long is the end of a measurement.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// What a turn of the loop brought.
#[derive(Debug)]
pub(crate) enum Happened {
    /// The page is subscribed.
    Subscribed(usize),
    /// The page got event `n`.
    Got { page: usize, n: u32 },
    /// The bare consumer got event `n`.
    Arrived(u32),
    /// The broker has event `n`.
    Confirmed(u32),
    /// The page was closed as it had asked.
    Closed(usize),
    /// The page was closed by a peer, unasked.
    Cut(usize),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    Gone,
    Handshake,
    Subscribing,
    Subscribed,
    Closing,
}

struct Page {
    socket: Option<Socket>,
    stage: Stage,
    framing: Framing,
    order: u32,
    /// Bytes that could not be written yet, and bytes of a frame that is not whole yet.
    unsent: Vec<u8>,
    partial: Vec<u8>,
}

/// Where pages go.
pub(crate) struct Place {
    /// Page `p` goes to the `p`-th of them, and round again.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    place: Option<Place>,
    pages: Vec<Page>,
    publisher: Option<Publisher>,
    arrivals: Option<Arrivals>,
    may_cut: bool,
    scratch: Vec<u8>,
    confirmed: Vec<u32>,
    happened: Vec<Happened>,
    connects: u32,
}

impl Engine {
    /// `place` is not set for a target without pages, which answers through `arrivals`.
    pub(crate) fn new(
        place: Option<Place>,
        arrivals: Option<std::net::TcpStream>,
        publisher: Option<Publisher>,
    ) -> Self {
        let poll = Poll::new().unwrap();
        let mut publisher = publisher;
        if let Some(publisher) = &mut publisher {
            publisher.register(poll.registry(), PUBLISHER);
        }
        let arrivals = arrivals.map(|stream| Arrivals::register(stream, poll.registry(), Token(ARRIVALS)));
        Self {
            poll,
            events: Events::with_capacity(1024),
            place,
            pages: Vec::new(),
            publisher,
            arrivals,
            may_cut: false,
            scratch: vec![0; SCRATCH_BYTES],
            confirmed: Vec::new(),
            happened: Vec::new(),
            connects: 0,
        }
    }

    /// Hands over as [`Happened::Cut`] what would otherwise be a failure: a page that the target closes.
    pub(crate) fn forgive_cuts(&mut self) {
        self.may_cut = true;
    }

    /// False for the bare consumer.
    pub(crate) fn has_pages(&self) -> bool {
        self.place.is_some()
    }

    /// Starts page `page` on `order`.
    pub(crate) fn connect(&mut self, page: usize, order: u32) {
        let place = self.place.as_ref().unwrap();
        while self.pages.len() <= page {
            let (unsent, partial) = (Vec::new(), Vec::new());
            let (stage, framing) = (Stage::Gone, Framing::WebSocket);
            self.pages.push(Page { socket: None, stage, framing, order: 0, unsent, partial });
        }
        self.connects += 1;
        let address = place.addresses[page % place.addresses.len()];
        let mut socket = Socket::connect(address, self.connects, place.tls.as_ref());
        socket.register(self.poll.registry(), Token(page));
        let page = &mut self.pages[page];
        assert_eq!(page.stage, Stage::Gone);
        (page.unsent, page.framing) = dialect::handshake(place.dialect.as_ref(), address, order);
        // Loopback connects at once; where it did not, the rest leaves when it has.
        socket.write(&mut page.unsent);
        (page.socket, page.stage, page.order) = (Some(socket), Stage::Handshake, order);
    }

    /// Connects pages `0..count`, page `p` on `order_of(p)`, and waits until all are subscribed.
    pub(crate) fn connect_all(&mut self, count: usize, order_of: impl Fn(usize) -> u32) {
        let (mut started, mut subscribed) = (0, 0);
        let began = Instant::now();
        let mut heard = began;
        while subscribed < count {
            while started < count && started - subscribed < CONNECTING_AT_ONCE {
                self.connect(started, order_of(started));
                started += 1;
            }
            for happened in self.turn(Duration::from_millis(100)) {
                heard = Instant::now();
                assert!(
                    !matches!(happened, Happened::Cut(_)),
                    "a page that had connected was closed by the other side"
                );
                subscribed += usize::from(matches!(happened, Happened::Subscribed(_)));
            }
            assert!(heard.elapsed() < SILENCE, "{subscribed} of {count} pages are subscribed, then nothing");
            let took = began.elapsed();
            assert!(took < CONNECT_WITHIN, "{subscribed} of {count} pages are subscribed after {} s", took.as_secs());
        }
    }

    /// Says good-bye on page `page`, where there is a way to; [`Happened::Closed`] follows.
    pub(crate) fn close(&mut self, index: usize) {
        let page = &mut self.pages[index];
        let Some(socket) = &mut page.socket else { return };
        if page.framing == Framing::Chunks {
            page.stage = Stage::Closing;
            self.on_closed(index);
            return;
        }
        self.place.as_ref().unwrap().dialect.goodbye(&mut page.unsent);
        frames::write(frames::CLOSE, &1000_u16.to_be_bytes(), &mut page.unsent);
        socket.write(&mut page.unsent);
        page.stage = Stage::Closing;
    }

    /// Ends page `page` without a word.
    pub(crate) fn abandon(&mut self, page: usize) {
        let gone = &mut self.pages[page];
        (gone.socket, gone.stage) = (None, Stage::Gone);
        gone.partial.clear();
        gone.unsent.clear();
    }

    /// Takes an event for the publisher.
    pub(crate) fn publish(&mut self, n: u32, order: u32) {
        self.publisher.as_mut().unwrap().publish(n, order);
    }

    /// Sends what is to be sent, waits for something to happen and hands it over.
    pub(crate) fn turn(&mut self, wait: Duration) -> Vec<Happened> {
        if let Some(publisher) = &mut self.publisher {
            publisher.flush();
        }
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Vec::new(),
            other => other.unwrap(),
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token().0 {
                ARRIVALS => {
                    let numbers = self.arrivals.as_mut().unwrap().read(&mut self.scratch);
                    self.happened.extend(numbers.map(Happened::Arrived));
                }
                part if part >= PUBLISHER => {
                    self.publisher.as_mut().unwrap().on_ready(part - PUBLISHER, &mut self.confirmed);
                    self.happened.extend(self.confirmed.drain(..).map(Happened::Confirmed));
                }
                page => self.on_page(page),
            }
        }
        self.events = events;
        std::mem::take(&mut self.happened)
    }

    /// Waits while nothing may happen but pings, and what a peer does too late.
    pub(crate) fn quiet(&mut self, how_long: Duration) {
        let until = Instant::now() + how_long;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let happened = self.turn(left);
            assert!(happened.is_empty() || self.may_cut, "{happened:?} while nothing was to come");
        }
    }

    fn on_page(&mut self, page: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Page { socket: Some(socket), unsent, .. } = &mut self.pages[page] {
            if !unsent.is_empty() {
                socket.write(unsent);
            }
            match socket.read(&mut scratch) {
                Got::Bytes(count) => {
                    let all = count < scratch.len() && socket.short_read_is_all();
                    self.on_bytes(page, &scratch[..count]);
                    if all {
                        break;
                    }
                }
                Got::Dry => break,
                Got::Closed => {
                    self.on_closed(page);
                    break;
                }
            }
        }
        self.scratch = scratch;
    }

    fn on_closed(&mut self, page: usize) {
        let (stage, order) = (self.pages[page].stage, self.pages[page].order);
        let was_asked = stage == Stage::Closing;
        assert!(was_asked || self.may_cut, "the page of order {order} was closed by the other side, while {stage:?}");
        self.abandon(page);
        self.happened.push(if was_asked { Happened::Closed(page) } else { Happened::Cut(page) });
    }

    fn on_bytes(&mut self, page: usize, bytes: &[u8]) {
        if self.pages[page].partial.is_empty() {
            let used = self.take_all(page, bytes);
            if self.pages[page].stage != Stage::Gone {
                self.pages[page].partial.extend_from_slice(&bytes[used..]);
            }
        } else {
            let mut partial = std::mem::take(&mut self.pages[page].partial);
            partial.extend_from_slice(bytes);
            let used = self.take_all(page, &partial);
            partial.drain(..used);
            if self.pages[page].stage != Stage::Gone {
                self.pages[page].partial = partial;
            }
        }
    }

    /// Reads what is whole in `bytes`; how much that was.
    fn take_all(&mut self, index: usize, bytes: &[u8]) -> usize {
        let mut used = 0;
        let dialect = &self.place.as_ref().unwrap().dialect;
        loop {
            let page = &mut self.pages[index];
            let rest = &bytes[used..];
            let mut means = |stage: &mut Stage, meaning| match meaning {
                Meaning::Wait => {}
                Meaning::Subscribed => {
                    *stage = Stage::Subscribed;
                    self.happened.push(Happened::Subscribed(index));
                }
                Meaning::Event(n) => self.happened.push(Happened::Got { page: index, n }),
            };
            if page.stage == Stage::Handshake {
                let Some(end) = frames::head_end(rest) else { break };
                let is_open = rest.starts_with(b"HTTP/1.1 101") || rest.starts_with(b"HTTP/1.1 200");
                assert!(is_open, "{}", String::from_utf8_lossy(rest));
                used += end;
                page.stage = Stage::Subscribing;
                means(&mut page.stage, dialect.opened(page.order, &mut page.unsent));
            } else {
                let Some(frame) = frames::next(page.framing, rest) else { break };
                used += frame.end;
                let payload = &rest[frame.payload];
                let separator = dialect.separator();
                match frame.opcode {
                    frames::TEXT | frames::BINARY => {
                        for message in payload.split(|byte| Some(*byte) == separator) {
                            means(&mut page.stage, dialect.inbound(page.order, message, &mut page.unsent));
                        }
                    }
                    frames::PING => frames::write(frames::PONG, payload, &mut page.unsent),
                    frames::CLOSE => {
                        self.on_closed(index);
                        return used;
                    }
                    other => panic!("opcode {other}"),
                }
            }
            if let (Some(socket), false) = (&mut page.socket, page.unsent.is_empty()) {
                socket.write(&mut page.unsent);
            }
        }
        used
    }
}
