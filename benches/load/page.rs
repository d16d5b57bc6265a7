//! A page by hand: a WebSocket over a plain socket, a few hundred bytes each.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Page {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Page {
    /// Connects, subscribes with a ticket and reads the first answer.
    pub(crate) async fn subscribe(address: SocketAddr, ticket: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let handshake = format!(
            "GET /v1/ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let mut page = Self { stream, buffer: Vec::with_capacity(512) };
        let end = loop {
            if let Some(end) = page.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(page.read().await, "the service closed the socket");
        };
        assert!(page.buffer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&page.buffer));
        page.buffer.drain(..end);
        page.send(&format!(r#"{{"type":"subscribe","ticket":"{ticket}"}}"#)).await;
        let first = page.frame().await.unwrap();
        assert!(first.contains("subscribed"), "{first}");
        page
    }

    async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
            }
        }
        // A mask of zeros is a mask.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next text frame, not set once the service has gone. Pings are answered, since a page that never answers is
    /// given up.
    pub(crate) async fn frame(&mut self) -> Option<String> {
        loop {
            while let Some((opcode, payload)) = self.take() {
                match opcode {
                    0x1 => return Some(payload),
                    0x9 => self.stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap(),
                    0x8 => return None,
                    other => panic!("opcode {other}: {payload}"),
                }
            }
            if !self.read().await {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<(u8, String)> {
        let (opcode, short) = (*self.buffer.first()? & 0x0f, usize::from(*self.buffer.get(1)?));
        let (head, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes([*self.buffer.get(2)?, *self.buffer.get(3)?]))),
            short => (2, short),
        };
        if self.buffer.len() < head + length {
            return None;
        }
        let payload = String::from_utf8_lossy(&self.buffer[head..head + length]).into_owned();
        self.buffer.drain(..head + length);
        Some((opcode, payload))
    }

    /// False once the service has gone.
    async fn read(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(bytes) if bytes > 0)
    }
}
