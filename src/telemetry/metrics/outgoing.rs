//! What is counted of timelines, of the outbox and of what fills it.

use metrics::{Counter, Gauge, Label};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{Metrics, counter, gauge, names};

/// What the service tells merchants, by routing key.
const TYPES: [&str; 4] = ["payment.delivered", "payment.undelivered", "payment.conflict", "payment.inquiry"];

/// What became of one attempt to publish a message of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The broker has it, in a queue at least.
    Confirmed,
    /// The broker took it, and no queue is bound for it.
    Unroutable,
    /// It is tried again.
    Failed,
    /// The broker will never take it: it is put aside.
    Refused,
}

impl Published {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Confirmed, "confirmed"),
        (Self::Unroutable, "unroutable"),
        (Self::Failed, "failed"),
        (Self::Refused, "refused"),
    ];
}

/// Registered at the start, so that a rate sees the first of each.
pub(super) struct Outgoing {
    notes_dropped: Counter,
    published: [[Counter; Published::ALL.len()]; TYPES.len()],
    waiting: Gauge,
    escalations: Counter,
    inquiries: Counter,
    purged_payments: Counter,
    purged_entries: Counter,
}

impl Outgoing {
    pub(super) fn new(r: &PrometheusRecorder) -> Self {
        let published = |kind: &'static str, result: &'static str| {
            counter(r, names::OUTBOX_PUBLISHED, vec![Label::new("type", kind), Label::new("result", result)])
        };
        let purged = |what: &'static str| counter(r, names::RETIRED, vec![Label::new("what", what)]);
        Self {
            notes_dropped: counter(r, names::NOTES_DROPPED, vec![]),
            published: TYPES.map(|kind| Published::ALL.map(|(_, result)| published(kind, result))),
            waiting: gauge(r, names::OUTBOX_MESSAGES, vec![]),
            escalations: counter(r, names::ESCALATIONS, vec![]),
            inquiries: counter(r, names::INQUIRIES, vec![]),
            purged_payments: purged("payments"),
            purged_entries: purged("entries"),
        }
    }
}

impl Metrics {
    /// Notes that were left out.
    pub fn notes_dropped(&self, count: u64) {
        self.inner.outgoing.notes_dropped.increment(count);
    }

    /// One attempt to publish a message of the outbox.
    pub fn outbox_published(&self, routing_key: &str, result: Published) {
        if let Some(place) = TYPES.iter().position(|kind| *kind == routing_key) {
            self.inner.outgoing.published[place][result as usize].increment(1);
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

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
