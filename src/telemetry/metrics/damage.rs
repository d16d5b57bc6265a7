//! What is counted of payments that cannot be read or written.

use metrics::{Counter, Gauge, Label};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::{Metrics, as_f64, counter, gauge, names};

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

/// Registered at the start, so that a rate sees the first of each.
pub(super) struct Damage {
    held: Gauge,
    passed: [Counter; DamagedDuring::ALL.len()],
}

impl Damage {
    pub(super) fn new(r: &PrometheusRecorder) -> Self {
        let passed =
            DamagedDuring::ALL.map(|(_, during)| counter(r, names::DAMAGED, vec![Label::new("during", during)]));
        Self { held: gauge(r, names::EVENTS_HELD, vec![]), passed }
    }
}

impl Metrics {
    /// Events that wait for damaged payments.
    pub fn set_events_held(&self, events: usize) {
        self.inner.damage.held.set(as_f64(events));
    }

    /// Damaged payments were passed over.
    pub fn damaged(&self, during: DamagedDuring, payments: usize) {
        self.inner.damage.passed[during as usize].increment(u64::try_from(payments).unwrap_or(u64::MAX));
    }
}
