//! One WebSocket below its messages.
//!
//! A socket that is silent holds no buffer: tungstenite's part of it lives from the first byte of a message to the last,
//! and what is to be written waits in one buffer that goes once it is empty. What is not written yet is bounded by its
//! user, who reads nothing and adds nothing meanwhile. Nothing is read beyond one frame at a time, so that its user can
//! count frames and look at the clock between any two.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::message_boundary::MessageBoundary;

/// Nearly all frames of a page fit; of a longer one the rest is read in further steps.
const FIRST_READ_BYTES: usize = 1024;
/// What tungstenite takes at once, for the rest of a message.
const READ_BUFFER_BYTES: usize = 1024;

/// Read and thrown away after the close frame, for a page that is in the midst of a long message.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What was read.
#[derive(Debug)]
pub(super) enum Read {
    /// A whole message. A frame has ended with it.
    Message(Message),
    /// A whole frame that is not the last of its message.
    Frame,
    /// Some bytes of a frame.
    Fragment,
}

pub(super) struct FrameSocket {
    io: TokioIo<Upgraded>,
    /// Set while a message is being read.
    reader: Option<Box<Reader>>,
    out: Vec<u8>,
    /// How much of `out` was written.
    written: usize,
    flushing: bool,
    message_bytes_max: u32,
}

struct Reader {
    context: WebSocketContext,
    boundary: MessageBoundary,
    /// Read from the socket, and behind the frame that is being taken apart.
    ahead: Bytes,
}

impl FrameSocket {
    /// Messages over `message_bytes_max` are an [`Error::Capacity`].
    pub(super) fn new(upgraded: Upgraded, message_bytes_max: u32) -> Self {
        let io = TokioIo::new(upgraded);
        Self { io, reader: None, out: Vec::new(), written: 0, flushing: false, message_bytes_max }
    }

    /// What comes next, at most one frame of it. An answer that the standard asks for (to a ping, to a close) is added to
    /// what is to be written.
    ///
    /// # Errors
    /// As tungstenite says; [`Error::ConnectionClosed`] at the end of the stream.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Read, Error>> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let ahead = ready!(read_some(&mut self.io, context, Bytes::copy_from_slice))?;
                if ahead.is_empty() {
                    return Poll::Ready(Err(Error::ConnectionClosed));
                }
                none.insert(Box::new(Reader::new(ahead, self.message_bytes_max)))
            }
        };
        let Reader { context: socket, boundary, ahead } = &mut **reader;
        let source = Some(Source { io: &mut self.io, boundary, ahead, context });
        let mut stream = Stream { source, out: &mut self.out, passed: None };
        match (socket.read(&mut stream), stream.passed) {
            (Err(Error::Io(error)), passed) if error.kind() == io::ErrorKind::WouldBlock => match passed {
                Some(true) => Poll::Ready(Ok(Read::Frame)),
                Some(false) => Poll::Ready(Ok(Read::Fragment)),
                None => {
                    if reader.boundary.is_between_messages() && reader.context.can_write() {
                        self.reader = None;
                    }
                    Poll::Pending
                }
            },
            (result, _) => Poll::Ready(result.map(Read::Message)),
        }
    }

    /// True where nothing of a message was read whose end is still to come.
    pub(super) fn is_between_messages(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.boundary.is_between_messages())
    }

    /// Adds a text frame of these parts to what is to be written.
    pub(super) fn push_text(&mut self, parts: &[&[u8]]) {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        self.out.reserve(header.len(bytes as u64) + bytes);
        written_to_memory(header.format(bytes as u64, &mut self.out));
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    /// Adds an empty ping.
    pub(super) fn push_ping(&mut self) {
        written_to_memory(Frame::ping(bytes::Bytes::new()).format(&mut self.out));
    }

    /// Adds a close frame.
    pub(super) fn push_close(&mut self, close: CloseFrame) {
        written_to_memory(Frame::close(Some(close)).format(&mut self.out));
    }

    /// Adds the answer to the page's close frame, which was read.
    pub(super) fn push_close_answer(&mut self) {
        if let Some(reader) = &mut self.reader {
            let mut stream = Stream { source: None, out: &mut self.out, passed: None };
            written_to_memory(reader.context.flush(&mut stream));
        }
    }

    /// How much waits to be written.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.out.len() - self.written
    }

    /// Ready once nothing waits to be written.
    ///
    /// # Errors
    /// As the socket says: among others that the page does not read.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let bytes = ready!(Pin::new(&mut self.io).poll_write(context, &self.out[self.written..]))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += bytes;
            self.flushing = true;
        }
        if self.flushing {
            // Not cleared: a silent socket holds nothing.
            self.out = Vec::new();
            self.written = 0;
            ready!(Pin::new(&mut self.io).poll_flush(context))?;
            self.flushing = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what waits, ends the sending side, and throws away whatever still comes until the page has closed too:
    /// closing on unread bytes would reset the connection and could take the last frames with it.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_flush(context)).await?;
        std::future::poll_fn(|context| Pin::new(&mut self.io).poll_shutdown(context)).await?;
        let mut left = DISCARDED_BYTES_MAX;
        std::future::poll_fn(|context| self.poll_discard(context, &mut left)).await
    }

    /// Never ready once nothing is left to be taken: its user's time is the bound then.
    fn poll_discard(&mut self, context: &mut Context<'_>, left: &mut usize) -> Poll<io::Result<()>> {
        while *left > 0 {
            match ready!(read_some(&mut self.io, context, <[u8]>::len))? {
                0 => return Poll::Ready(Ok(())),
                bytes => *left = left.saturating_sub(bytes),
            }
        }
        Poll::Pending
    }
}

/// What the socket has, at most [`FIRST_READ_BYTES`] of it, given to `take`; nothing at its end.
fn read_some<T>(
    io: &mut TokioIo<Upgraded>,
    context: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let mut space = [MaybeUninit::uninit(); FIRST_READ_BYTES];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(take(buffer.filled())))
}

impl Reader {
    fn new(ahead: Bytes, message_bytes_max: u32) -> Self {
        let message_bytes_max = usize::try_from(message_bytes_max).unwrap_or(usize::MAX);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_frame_size(Some(message_bytes_max))
            .max_message_size(Some(message_bytes_max));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), boundary: MessageBoundary::default(), ahead }
    }
}

/// What tungstenite reads from and writes to. Writing only adds to the buffer, so there is one way out.
struct Stream<'a, 'c> {
    source: Option<Source<'a, 'c>>,
    out: &'a mut Vec<u8>,
    /// Set once bytes were given: whether a frame has ended with them. No more are given then.
    passed: Option<bool>,
}

struct Source<'a, 'c> {
    io: &'a mut TokioIo<Upgraded>,
    boundary: &'a mut MessageBoundary,
    ahead: &'a mut Bytes,
    context: &'a mut Context<'c>,
}

impl io::Read for Stream<'_, '_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let Some(Source { io, boundary, ahead, context }) = self.source.as_mut().filter(|_| self.passed.is_none())
        else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        if ahead.is_empty() {
            **ahead = match read_some(io, context, Bytes::copy_from_slice) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        // At the end of the stream there is nothing to pass.
        let (bytes, ended) = boundary.pass(&ahead[..ahead.len().min(space.len())]);
        space[..bytes].copy_from_slice(&ahead.split_to(bytes));
        self.passed = Some(ended);
        Ok(bytes)
    }
}

impl Write for Stream<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writing to memory does not fail. If it did, the page would see a broken frame and connect anew.
fn written_to_memory(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "frame not made");
    }
}
