//! What is known of messages from their frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::gate::Gate;

/// What the frames held of messages, whether or not lapin could read them.
#[derive(Debug)]
pub struct Witness {
    mended: AtomicU64,
    delivery_count: AtomicI64,
    gate: Arc<Gate>,
}

const UNKNOWN: i64 = -1;

impl Default for Witness {
    fn default() -> Self {
        Self { mended: AtomicU64::new(0), delivery_count: AtomicI64::new(UNKNOWN), gate: Arc::default() }
    }
}

impl Witness {
    /// Frames that were mended since this was asked last.
    pub fn take_mended(&self) -> u64 {
        self.mended.swap(0, Ordering::Relaxed)
    }

    /// How often the last message had been delivered before, where a quorum queue counts that.
    #[must_use]
    pub fn delivery_count(&self) -> Option<i64> {
        Some(self.delivery_count.load(Ordering::Relaxed)).filter(|count| *count != UNKNOWN)
    }

    /// What bounds the large bodies that are in memory.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(super) fn mended(&self) {
        self.mended.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn message_begins(&self) {
        self.delivery_count.store(UNKNOWN, Ordering::Relaxed);
    }

    pub(super) fn delivered_before(&self, times: i64) {
        self.delivery_count.store(times.max(0), Ordering::Relaxed);
    }
}
