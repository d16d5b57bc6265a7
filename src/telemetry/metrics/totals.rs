//! Totals that the operators' page looks back on, kept beside the metrics, whose own values can only be read as text.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::telemetry::names::SECONDS;

/// Since the start of this node.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) events: AtomicU64,
    /// Pages by how long after the arrival they were updated: by the bounds of [`SECONDS`], and beyond the last of them.
    pub(super) arrivals: [AtomicU64; SECONDS.len() + 1],
    /// Messages that are ready, by queue. There are two.
    pub(super) queues: Mutex<BTreeMap<String, u64>>,
    /// Dead letters, by reason, of which there are few.
    pub(super) dead_lettered: Mutex<BTreeMap<&'static str, u64>>,
}

impl Totals {
    pub(super) fn stored(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn arrived(&self, since_s: f64) {
        let bucket = SECONDS.iter().position(|bound| since_s <= *bound).unwrap_or(SECONDS.len());
        self.arrivals[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_queue(&self, queue: &str, messages: u32) {
        lock(&self.queues).insert(queue.to_owned(), messages.into());
    }

    pub(super) fn dead_lettered(&self, reason: &'static str, count: u64) {
        *lock(&self.dead_lettered).entry(reason).or_insert(0) += count;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
