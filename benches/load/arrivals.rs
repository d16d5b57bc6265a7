//! What the bare consumer, which has no pages, says that it got.

use std::io::{ErrorKind, Read};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::event;

pub(crate) struct Arrivals {
    stream: TcpStream,
    partial: Vec<u8>,
}

impl Arrivals {
    pub(crate) fn register(stream: std::net::TcpStream, registry: &Registry, token: Token) -> Self {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE).unwrap();
        Self { stream, partial: Vec::new() }
    }

    /// The numbers of the events that have come since.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> impl Iterator<Item = u32> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => panic!("the bare consumer ended"),
                Ok(count) => self.partial.extend_from_slice(&scratch[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("the bare consumer's answers: {e}"),
            }
        }
        let whole = self.partial.len() - self.partial.len() % event::NUMBER_BYTES;
        let taken: Vec<u8> = self.partial.drain(..whole).collect();
        let (numbers, _none) = taken.as_chunks::<{ event::NUMBER_BYTES }>();
        numbers.iter().map(|text| event::digits(text).unwrap()).collect::<Vec<_>>().into_iter()
    }
}
