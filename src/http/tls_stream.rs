//! One TLS connection that holds no buffer while nothing is under way.
//!
//! rustls's own buffered connection keeps 4 KiB to read into for as long as it waits. This drives its unbuffered one: what
//! is read goes as soon as a record is whole, what is written goes as soon as the socket has taken it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read from the socket at once.
const READ_BYTES: usize = 4096;
/// Of what a record that is read may have (RFC 5246, 6.2.3; RFC 8446, 5.2).
const RECORD_BYTES_MAX: usize = 5 + 16 * 1024 + 2048;
/// Of the records of one message of a handshake: none of an honest client is near it.
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;
/// Of what is encrypted at once, so that a peer that does not read holds no more.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// What a record, or an alert, adds to its text, or more.
const OVERHEAD_BYTES: usize = 64;

/// A connection of which the peer has begun nothing yet, or more.
pub(super) struct TlsStream<T> {
    io: T,
    connection: UnbufferedServerConnection,
    /// Read, and part of a record whose end is still to come.
    incoming: Vec<u8>,
    /// Decrypted, and not asked for yet.
    text: BytesMut,
    /// Encrypted, and not taken by the socket yet.
    outgoing: BytesMut,
    reading: Reading,
    close_notify_is_queued: bool,
}

/// What is to be expected of the peer.
#[derive(Clone, Copy)]
enum Reading {
    Open,
    /// It has sent `close_notify`.
    Ended,
    /// It has gone without that.
    CutOff,
    /// It has violated the protocol.
    Failed,
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlsStream<T> {
    /// A connection whose handshake is still to come.
    ///
    /// # Errors
    /// As rustls says of its settings.
    pub(super) fn new(io: T, config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(invalid)?;
        let (incoming, text, outgoing) = (Vec::new(), BytesMut::new(), BytesMut::new());
        Ok(Self { io, connection, incoming, text, outgoing, reading: Reading::Open, close_notify_is_queued: false })
    }

    /// Ends with the handshake.
    ///
    /// # Errors
    /// For a peer that leaves or violates the protocol, which is told so.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // The last word of it too: a client of TLS 1.2 waits for it.
            ready!(self.poll_drain(context))?;
            if !self.connection.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_fill(context))?;
            if let Reading::CutOff = self.reading {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.process(context)?;
        }
    }

    /// Reads what the socket has, up to a bound.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let most = if self.connection.is_handshaking() { HANDSHAKE_BYTES_MAX } else { RECORD_BYTES_MAX };
        let room = READ_BYTES.min(most.saturating_sub(self.incoming.len()));
        if room == 0 {
            return Poll::Ready(Err(invalid("a message is too long")));
        }
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space[..room]);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            self.reading = Reading::CutOff;
        }
        self.incoming.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Takes apart what was read. What the protocol answers is added to what is to be written.
    fn process(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let processed = self.process_records();
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        processed.map_err(|error| {
            self.reading = Reading::Failed;
            // An alert, which is lost if the socket does not take it at once.
            let status = self.connection.process_tls_records(&mut self.incoming);
            if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
                drop(append(&mut self.outgoing, OVERHEAD_BYTES, |space| data.encode(space)));
            }
            let _sent_or_lost = self.poll_drain(context);
            invalid(error)
        })
    }

    fn process_records(&mut self) -> Result<(), rustls::Error> {
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut self.incoming);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        self.text.extend_from_slice(record.payload);
                    }
                    Ok(true)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, 0, |space| data.encode(space))
                        .map(|()| true)
                        .map_err(|error| rustls::Error::General(error.to_string()))
                }
                Ok(ConnectionState::TransmitTlsData(written_with_the_rest)) => {
                    written_with_the_rest.done();
                    Ok(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.reading = Reading::Ended;
                    Ok(true)
                }
                // More has to be read, or nothing will come. Early data is not accepted.
                Ok(_) => Ok(false),
                Err(error) => Err(error),
            };
            self.incoming.drain(..discard);
            if !more? {
                return Ok(());
            }
        }
    }

    /// Adds to what is to be written what `make` makes while the connection can be written to.
    fn encrypt(
        &mut self,
        bytes: usize,
        mut make: impl FnMut(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        match self.connection.process_tls_records(&mut self.incoming).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                append(&mut self.outgoing, bytes + OVERHEAD_BYTES, |space| make(&mut traffic, space)).map_err(invalid)
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Gives the socket what is to be written. Ready once nothing is.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(context, &self.outgoing))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.outgoing.advance(bytes),
            }
        }
        // Not cleared: a silent connection holds nothing.
        self.outgoing = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

type WriteTraffic<'c> = rustls::unbuffered::WriteTraffic<'c, rustls::server::ServerConnectionData>;

/// An error that says how much room was missing, if that is what it says.
trait NeedsRoom {
    fn bytes(&self) -> Option<usize>;
}

impl NeedsRoom for EncodeError {
    fn bytes(&self) -> Option<usize> {
        let Self::InsufficientSize(InsufficientSizeError { required_size }) = self else { return None };
        Some(*required_size)
    }
}

impl NeedsRoom for EncryptError {
    fn bytes(&self) -> Option<usize> {
        let Self::InsufficientSize(InsufficientSizeError { required_size }) = self else { return None };
        Some(*required_size)
    }
}

/// Adds what `make` makes within so many bytes, or within as many as it asks for.
fn append<E: NeedsRoom>(
    out: &mut BytesMut,
    bytes: usize,
    mut make: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), E> {
    let before = out.len();
    out.resize(before + bytes, 0);
    let made = make(&mut out[before..]).or_else(|error| match error.bytes() {
        Some(required) if required > bytes => {
            out.resize(before + required, 0);
            make(&mut out[before..])
        }
        _ => Err(error),
    });
    out.truncate(before + made.as_ref().copied().unwrap_or(0));
    made.map(drop)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.text.is_empty() {
                let bytes = this.text.len().min(buffer.remaining());
                buffer.put_slice(&this.text[..bytes]);
                this.text.advance(bytes);
                if this.text.is_empty() {
                    this.text = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            match this.reading {
                Reading::Open => {}
                Reading::Ended => return Poll::Ready(Ok(())),
                Reading::CutOff => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Reading::Failed => return Poll::Ready(Err(invalid("the peer has violated TLS"))),
            }
            ready!(this.poll_fill(context))?;
            // What came before a violation is read first.
            if let Err(error) = this.process(context)
                && this.text.is_empty()
            {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<T> {
    /// Takes some of `text` once all that was taken before is written.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        let text = &text[..text.len().min(TEXT_BYTES_MAX)];
        if let Reading::Failed = this.reading {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        this.encrypt(text.len(), |traffic, space| traffic.encrypt(text, space))?;
        match this.poll_drain(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(text.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.close_notify_is_queued, true) {
            // A connection that cannot be written to any more is closed without.
            drop(this.encrypt(0, |traffic, space| traffic.queue_close_notify(space)));
        }
        ready!(this.poll_drain(context))?;
        match ready!(Pin::new(&mut this.io).poll_shutdown(context)) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            shut_down => Poll::Ready(shut_down),
        }
    }
}

#[cfg(test)]
mod tests;
