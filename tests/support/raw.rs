//! A WebSocket whose owner does nothing by itself: no ping is ever answered, and anything can be sent.

#![allow(dead_code, reason = "shared by several test programs, and not each of them needs all of it")]

use std::io::ErrorKind;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::{Heard, Service, within};

/// One socket after its handshake.
pub(crate) struct RawSocket {
    stream: BufReader<TcpStream>,
}

/// So that the service soon cannot write if nothing is read.
const SMALL_WINDOW_BYTES: u32 = 4096;
/// Whoever floods gets answers by the thousand, and is to have read them within the service's two seconds after its close,
/// on whatever machine.
const WIDE_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// A frame as it came. A service's frames are never masked, and use no reserved bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    pub(crate) is_final: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl RawFrame {
    /// The code of a close frame that has one.
    pub(crate) fn close_code(&self) -> Option<u16> {
        self.payload.first_chunk().map(|code| u16::from_be_bytes(*code))
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By FIN: everything that was sent before it can be read.
    InOrder,
    /// By RST: what was sent before it may be lost.
    Reset,
}

impl RawSocket {
    /// With a small window.
    pub(crate) async fn open(service: &Service, target: &str) -> Self {
        Self::open_with(service, target, SMALL_WINDOW_BYTES).await
    }

    /// With a window that takes all that a flood is answered.
    pub(crate) async fn open_wide(service: &Service, target: &str) -> Self {
        Self::open_with(service, target, WIDE_WINDOW_BYTES).await
    }

    async fn open_with(service: &Service, target: &str, window_bytes: u32) -> Self {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            service.http
        );
        let (socket, head) = Self::request_with(service, &request, window_bytes).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        socket
    }

    /// Sends any request and reads the head of the answer.
    pub(crate) async fn request(service: &Service, request: impl AsRef<[u8]>) -> (Self, String) {
        Self::request_with(service, request, SMALL_WINDOW_BYTES).await
    }

    async fn request_with(service: &Service, request: impl AsRef<[u8]>, window_bytes: u32) -> (Self, String) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(window_bytes).expect("a buffer size");
        let stream = socket.connect(service.http).await.expect("the service accepts connections");
        // Each small write shall be a segment of its own.
        stream.set_nodelay(true).expect("a socket option");
        let mut stream = BufReader::new(stream);
        stream.write_all(request.as_ref()).await.expect("open");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the handshake", stream.read_u8()).await.expect("a whole answer"));
        }
        (Self { stream }, String::from_utf8(head).expect("a head is text"))
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("open");
    }

    /// The same where the service may have closed the socket.
    #[allow(dead_code, reason = "only the fault tests need it")]
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("bytes leave", self.stream.write_all(bytes)).await
    }

    /// Sends the head of a text frame that promises `length` bytes, and no byte of it.
    pub(crate) async fn promise_text(&mut self, length: u64) {
        let mut head = vec![0x81, 0xff];
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&[0; 4]);
        self.stream.write_all(&head).await.expect("open");
    }

    /// Sends these bytes again and again from here on, for as long as the connection is open.
    #[allow(dead_code, reason = "only the fault tests need it")]
    pub(crate) fn flood_with(&mut self, bytes: &[u8]) {
        let own = std::os::fd::AsFd::as_fd(self.stream.get_ref()).try_clone_to_owned().expect("one more handle");
        let mut writing = TcpStream::from_std(own.into()).expect("a socket");
        let many = bytes.repeat((256 * 1024 / bytes.len()).max(1));
        #[allow(clippy::disallowed_methods, reason = "it ends with the connection")]
        tokio::spawn(async move { while writing.write_all(&many).await.is_ok() {} });
    }

    /// Sends no more, and goes on reading.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("open");
    }

    /// The next frame, whatever it is; `Err` is the end of the connection.
    pub(crate) async fn next(&mut self) -> Result<RawFrame, Ended> {
        let first = match within("a frame from the service", self.stream.read_u8()).await {
            Ok(first) => first,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Ended::InOrder),
            Err(_reset) => return Err(Ended::Reset),
        };
        assert_eq!(first & 0x70, 0, "no extension was negotiated, so no reserved bit may be set");
        let length = match self.stream.read_u8().await.expect("a length") {
            126 => u64::from(self.stream.read_u16().await.expect("a length")),
            127 => self.stream.read_u64().await.expect("a length"),
            short => {
                assert!(short < 126, "a service's frames are never masked");
                u64::from(short)
            }
        };
        let mut payload = vec![0; usize::try_from(length).expect("a sane length")];
        self.stream.read_exact(&mut payload).await.expect("a whole frame");
        Ok(RawFrame { is_final: first & 0x80 != 0, opcode: first & 0x0f, payload })
    }

    /// The next frame; the connection must not end before it.
    pub(crate) async fn frame(&mut self, what: &str) -> RawFrame {
        self.next().await.unwrap_or_else(|ended| panic!("{what}: the connection ended {ended:?} where a frame was due"))
    }

    /// Nothing comes but the end.
    pub(crate) async fn ended(&mut self, what: &str) -> Ended {
        match self.next().await {
            Err(ended) => ended,
            Ok(frame) => panic!("{what}: {frame:?} where the end was due"),
        }
    }

    /// The next text frame or the end. Pings are read and not answered.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            match self.next().await {
                Err(_ended) => return Heard::Closed(None),
                Ok(frame) if frame.opcode == 0x1 => {
                    return Heard::Frame(serde_json::from_slice::<Value>(&frame.payload).expect("every frame is JSON"));
                }
                Ok(frame) if frame.opcode == 0x8 => return Heard::Closed(frame.close_code()),
                Ok(_control) => {}
            }
        }
    }
}
