//! A publisher that sends what no well-behaved client does, spoken by hand: lapin would not write it.

#![allow(dead_code, reason = "shared by several test programs, and not each of them needs all of it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// Far beyond what a confirm takes.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// A bit of a content header's flags.
pub(crate) const CONTENT_TYPE: u16 = 1 << 15;
pub(crate) const CONTENT_ENCODING: u16 = 1 << 14;
pub(crate) const HEADERS: u16 = 1 << 13;
pub(crate) const CORRELATION_ID: u16 = 1 << 10;
pub(crate) const REPLY_TO: u16 = 1 << 9;
pub(crate) const MESSAGE_ID: u16 = 1 << 7;
pub(crate) const TYPE: u16 = 1 << 5;
pub(crate) const APP_ID: u16 = 1 << 3;
pub(crate) const CLUSTER_ID: u16 = 1 << 2;

/// Publishes with confirms. Blocks.
pub(crate) struct RawPublisher(TcpStream);

impl RawPublisher {
    pub(crate) fn connect(amqp_url: &str) -> Self {
        let (login, place) = amqp_url.split_once("://").unwrap().1.rsplit_once('@').unwrap();
        let ((user, password), (host, vhost)) = (login.split_once(':').unwrap(), place.split_once('/').unwrap());
        let plain = |text| percent_decode_str(text).decode_utf8().unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(READ_LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Self(stream);
        wire.0.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        wire.await_method(10, 10);
        let response = long(format!("\0{}\0{}", plain(user), plain(password)).as_bytes());
        wire.method(10, 11, &[long(b""), short(b"PLAIN"), response, short(b"en_US")].concat(), 0);
        let tune = wire.await_method(10, 30);
        wire.method(10, 31, &[&tune[..6], &[0, 0]].concat(), 0);
        wire.method(10, 40, &[short(plain(vhost).as_bytes()), short(b""), vec![0]].concat(), 0);
        wire.await_method(10, 41);
        wire.method(20, 10, &short(b""), 1);
        wire.await_method(20, 11);
        wire.method(85, 10, &[0], 1);
        wire.await_method(85, 11);
        wire
    }

    /// Any routing key, any properties in their order, any body, and its confirm.
    pub(crate) fn publish(&mut self, key: &[u8], flags: u16, properties: &[u8], body: &[u8]) {
        self.publish_to("payments", key, flags, properties, body);
    }

    /// The same to another exchange.
    pub(crate) fn publish_to(&mut self, exchange: &str, key: &[u8], flags: u16, properties: &[u8], body: &[u8]) {
        self.method(60, 40, &[&[0, 0][..], &short(exchange.as_bytes()), &short(key), &[0]].concat(), 1);
        let size = u64::try_from(body.len()).unwrap().to_be_bytes();
        self.send(2, 1, &[&[0, 60, 0, 0][..], &size, &flags.to_be_bytes(), properties].concat());
        if !body.is_empty() {
            self.send(3, 1, body);
        }
        self.await_method(60, 80);
    }

    fn send(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&[kind][..], &channel.to_be_bytes(), &size, payload, &[0xce]].concat();
        self.0.write_all(&frame).unwrap();
    }

    fn method(&mut self, class: u16, method: u16, arguments: &[u8], channel: u16) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.send(1, channel, &payload);
    }

    /// Reads frames until that method comes, and answers its arguments.
    fn await_method(&mut self, class: u16, method: u16) -> Vec<u8> {
        let closed = [[0, 10, 0, 50], [0, 20, 0, 40]];
        loop {
            let mut head = [0; 7];
            self.0.read_exact(&mut head).unwrap();
            let mut payload = vec![0; u32::from_be_bytes(head[3..].try_into().unwrap()) as usize + 1];
            self.0.read_exact(&mut payload).unwrap();
            if head[0] == 1 && payload.starts_with(&[class.to_be_bytes(), method.to_be_bytes()].concat()) {
                return payload[4..].to_vec();
            }
            let is_closed = closed.iter().any(|id| head[0] == 1 && payload.starts_with(id));
            assert!(!is_closed, "refused: {}", String::from_utf8_lossy(&payload[6..]));
        }
    }
}

pub(crate) fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

pub(crate) fn long(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

/// Tables (`F`) or lists (`A`), one within the other: the fields of the outermost table.
pub(crate) fn nested(kind: u8, depth: usize) -> Vec<u8> {
    let each = if kind == b'F' { 6 } else { 5 };
    let name = |outer: bool| if kind == b'F' || outer { &[0][..] } else { &[] };
    let level =
        |level| [name(level + 1 == depth), &[kind], &u32::try_from(level * each).unwrap().to_be_bytes()].concat();
    (0..depth).rev().flat_map(level).collect()
}
