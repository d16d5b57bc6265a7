//! Posts events one by one over a pool of kept connections, as a back end with an HTTP client would.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::event;
use crate::frames;

const CONNECTIONS: usize = 64;

struct Connection {
    stream: TcpStream,
    /// The event whose answer is awaited.
    busy: Option<u32>,
    inbound: Vec<u8>,
}

pub(crate) struct Http {
    to: SocketAddr,
    connections: Vec<Connection>,
    free: Vec<usize>,
    waiting: VecDeque<(u32, u32)>,
    body: Vec<u8>,
    out: Vec<u8>,
}

impl Http {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let connect = || {
            let stream = std::net::TcpStream::connect(to).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
            Connection { stream: TcpStream::from_std(stream), busy: None, inbound: Vec::new() }
        };
        Self {
            to,
            connections: (0..CONNECTIONS).map(|_| connect()).collect(),
            free: (0..CONNECTIONS).collect(),
            waiting: VecDeque::new(),
            body: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, first_token: usize) {
        for (part, connection) in self.connections.iter_mut().enumerate() {
            registry.register(&mut connection.stream, Token(first_token + part), Interest::READABLE).unwrap();
        }
    }

    pub(crate) fn publish(&mut self, n: u32, order: u32) {
        self.waiting.push_back((n, order));
    }

    pub(crate) fn flush(&mut self) {
        while !self.waiting.is_empty()
            && let Some(part) = self.free.pop()
            && let Some((n, order)) = self.waiting.pop_front()
        {
            self.body.clear();
            event::body(n, order, &mut self.body);
            self.out.clear();
            write!(
                self.out,
                "POST /pub?id={} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                event::order(order),
                self.to,
                self.body.len()
            )
            .unwrap();
            self.out.extend_from_slice(&self.body);
            let connection = &mut self.connections[part];
            connection.busy = Some(n);
            // Some hundred bytes into the empty buffer of an idle connection.
            connection.stream.write_all(&self.out).unwrap();
        }
    }

    pub(crate) fn on_ready(&mut self, part: usize, confirmed: &mut Vec<u32>) {
        let connection = &mut self.connections[part];
        let mut chunk = [0; 4096];
        loop {
            match connection.stream.read(&mut chunk) {
                Ok(0) => panic!("the server closed the publisher's connection"),
                Ok(count) => connection.inbound.extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("the publisher's read: {e}"),
            }
        }
        let Some(length) = answer_length(&connection.inbound) else { return };
        let accepted = connection.inbound.starts_with(b"HTTP/1.1 20");
        assert!(accepted, "not accepted: {}", String::from_utf8_lossy(&connection.inbound));
        connection.inbound.drain(..length);
        confirmed.extend(connection.busy.take());
        self.free.push(part);
        self.flush();
    }
}

/// Bytes of the first answer, if it is whole.
fn answer_length(inbound: &[u8]) -> Option<usize> {
    let head = frames::head_end(inbound)?;
    let text = String::from_utf8_lossy(&inbound[..head]).to_ascii_lowercase();
    let length = text.split_once("content-length:").map_or("0", |(_, rest)| rest.lines().next().unwrap_or("0"));
    let whole = head + length.trim().parse::<usize>().unwrap();
    (inbound.len() >= whole).then_some(whole)
}
