//! AMQP 0-9-1 by hand, as much as a confirming publisher needs: persistent, mandatory, pipelined over some channels.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as Blocking;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::event;
use crate::target::Amqp as Address;

const CHANNELS: u16 = 4;
const FRAME_END: u8 = 0xce;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
/// content-type and delivery-mode.
const PROPERTY_FLAGS: u16 = 0x9000;
const PERSISTENT: u8 = 2;
const MANDATORY: u8 = 1;

/// Where events go, and by which routing key.
pub(crate) struct Route {
    pub(crate) exchange: &'static str,
    pub(crate) key: Key,
}

pub(crate) enum Key {
    /// One for all.
    Same(&'static str),
    /// A prefix and the order.
    Order(&'static str),
}

#[derive(Default)]
struct Channel {
    /// Delivery tag of the first of `unconfirmed`.
    first_tag: u64,
    /// Not set: confirmed before an older one.
    unconfirmed: VecDeque<Option<u32>>,
}

pub(crate) struct Amqp {
    stream: TcpStream,
    route: Route,
    channels: Vec<Channel>,
    next_channel: usize,
    out: Vec<u8>,
    inbound: Vec<u8>,
    body: Vec<u8>,
}

impl Amqp {
    /// Connects and opens the channels.
    pub(crate) fn connect(address: &Address, vhost: &str, route: Route) -> Self {
        let mut stream = Blocking::connect(&address.authority).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"AMQP\0\0\x09\x01").unwrap();
        expect(&mut stream, 10, 10);
        let mut ok = method(10, 11);
        long_text(b"", &mut ok);
        short_text("PLAIN", &mut ok);
        long_text(format!("\0{}\0{}", address.user, address.password).as_bytes(), &mut ok);
        short_text("en_US", &mut ok);
        send(&mut stream, 0, &ok);
        let tune = expect(&mut stream, 10, 30);
        let mut ok = method(10, 31);
        ok.extend_from_slice(&tune[4..10]);
        // No heartbeat.
        ok.extend_from_slice(&[0, 0]);
        send(&mut stream, 0, &ok);
        let mut open = method(10, 40);
        short_text(vhost, &mut open);
        short_text("", &mut open);
        open.push(0);
        send(&mut stream, 0, &open);
        expect(&mut stream, 10, 41);
        for channel in 1..=CHANNELS {
            let mut open = method(20, 10);
            short_text("", &mut open);
            send(&mut stream, channel, &open);
            expect(&mut stream, 20, 11);
            let mut select = method(85, 10);
            select.push(0);
            send(&mut stream, channel, &select);
            expect(&mut stream, 85, 11);
        }
        stream.set_nonblocking(true).unwrap();
        let channels = (0..CHANNELS).map(|_| Channel { first_tag: 1, ..Channel::default() }).collect();
        Self {
            stream: TcpStream::from_std(stream),
            route,
            channels,
            next_channel: 0,
            out: Vec::new(),
            inbound: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: usize) {
        registry.register(&mut self.stream, Token(token), Interest::READABLE | Interest::WRITABLE).unwrap();
    }

    pub(crate) fn publish(&mut self, n: u32, order: u32) {
        let index = self.next_channel;
        self.next_channel = (index + 1) % self.channels.len();
        self.channels[index].unconfirmed.push_back(Some(n));
        let channel = u16::try_from(index + 1).unwrap();
        self.body.clear();
        event::body(n, order, &mut self.body);
        let out = &mut self.out;
        framed(METHOD, channel, out, |out| {
            out.extend_from_slice(&[0, 60, 0, 40, 0, 0]);
            short_text(self.route.exchange, out);
            match self.route.key {
                Key::Same(key) => short_text(key, out),
                Key::Order(prefix) => short_text(&format!("{prefix}{}", event::order(order)), out),
            }
            out.push(MANDATORY);
        });
        framed(HEADER, channel, out, |out| {
            out.extend_from_slice(&[0, 60, 0, 0]);
            out.extend_from_slice(&(self.body.len() as u64).to_be_bytes());
            out.extend_from_slice(&PROPERTY_FLAGS.to_be_bytes());
            short_text("application/json", out);
            out.push(PERSISTENT);
        });
        framed(BODY, channel, out, |out| out.extend_from_slice(&self.body));
    }

    pub(crate) fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => panic!("the publisher's write: {e}"),
            }
        }
    }

    pub(crate) fn on_ready(&mut self, confirmed: &mut Vec<u32>) {
        self.flush();
        let mut chunk = [0; 16_384];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("the broker closed the publisher's connection"),
                Ok(count) => {
                    self.inbound.extend_from_slice(&chunk[..count]);
                    self.take_frames(confirmed);
                    if count < chunk.len() {
                        return;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => panic!("the publisher's read: {e}"),
            }
        }
    }

    fn take_frames(&mut self, confirmed: &mut Vec<u32>) {
        let mut from = 0;
        while let Some(head) = self.inbound.get(from..from + 7) {
            let (kind, channel) = (head[0], usize::from(u16::from_be_bytes([head[1], head[2]])));
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let Some(payload) = self.inbound.get(from + 7..from + 7 + length) else { break };
            if self.inbound.len() < from + length + 8 {
                break;
            }
            from += length + 8;
            if kind == HEARTBEAT {
                continue;
            }
            assert_eq!(kind, METHOD, "a publisher gets no content: a message came back as unroutable");
            match (payload[1], payload[3]) {
                (60, 80) => {
                    let tag = u64::from_be_bytes(payload[4..12].try_into().unwrap());
                    self.channels[channel - 1].confirm(tag, payload[12] & 1 == 1, confirmed);
                }
                (60, 120) => panic!("the broker refused an event"),
                (60, 50) => panic!("an event came back as unroutable: {}", String::from_utf8_lossy(&payload[6..])),
                (class, id) => panic!("method {class}.{id}: {}", String::from_utf8_lossy(&payload[4..])),
            }
        }
        self.inbound.drain(..from);
    }
}

impl Channel {
    fn confirm(&mut self, tag: u64, multiple: bool, confirmed: &mut Vec<u32>) {
        let at = usize::try_from(tag - self.first_tag).unwrap();
        let range = if multiple { 0..at + 1 } else { at..at + 1 };
        confirmed.extend(self.unconfirmed.range_mut(range).filter_map(Option::take));
        while self.unconfirmed.front().is_some_and(Option::is_none) {
            self.unconfirmed.pop_front();
            self.first_tag += 1;
        }
    }
}

fn method(class: u16, id: u16) -> Vec<u8> {
    [class.to_be_bytes(), id.to_be_bytes()].concat()
}

fn short_text(text: &str, out: &mut Vec<u8>) {
    out.push(u8::try_from(text.len()).unwrap());
    out.extend_from_slice(text.as_bytes());
}

fn long_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text);
}

fn framed(kind: u8, channel: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - length_at - 4).unwrap();
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    out.push(FRAME_END);
}

fn send(stream: &mut Blocking, channel: u16, payload: &[u8]) {
    let mut frame = Vec::new();
    framed(METHOD, channel, &mut frame, |out| out.extend_from_slice(payload));
    stream.write_all(&frame).unwrap();
}

/// The next method frame, which has to be this one.
fn expect(stream: &mut Blocking, class: u16, id: u16) -> Vec<u8> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    let mut payload = vec![0; length + 1];
    stream.read_exact(&mut payload).unwrap();
    assert!(payload.starts_with(&method(class, id)), "not {class}.{id}: {}", String::from_utf8_lossy(&payload));
    payload
}
