//! What is counted of timelines, of the outbox and of what fills it.

use super::Metrics;
use super::handles::{Published, TYPES};
use super::registry::as_u64;

impl Metrics {
    /// Notes that were left out.
    pub fn notes_dropped(&self, count: u64) {
        self.inner.outgoing.notes_dropped.increment(count);
    }

    /// One attempt to publish a message of the outbox.
    pub fn outbox_published(&self, routing_key: &str, result: Published) {
        if let Some(at) = TYPES.iter().position(|kind| *kind == routing_key) {
            self.inner.outgoing.published[at][result as usize].increment(1);
        }
    }

    /// Messages that wait in the outbox.
    pub fn set_outbox_messages(&self, count: u64) {
        self.inner.outgoing.waiting.set(u32::try_from(count).map_or(f64::from(u32::MAX), f64::from));
    }

    /// Final results that no page acknowledged in time.
    pub fn escalated(&self, count: usize) {
        self.inner.outgoing.escalations.increment(as_u64(count));
    }

    /// Orders for which a page has waited beyond a span.
    pub fn inquired(&self, count: usize) {
        self.inner.outgoing.inquiries.increment(as_u64(count));
    }

    /// What was removed from the store.
    pub fn purged(&self, payments: usize, entries: usize) {
        self.inner.outgoing.purged_payments.increment(as_u64(payments));
        self.inner.outgoing.purged_entries.increment(as_u64(entries));
    }
}
