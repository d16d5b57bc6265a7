//! How a page of each target asks for its order and reads what it gets. One client drives them all.

mod nchan;
mod node;
mod ours;
mod web_mqtt;
mod web_stomp;

use std::net::SocketAddr;

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

/// A page's side of one target. Writes whole frames to `out`.
pub(crate) trait Dialect {
    /// Path and subprotocol of the handshake.
    fn place(&self, order: u32) -> (String, Option<&'static str>);

    /// What is said once the socket is a WebSocket.
    fn opened(&self, order: u32, out: &mut Vec<u8>) -> Meaning;

    /// What a frame means.
    fn inbound(&self, order: u32, payload: &[u8], out: &mut Vec<u8>) -> Meaning;

    /// What is said before the close frame.
    fn goodbye(&self, _out: &mut Vec<u8>) {}
}

/// The request that makes a WebSocket.
pub(crate) fn handshake(dialect: &dyn Dialect, to: SocketAddr, order: u32) -> Vec<u8> {
    let (path, protocol) = dialect.place(order);
    let protocol = protocol.map(|name| format!("sec-websocket-protocol: {name}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
    )
    .into_bytes()
}
