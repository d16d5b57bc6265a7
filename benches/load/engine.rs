//! One thread and one epoll for all pages, the publisher and the bare consumer's answers. It shares the machine with
//! what it measures, so it does little: frames by hand, no allocation a page's event.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::dialect::{self, Dialect, Meaning};
use super::event;
use super::frames;
use super::publish::Publisher;
use super::socket::{Got, Socket};

const PUBLISHER: usize = 1 << 32;
const ARRIVALS: usize = 1 << 40;
const SCRATCH_BYTES: usize = 64 * 1024;
const CONNECTING_AT_ONCE: usize = 64;
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
    arrivals: Option<(TcpStream, Vec<u8>)>,
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
        let arrivals = arrivals.map(|stream| {
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(ARRIVALS), Interest::READABLE).unwrap();
            (stream, Vec::new())
        });
        Self {
            poll,
            events: Events::with_capacity(1024),
            place,
            pages: Vec::new(),
            publisher,
            arrivals,
            scratch: vec![0; SCRATCH_BYTES],
            confirmed: Vec::new(),
            happened: Vec::new(),
            connects: 0,
        }
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
            self.pages.push(Page { socket: None, stage: Stage::Gone, order: 0, unsent, partial });
        }
        self.connects += 1;
        let address = place.addresses[page % place.addresses.len()];
        let mut socket = Socket::connect(address, self.connects, place.tls.as_ref());
        socket.register(self.poll.registry(), Token(page));
        let page = &mut self.pages[page];
        assert_eq!(page.stage, Stage::Gone);
        page.unsent = dialect::handshake(place.dialect.as_ref(), address, order);
        // Loopback connects at once; where it did not, the rest leaves when it has.
        socket.write(&mut page.unsent);
        (page.socket, page.stage, page.order) = (Some(socket), Stage::Handshake, order);
    }

    /// Connects pages `0..count`, page `p` on `order_of(p)`, and waits until all are subscribed.
    pub(crate) fn connect_all(&mut self, count: usize, order_of: impl Fn(usize) -> u32) {
        let (mut started, mut subscribed) = (0, 0);
        let mut heard = Instant::now();
        while subscribed < count {
            while started < count && started - subscribed < CONNECTING_AT_ONCE {
                self.connect(started, order_of(started));
                started += 1;
            }
            for happened in self.turn(Duration::from_millis(100)) {
                heard = Instant::now();
                subscribed += usize::from(matches!(happened, Happened::Subscribed(_)));
            }
            assert!(heard.elapsed() < SILENCE, "{subscribed} of {count} pages are subscribed, then nothing");
        }
    }

    /// Says good-bye on page `page`; [`Happened::Closed`] follows.
    pub(crate) fn close(&mut self, page: usize) {
        let page = &mut self.pages[page];
        let Some(socket) = &mut page.socket else { return };
        self.place.as_ref().unwrap().dialect.goodbye(&mut page.unsent);
        frames::write(frames::CLOSE, &1000_u16.to_be_bytes(), &mut page.unsent);
        socket.write(&mut page.unsent);
        page.stage = Stage::Closing;
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
                ARRIVALS => self.on_arrivals(),
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

    /// Waits while nothing may happen but pings.
    pub(crate) fn quiet(&mut self, how_long: Duration) {
        let until = Instant::now() + how_long;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let happened = self.turn(left);
            assert!(happened.is_empty(), "{happened:?} while nothing was to come");
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
        assert_eq!(stage, Stage::Closing, "the page of order {order} was closed by the other side");
        let gone = &mut self.pages[page];
        (gone.socket, gone.stage) = (None, Stage::Gone);
        gone.partial.clear();
        gone.unsent.clear();
        self.happened.push(Happened::Closed(page));
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
            let meaning = if page.stage == Stage::Handshake {
                let Some(end) = frames::head_end(rest) else { break };
                assert!(rest.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(rest));
                used += end;
                page.stage = Stage::Subscribing;
                dialect.opened(page.order, &mut page.unsent)
            } else {
                let Some((opcode, range)) = frames::read(rest) else { break };
                used += range.end;
                let payload = &rest[range];
                match opcode {
                    frames::TEXT | frames::BINARY => dialect.inbound(page.order, payload, &mut page.unsent),
                    frames::PING => {
                        frames::write(frames::PONG, payload, &mut page.unsent);
                        Meaning::Wait
                    }
                    frames::CLOSE => {
                        self.on_closed(index);
                        return used;
                    }
                    other => panic!("opcode {other}"),
                }
            };
            match meaning {
                Meaning::Wait => {}
                Meaning::Subscribed => {
                    page.stage = Stage::Subscribed;
                    self.happened.push(Happened::Subscribed(index));
                }
                Meaning::Event(n) => self.happened.push(Happened::Got { page: index, n }),
            }
            if let (Some(socket), false) = (&mut page.socket, page.unsent.is_empty()) {
                socket.write(&mut page.unsent);
            }
        }
        used
    }

    fn on_arrivals(&mut self) {
        let (stream, partial) = self.arrivals.as_mut().unwrap();
        loop {
            match stream.read(&mut self.scratch) {
                Ok(0) => panic!("the bare consumer ended"),
                Ok(count) => partial.extend_from_slice(&self.scratch[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("the bare consumer's answers: {e}"),
            }
        }
        let (whole, rest) = partial.as_chunks::<{ event::NUMBER_BYTES }>();
        self.happened.extend(whole.iter().map(|text| Happened::Arrived(event::digits(text).unwrap())));
        let used = partial.len() - rest.len();
        partial.drain(..used);
    }
}
