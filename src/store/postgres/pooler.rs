//! Whether a pooler stands before the server, and what is said of one that keeps no sessions.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// One line for operators.
pub(super) const REFUSED: &str = "a connection pooler shares sessions between transactions, so settings and \
    prepared statements are lost (PgBouncer with pool_mode = transaction or statement): set pool_mode = session, \
    or point store.url at PostgreSQL itself";

/// A request to cancel a statement: its length, its code, the process that works on it, a secret. Of 4 bytes each.
const REQUEST_BYTES: usize = 16;
const PID_AT: usize = 8;

/// The number of the server's process, as it was told when the connection was made. A pooler tells a number that it has
/// made up, by which it knows the connection again. The library has it for a request to cancel a statement alone, so one is
/// written, to nobody.
pub(super) async fn told_pid(client: &Client) -> Option<i32> {
    let (mut heard, stream) = duplex(1024);
    // Whoever asks for TLS first, gets it.
    heard.write_all(b"S").await.ok()?;
    client.cancel_token().cancel_query_raw(stream, Plain).await.ok()?;
    let mut request = Vec::new();
    heard.read_to_end(&mut request).await.ok()?;
    let at = request.len().checked_sub(REQUEST_BYTES)? + PID_AT;
    Some(i32::from_be_bytes(request.get(at..at + 4)?.try_into().ok()?))
}

/// Takes a stream as TLS that is none: it does not leave this process.
struct Plain;

struct PlainStream(DuplexStream);

impl TlsConnect<DuplexStream> for Plain {
    type Stream = PlainStream;
    type Error = io::Error;
    type Future = Ready<io::Result<PlainStream>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(PlainStream(stream)))
    }
}

impl TlsStream for PlainStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
