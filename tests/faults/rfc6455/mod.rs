//! RFC 6455 by raw frames of our own, since a client library sends only what is right.
//!
//! Each case stands in a table with its name and the section of the RFC that it comes from. Beside every socket that
//! misbehaves stands a page that does not: see [`Bystander`].

mod closing;
mod control;
mod framing;
mod handshake;
mod text;
mod wire;

use serde_json::Value;

use crate::support::raw::{RawFrame, RawSocket};
use crate::support::{Page, Publisher, Service, Setup, event, ticket};

/// A service, and a page on it that every case must leave alone.
struct Bystander {
    service: Service,
    page: Page,
    order_id: &'static str,
    pid: u32,
}

impl Bystander {
    async fn start(order_id: &'static str) -> Self {
        // Each frame counts, and what is cut into a frame for each byte has many.
        let service = Setup::new().await.set("HTTP__FRAMES_BURST_MAX", 200).start().await;
        let (page, _) = Page::subscribed(&service, &ticket(order_id)).await;
        let pid = service.pid();
        Self { service, page, order_id, pid }
    }

    async fn open(&self) -> RawSocket {
        RawSocket::open(&self.service, "/v1/ws").await
    }

    /// The page still gets its payment, and nothing but that; the service is the same process, and ready.
    async fn assert_unharmed(mut self) {
        self.page.ping_pong().await;
        let publisher = Publisher::connect(self.service.vhost()).await;
        publisher.publish(&event(self.order_id, "succeeded")).await;
        assert_eq!(self.page.payment().await["status"], "succeeded");
        self.page.ping_pong().await;
        self.service.wait_ready().await;
        assert_eq!(self.service.pid(), self.pid);
    }
}

/// How a socket must end for which the RFC says "_Fail the WebSocket Connection_".
#[derive(Clone, Copy)]
enum Fails {
    /// `bad_request`, close 4400.
    BadRequest,
    /// `bad_request`, close 4413.
    TooLarge,
}

/// The service says why in a frame, closes with the code of docs/PROTOCOL.md, and ends the connection in good order.
async fn assert_fails(socket: &mut RawSocket, fails: Fails, name: &str) {
    let error = text_of(&socket.frame(name).await, name);
    assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("error"), Some("bad_request")), "{name}");
    let close = socket.frame(name).await;
    let code = match fails {
        Fails::BadRequest => 4400,
        Fails::TooLarge => 4413,
    };
    assert_eq!((close.opcode, close.close_code()), (0x8, Some(code)), "{name}");
    assert!(std::str::from_utf8(&close.payload[2..]).is_ok(), "{name}: the reason is text");
}

/// A whole, unmasked, unextended text frame of JSON: nothing else may a service send (5.1, 5.2, 5.6).
fn text_of(frame: &RawFrame, name: &str) -> Value {
    assert_eq!((frame.is_final, frame.opcode), (true, 0x1), "{name}: {frame:?}");
    serde_json::from_slice(&frame.payload).unwrap_or_else(|error| panic!("{name}: {error}: {frame:?}"))
}

/// The answer to `{"type":"ping"}`: the socket is alive and nothing else had been sent.
async fn assert_pong(socket: &mut RawSocket, name: &str) {
    let pong = text_of(&socket.frame(name).await, name);
    assert_eq!(pong["type"], "pong", "{name}: {pong}");
}
