//! One connection as lapin reads and writes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::frames::Frames;
use super::witness::Witness;

/// Bytes that are read at once.
const READ_BYTES_MAX: usize = 32 * 1024;

/// What frames travel on.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Writes pass as they are; what is read has gone through [`Frames`].
pub(crate) struct Stream {
    socket: Socket,
    frames: Frames,
    read: Box<[u8]>,
    /// Mended, and taken by lapin up to `taken`. Bounded by one read and one frame that was held.
    ready: Vec<u8>,
    taken: usize,
    has_ended: bool,
}

impl Stream {
    pub(super) fn new(socket: Socket, frame_max: u32, witness: Arc<Witness>) -> Self {
        let frames = Frames::new(frame_max, witness);
        let read = vec![0; READ_BYTES_MAX].into_boxed_slice();
        Self { socket, frames, read, ready: Vec::new(), taken: 0, has_ended: false }
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let waiting = &self.ready[self.taken..];
        let bytes = waiting.len().min(into.len());
        into[..bytes].copy_from_slice(&waiting[..bytes]);
        self.taken += bytes;
        if self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
        }
        bytes
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while this.ready.is_empty() && !this.has_ended {
            let bytes_max = ready!(this.frames.poll_readable(cx, this.read.len()));
            let mut buffer = ReadBuf::new(&mut this.read[..bytes_max]);
            ready!(match &mut this.socket {
                Socket::Plain(tcp) => Pin::new(tcp).poll_read(cx, &mut buffer),
                Socket::Tls(tls) => Pin::new(tls).poll_read(cx, &mut buffer),
            })?;
            if buffer.filled().is_empty() {
                this.has_ended = true;
                this.frames.end(&mut this.ready);
            } else {
                let too_large = |error| io::Error::new(io::ErrorKind::InvalidData, error);
                this.frames.read(buffer.filled(), &mut this.ready).map_err(too_large)?;
            }
        }
        Poll::Ready(Ok(this.take(into)))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Socket::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
