//! Keeps the large bodies that are in memory within a bound: while they are not settled nothing more is read, and what comes
//! next stays with RabbitMQ, as TCP has it. A prefetch counts messages, whatever their size.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// Bytes. How many bodies of at most so many are in memory is bounded by the prefetch.
pub(super) const LARGE_BYTES: u64 = 64 * 1024;
/// Bytes of larger bodies. The one that goes beyond it is read whole.
const HELD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes that are read while no more may be, so that the connection is seen to live: lapin ends one that it reads nothing from
/// for two heartbeats.
const SIGN_BYTES: usize = 64;
/// Signs in the time of one heartbeat.
const SIGNS: u32 = 3;

/// The large bodies of one connection.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Somebody releases what is counted.
    is_kept: AtomicBool,
    held_bytes: AtomicU64,
    sign: AtomicBool,
    reader: AtomicWaker,
}

/// A large body that is in memory, until this is dropped.
#[derive(Debug)]
pub(crate) struct LargeBody {
    gate: Arc<Gate>,
    bytes: u64,
}

impl Gate {
    /// Counts from here on. Each large body that is delivered has to become [`LargeBody`], and be dropped some time.
    pub(crate) fn keep(&self) {
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// A body of so many bytes was delivered.
    pub(crate) fn hold(self: &Arc<Self>, body_bytes: usize) -> Option<LargeBody> {
        let bytes = u64::try_from(body_bytes).unwrap_or(u64::MAX);
        (bytes > LARGE_BYTES).then(|| LargeBody { gate: Arc::clone(self), bytes })
    }

    /// Lets signs of life through, and never ends.
    pub(crate) async fn show_life(&self, heartbeat: Duration) -> Infallible {
        // Without heartbeats nobody looks.
        let interval = if heartbeat.is_zero() { Duration::from_secs(60) } else { heartbeat / SIGNS };
        loop {
            tokio::time::sleep(interval).await;
            self.sign.store(true, Ordering::Relaxed);
            self.reader.wake();
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// A large body of so many bytes is let in.
    pub(super) fn arrives(&self, body_bytes: u64) {
        self.held_bytes.fetch_add(body_bytes, Ordering::AcqRel);
    }

    /// How many bytes may be read, of `bytes_max`. `amid`: so many in any case, up to the end of a body or of one frame.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>, bytes_max: usize, amid: usize) -> Poll<usize> {
        if self.is_open() {
            return Poll::Ready(bytes_max);
        }
        if amid > 0 {
            return Poll::Ready(bytes_max.min(amid));
        }
        self.reader.register(cx.waker());
        // Again: it may have opened before there was anybody to wake.
        if self.is_open() {
            return Poll::Ready(bytes_max);
        }
        if self.sign.swap(false, Ordering::Relaxed) {
            return Poll::Ready(bytes_max.min(SIGN_BYTES));
        }
        Poll::Pending
    }

    pub(super) fn is_open(&self) -> bool {
        self.held_bytes.load(Ordering::Acquire) < HELD_BYTES_MAX
    }
}

impl Drop for LargeBody {
    fn drop(&mut self) {
        self.gate.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.gate.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: usize = 16 * 1024 * 1024;

    #[test]
    fn nothing_more_is_read_while_too_much_is_held_but_the_end_of_a_body_and_signs_of_life() {
        let gate = Arc::new(Gate::default());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut poll = |amid| gate.poll_readable(&mut cx, 1000, amid);
        let mut held = Vec::new();
        for _ in 0..4 {
            assert_eq!(poll(0), Poll::Ready(1000));
            gate.arrives(BODY as u64);
            held.extend(gate.hold(BODY));
        }
        assert_eq!((poll(0), poll(7)), (Poll::Pending, Poll::Ready(7)));
        gate.sign.store(true, Ordering::Relaxed);
        assert_eq!((poll(0), poll(0)), (Poll::Ready(SIGN_BYTES), Poll::Pending));
        held.pop();
        assert_eq!(poll(0), Poll::Ready(1000));
        assert!(gate.hold(65_536).is_none());
        drop(held);
        assert_eq!(gate.held_bytes.load(Ordering::Relaxed), 0);
    }
}
