//! How a page of each target asks for its order and reads what it gets. One client drives them all.

mod centrifugo;
mod mercure;
mod nchan;
mod node;
mod ours;
mod web_mqtt;
mod web_stomp;

use std::net::SocketAddr;

use crate::frames::Framing;

pub(crate) use centrifugo::Centrifugo;
pub(crate) use mercure::Mercure;
pub(crate) use nchan::Nchan;
pub(crate) use node::Node;
pub(crate) use ours::Ours;
pub(crate) use web_mqtt::WebMqtt;
pub(crate) use web_stomp::WebStomp;

/// What a frame meant.
#[derive(Debug, PartialEq)]
pub(crate) enum Meaning {
    /// Something more is to come before the page is subscribed, or nothing.
    Wait,
    /// The page is subscribed: an event published from here on must reach it.
    Subscribed,
    /// The page got the event of this number.
    Event(u32),
}

/// A stream that a page opens.
pub(crate) enum Stream {
    WebSocket {
        path: String,
        protocol: Option<&'static str>,
    },
    /// Server-sent events, with a bearer token.
    Events {
        path: String,
        token: String,
    },
}

impl Stream {
    /// At this path, without a subprotocol.
    pub(crate) fn web_socket(path: String) -> Self {
        Self::WebSocket { path, protocol: None }
    }
}

/// A page's side of one target. Writes whole frames to `out`.
pub(crate) trait Dialect {
    /// How the page asks for its stream.
    fn stream(&self, order: u32) -> Stream;

    /// What is said once the stream is open.
    fn opened(&self, order: u32, out: &mut Vec<u8>) -> Meaning;

    /// What stands between the messages of one frame, where a frame may hold several.
    fn separator(&self) -> Option<u8> {
        None
    }

    /// What a message means.
    fn inbound(&self, order: u32, payload: &[u8], out: &mut Vec<u8>) -> Meaning;

    /// What is said before the close frame.
    fn goodbye(&self, _out: &mut Vec<u8>) {}
}

/// The request that opens the stream, and how what follows is framed.
pub(crate) fn handshake(dialect: &dyn Dialect, to: SocketAddr, order: u32) -> (Vec<u8>, Framing) {
    match dialect.stream(order) {
        Stream::WebSocket { path, protocol } => {
            let protocol = protocol.map(|name| format!("sec-websocket-protocol: {name}\r\n")).unwrap_or_default();
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
            );
            (request.into_bytes(), Framing::WebSocket)
        }
        Stream::Events { path, token } => {
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: {to}\r\naccept: text/event-stream\r\nauthorization: Bearer {token}\r\n\r\n"
            );
            (request.into_bytes(), Framing::Chunks)
        }
    }
}
