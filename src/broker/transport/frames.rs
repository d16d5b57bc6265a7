//! Cuts what RabbitMQ sends into frames as the bytes come, and mends those that lapin cannot read.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::gate::LARGE_BYTES;
use super::mend::{self, END_BYTES, HEAD_BYTES};
use super::witness::Witness;

/// RabbitMQ adds headers of its own to those of a publisher, without asking whether one frame still holds them.
const HELD_BYTES_MAX: usize = 256 * 1024;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// A frame of properties or of a method that is larger than RabbitMQ may make any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes that is not a body frame")]
pub struct TooLarge(
    /// How large.
    pub u64,
);

/// A large body on its way.
#[derive(Debug)]
struct Large {
    bytes: u64,
    left_bytes: u64,
    /// The gate was open for it: it is read whole.
    is_let_in: bool,
}

/// Bytes in, bytes out. The answer is the same wherever the bytes are cut.
#[derive(Debug)]
pub struct Frames {
    /// The frame that is being read, where it has to be read as a whole or its head is not complete. Bounded.
    held: Vec<u8>,
    /// Of the frame that is being read and passes as it is.
    passing_bytes: u64,
    /// What comes is no AMQP: lapin says so best.
    is_foreign: bool,
    /// The large body that is being read.
    large: Option<Large>,
    frame_bytes_max: usize,
    witness: Arc<Witness>,
}

impl Frames {
    /// For a connection on which this side says that it takes frames of at most `frame_max` bytes.
    #[must_use]
    pub fn new(frame_max: u32, witness: Arc<Witness>) -> Self {
        let frame_bytes_max = usize::try_from(frame_max).unwrap_or(usize::MAX);
        Self { held: Vec::new(), passing_bytes: 0, is_foreign: false, large: None, frame_bytes_max, witness }
    }

    /// Takes what was read, and appends what lapin may read to `ready`.
    ///
    /// # Errors
    /// [`TooLarge`]: the connection is of no more use.
    pub fn read(&mut self, mut bytes: &[u8], ready: &mut Vec<u8>) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            if self.is_foreign {
                ready.extend_from_slice(bytes);
                return Ok(());
            }
            if self.passing_bytes > 0 {
                let here = usize::try_from(self.passing_bytes).map_or(bytes.len(), |left| left.min(bytes.len()));
                ready.extend_from_slice(&bytes[..here]);
                bytes = &bytes[here..];
                self.passing_bytes -= here as u64;
                continue;
            }
            let missing = match self.whole_bytes()? {
                None => HEAD_BYTES - self.held.len(),
                Some(whole) => whole - self.held.len(),
            };
            let here = missing.min(bytes.len());
            self.held.extend_from_slice(&bytes[..here]);
            bytes = &bytes[here..];
            self.pass_on(ready)?;
        }
        Ok(())
    }

    /// How many bytes may be read now, of `bytes_max`: where the gate is closed, up to the end of what it has let in.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<usize> {
        self.let_in();
        let amid = match (&self.large, self.passing_bytes) {
            (Some(Large { is_let_in: false, .. }), _) => 0,
            (Some(_), 0) => HEAD_BYTES.saturating_sub(self.held.len()),
            (_, passing) => usize::try_from(passing).unwrap_or(bytes_max),
        };
        self.witness.gate().poll_readable(cx, bytes_max, amid)
    }

    fn let_in(&mut self) {
        if let Some(large) = &mut self.large
            && !large.is_let_in
            && self.witness.gate().is_open()
        {
            large.is_let_in = true;
            self.witness.gate().arrives(large.bytes);
        }
    }

    /// A frame of a body begins.
    fn body(&mut self, bytes: u64) {
        let Some(large) = &mut self.large else { return };
        large.left_bytes = large.left_bytes.saturating_sub(bytes);
        if large.left_bytes == 0 {
            // Signs of life may have brought all of it.
            if !large.is_let_in {
                self.witness.gate().arrives(large.bytes);
            }
            self.large = None;
        }
    }

    /// The connection has ended: what is left is half a frame.
    pub fn end(&mut self, ready: &mut Vec<u8>) {
        ready.append(&mut self.held);
    }

    /// Bytes of the frame whose head is held.
    fn whole_bytes(&self) -> Result<Option<usize>, TooLarge> {
        let Some([.., a, b, c, d]) = self.held.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let whole = u64::from(u32::from_be_bytes([*a, *b, *c, *d])) + (HEAD_BYTES + END_BYTES) as u64;
        match usize::try_from(whole) {
            Ok(bytes) if bytes <= HELD_BYTES_MAX => Ok(Some(bytes)),
            _ => Err(TooLarge(whole)),
        }
    }

    fn pass_on(&mut self, ready: &mut Vec<u8>) -> Result<(), TooLarge> {
        let Some(&kind) = self.held.first() else { return Ok(()) };
        match kind {
            METHOD | HEADER => {
                if self.whole_bytes()? != Some(self.held.len()) {
                    return Ok(());
                }
                let from = ready.len();
                ready.append(&mut self.held);
                if kind == METHOD {
                    self.method(ready, from);
                } else {
                    self.header(ready, from);
                }
            }
            BODY | HEARTBEAT => {
                let Some([.., a, b, c, d]) = self.held.first_chunk::<HEAD_BYTES>() else { return Ok(()) };
                let bytes = u64::from(u32::from_be_bytes([*a, *b, *c, *d]));
                self.passing_bytes = bytes + END_BYTES as u64;
                if kind == BODY {
                    self.body(bytes);
                }
                ready.append(&mut self.held);
            }
            _ => {
                self.is_foreign = true;
                ready.append(&mut self.held);
            }
        }
        Ok(())
    }

    fn method(&mut self, ready: &mut [u8], from: usize) {
        let payload = payload(ready, from);
        if let Some(frame_max) = mend::tuned_frame_max(payload) {
            // The smaller of both is what lapin takes.
            let theirs = usize::try_from(frame_max).ok().filter(|bytes| *bytes > 0);
            self.frame_bytes_max = self.frame_bytes_max.min(theirs.unwrap_or(usize::MAX));
        }
        if mend::begins_a_message(payload) {
            self.witness.message_begins();
        }
        if mend::method(payload) {
            self.witness.mended();
        }
    }

    fn header(&mut self, ready: &mut Vec<u8>, from: usize) {
        let bytes = mend::body_bytes(payload(ready, from)).filter(|bytes| *bytes > LARGE_BYTES);
        let counted = bytes.filter(|_| self.witness.gate().is_kept());
        self.large = counted.map(|bytes| Large { bytes, left_bytes: bytes, is_let_in: false });
        self.let_in();
        if mend::header(ready, from, self.frame_bytes_max, &self.witness) {
            self.witness.mended();
        }
    }
}

fn payload(ready: &mut [u8], from: usize) -> &mut [u8] {
    let end = ready.len().saturating_sub(END_BYTES);
    ready.get_mut(from + HEAD_BYTES..end).unwrap_or_default()
}
