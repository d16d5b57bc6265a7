//! A WebSocket whose owner does nothing by itself, so that no ping is ever answered.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{Heard, Service, within};

/// One socket after its handshake.
pub(crate) struct RawSocket {
    stream: TcpStream,
}

impl RawSocket {
    /// With a small window, so that the service soon cannot write if nothing is read.
    pub(crate) async fn open(service: &Service, target: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a buffer size");
        let mut stream = socket.connect(service.http).await.expect("the service accepts connections");
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            service.http
        );
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the handshake", stream.read_u8()).await.expect("a whole answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { stream }
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

    /// The next text frame or the end. Pings are read and not answered. A service's frames are never masked.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            let Ok(first) = within("a frame from the service", self.stream.read_u8()).await else {
                return Heard::Closed(None);
            };
            let length = match self.stream.read_u8().await.expect("a length") {
                126 => u64::from(self.stream.read_u16().await.expect("a length")),
                127 => self.stream.read_u64().await.expect("a length"),
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("a sane length")];
            self.stream.read_exact(&mut payload).await.expect("a whole frame");
            match first & 0x0f {
                0x1 => return Heard::Frame(serde_json::from_slice::<Value>(&payload).expect("every frame is JSON")),
                0x8 => return Heard::Closed(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
                _ => {}
            }
        }
    }
}
