//! A page on a WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::HeaderName;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async, connect_async_tls_with_config as connect_tls,
};

use super::{Service, within};

/// What a page hears.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Frame(Value),
    /// The close code, if the close had one; `None` also where the connection ended without a close.
    Closed(Option<u16>),
}

/// One socket.
pub(crate) struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Page {
    /// Opens the socket as mini-programs do: no header, no subprotocol, no ticket in the address.
    pub(crate) async fn open(service: &Service) -> Self {
        Self::open_with(service, "/v1/ws", &[]).await.0
    }

    /// Opens it by any target and with any headers.
    pub(crate) async fn open_with(service: &Service, target: &str, headers: &[(&str, &str)]) -> (Self, Response) {
        Self::try_open(service, target, headers).await.unwrap_or_else(|e| panic!("the socket opens: {e}"))
    }

    /// As [`Page::open_with`], where the service may refuse.
    pub(crate) async fn try_open(
        service: &Service,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, Response), Error> {
        Self::open_at(service.http, target, headers).await
    }

    /// As [`Page::try_open`], by an address alone.
    pub(crate) async fn open_at(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, Response), Error> {
        let mut request = format!("ws://{address}{target}").into_client_request().expect("an address");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let (socket, response) = within("the WebSocket handshake", connect_async(request)).await?;
        Ok((Self { socket }, response))
    }

    /// Opens it over TLS by a client that trusts one certificate alone.
    pub(crate) async fn open_tls(service: &Service, tls: Arc<rustls::ClientConfig>) -> Result<Self, Error> {
        let address = format!("wss://localhost:{}/v1/ws", service.http.port());
        let opening = connect_tls(address, None, false, Some(Connector::Rustls(tls)));
        let (socket, _response) = within("the WebSocket handshake", opening).await?;
        Ok(Self { socket })
    }

    /// Opens it and subscribes to the one order of the ticket: the page and the payment as it stands.
    pub(crate) async fn subscribed(service: &Service, ticket: &str) -> (Self, Value) {
        let mut page = Self::open(service).await;
        let payment = page.subscribe(ticket).await;
        (page, payment)
    }

    /// Subscribes to the one order of the ticket; returns the payment as it stands.
    pub(crate) async fn subscribe(&mut self, ticket: &str) -> Value {
        self.send(&json!({ "type": "subscribe", "ticket": ticket })).await;
        let frame = self.frame().await;
        assert_eq!(frame["type"], "subscribed", "{frame}");
        frame["payment"].clone()
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_message(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        within("a frame leaves", self.socket.send(message)).await.expect("the socket is open");
    }

    /// Closes it as a page does that goes away.
    pub(crate) async fn close(&mut self) {
        within("a close leaves", self.socket.close(None)).await.expect("the socket is open");
    }

    /// Sends a message that the service may refuse before it has read all of it.
    pub(crate) async fn flood_message(&mut self, message: Message) {
        // What the service says of it is read next.
        drop(within("a frame leaves", self.socket.send(message)).await);
    }

    /// Sends many frames, and stops where the service has closed the socket.
    pub(crate) async fn flood(&mut self, frame: &Value, times: usize) {
        for _ in 0..times {
            if within("a frame leaves", self.socket.send(Message::text(frame.to_string()))).await.is_err() {
                return;
            }
        }
    }

    /// The next frame, or the end. Protocol pings are answered and not shown.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match within("a frame from the service", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Frame(serde_json::from_str(&text).expect("every frame is JSON"));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(close))) => return Heard::Closed(close.map(|close| close.code.into())),
                Some(Ok(other)) => panic!("a page gets text frames only, not {other:?}"),
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// The next frame; the socket must not end before it.
    pub(crate) async fn frame(&mut self) -> Value {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            Heard::Closed(code) => panic!("the socket was closed ({code:?}) where a frame was due"),
        }
    }

    /// The next frame is a payment.
    pub(crate) async fn payment(&mut self) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame["type"], "payment", "{frame}");
        frame["payment"].clone()
    }

    /// The next frame is an error of this code.
    pub(crate) async fn error(&mut self, code: &str) -> Value {
        let frame = self.frame().await;
        assert_eq!((&frame["type"], &frame["code"]), (&json!("error"), &json!(code)), "{frame}");
        assert!(frame["message"].as_str().is_some_and(|text| !text.is_empty()), "{frame}");
        frame
    }

    /// An error frame of this code, and then a close of that one: in this order, since many pages never see the close.
    pub(crate) async fn error_then_close(&mut self, code: &str, close: u16) {
        self.error(code).await;
        assert_eq!(self.hear().await, Heard::Closed(Some(close)));
    }

    /// Proves that the socket works, and that nothing else had been sent.
    pub(crate) async fn ping_pong(&mut self) {
        self.send(&json!({ "type": "ping" })).await;
        assert_eq!(self.frame().await, json!({ "type": "pong" }));
    }

    /// Reads payments until one has the status; versions only grow on the way.
    pub(crate) async fn payment_with_status(&mut self, status: &str) -> Value {
        let mut version = 0;
        loop {
            let payment = self.payment().await;
            let next = payment["version"].as_u64().expect("a version");
            assert!(next > version, "{next} after {version}");
            version = next;
            if payment["status"] == status {
                return payment;
            }
        }
    }
}
