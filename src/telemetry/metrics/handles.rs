//! Metrics that are registered at the start, so that a rate sees the first of each, and their labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, Label};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::registry::{counter, gauge, histogram};
use crate::telemetry::names;

/// How a page waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `GET /v1/ws`
    WebSocket,
    /// `GET /v1/payments/{order_id}/events`
    Sse,
    /// `GET /v1/payments/{order_id}?after=…&wait=…`
    LongPoll,
    /// `GET /v1/payments/{order_id}`
    Poll,
}

impl Transport {
    /// All four.
    pub const ALL: [Self; 4] = [Self::WebSocket, Self::Sse, Self::LongPoll, Self::Poll];

    /// The value of the label `transport`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::LongPoll => "long_poll",
            Self::Poll => "poll",
        }
    }
}

/// How many there are of something, as a gauge and to be read.
pub(super) struct Count {
    gauge: Gauge,
    value: AtomicU64,
}

impl Count {
    pub(super) fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { gauge, value: AtomicU64::new(0) })
    }

    pub(super) fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// One of a count, for as long as it lives.
#[must_use]
pub struct GaugeGuard(Arc<Count>);

impl GaugeGuard {
    pub(super) fn new(count: &Arc<Count>) -> Self {
        count.gauge.increment(1.0);
        count.value.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl std::fmt::Debug for GaugeGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GaugeGuard")
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.gauge.decrement(1.0);
        self.0.value.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is counted of pages that wait in one way.
pub(super) struct PageHandles {
    pub(super) waiting: Arc<Count>,
    pub(super) publish_to_page: Histogram,
    pub(super) arrival_to_page: Histogram,
    pub(super) acks: Counter,
}

impl PageHandles {
    pub(super) fn new(r: &PrometheusRecorder, transport: Transport) -> Self {
        let label = || vec![Label::new("transport", transport.as_str())];
        Self {
            waiting: Count::new(gauge(r, names::PAGES_WAITING, label())),
            publish_to_page: histogram(r, names::PUBLISH_TO_PAGE_SECONDS, label()),
            arrival_to_page: histogram(r, names::ARRIVAL_TO_PAGE_SECONDS, label()),
            acks: counter(r, names::PAGE_ACKS, label()),
        }
    }
}

/// What came upon a damaged payment, and passed it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamagedDuring {
    /// An event of it: the event is held.
    Event,
    /// The look for results that no page has shown.
    Escalation,
    /// The removal of what is old.
    Retention,
}

impl DamagedDuring {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Event, "event"), (Self::Escalation, "escalation"), (Self::Retention, "retention")];
}

/// What is counted of payments that cannot be read or written.
pub(super) struct Damage {
    pub(super) held: Gauge,
    pub(super) passed: [Counter; DamagedDuring::ALL.len()],
}

impl Damage {
    pub(super) fn new(r: &PrometheusRecorder) -> Self {
        let passed =
            DamagedDuring::ALL.map(|(_, during)| counter(r, names::DAMAGED, vec![Label::new("during", during)]));
        Self { held: gauge(r, names::EVENTS_HELD, vec![]), passed }
    }
}

/// Messages to merchants, by routing key.
pub(super) const TYPES: [&str; 4] = ["payment.delivered", "payment.undelivered", "payment.conflict", "payment.inquiry"];

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

/// What is counted of timelines, of the outbox and of what fills it.
pub(super) struct Outgoing {
    pub(super) notes_dropped: Counter,
    pub(super) published: [[Counter; Published::ALL.len()]; TYPES.len()],
    pub(super) waiting: Gauge,
    pub(super) escalations: Counter,
    pub(super) inquiries: Counter,
    pub(super) purged_payments: Counter,
    pub(super) purged_entries: Counter,
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
