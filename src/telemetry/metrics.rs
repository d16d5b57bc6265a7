//! Metrics as handles that are passed by value. No global recorder: two programs in one process do not mix.

mod beginning;
mod condition;
mod consumer;
mod edge;
mod handles;
mod live;
mod outgoing;
mod pages;
mod process;
mod registry;
mod sample;
mod totals;

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, Histogram, Label, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::names::{self, Kind};
use crate::runtime::Health;

use handles::{Count, Damage, Outgoing, PageHandles};
use registry::{counter, gauge, histogram};
use totals::Totals;

pub use handles::{DamagedDuring, GaugeGuard, Published, Transport};
pub(super) use sample::Sample;

/// Every metric of the program. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    started: process::Started,
    health: OnceLock<Health>,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    pages: [PageHandles; 4],
    deliveries: Counter,
    redeliveries: Counter,
    acks_lost: Counter,
    in_flight: Gauge,
    unacknowledged: Gauge,
    mended: Counter,
    batch_events: Histogram,
    commit_seconds: Histogram,
    connections: Arc<Count>,
    damage: Damage,
    tickets_accepted: Counter,
    outgoing: Outgoing,
    recent: Totals,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// Where the exporter refuses its bucket bounds.
    pub fn new() -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new();
        for (name, kind, _) in names::ALL {
            if let Kind::Histogram(bounds) = kind {
                builder = builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)?;
            }
        }
        let recorder = builder.build_recorder();
        for (name, kind, help) in names::ALL {
            let (name, help) = ((*name).into(), (*help).into());
            match kind {
                Kind::Counter => recorder.describe_counter(name, None, help),
                Kind::Gauge => recorder.describe_gauge(name, None, help),
                Kind::Histogram(_) => recorder.describe_histogram(name, None, help),
            }
        }
        let r = &recorder;
        let inner = Inner {
            started: process::Started::now(),
            health: OnceLock::new(),
            pages: Transport::ALL.map(|transport| PageHandles::new(r, transport)),
            deliveries: counter(r, names::DELIVERIES, vec![]),
            redeliveries: counter(r, names::REDELIVERIES, vec![]),
            acks_lost: counter(r, names::ACKS_LOST, vec![]),
            in_flight: gauge(r, names::IN_FLIGHT, vec![]),
            unacknowledged: gauge(r, names::UNACKNOWLEDGED, vec![]),
            mended: counter(r, names::MENDED, vec![]),
            batch_events: histogram(r, names::BATCH_EVENTS, vec![]),
            commit_seconds: histogram(r, names::COMMIT_SECONDS, vec![]),
            connections: Count::new(gauge(r, names::CONNECTIONS, vec![])),
            damage: Damage::new(r),
            tickets_accepted: counter(r, names::TICKETS_ACCEPTED, vec![]),
            outgoing: Outgoing::new(r),
            recent: Totals::default(),
            handle: recorder.handle(),
            recorder,
        };
        counter(&inner.recorder, names::DEAD_LETTER_FAILURES, vec![]).absolute(0);
        counter(&inner.recorder, names::LARGE_BODIES, vec![]).absolute(0);
        for what in ["headers", "body"] {
            counter(&inner.recorder, names::DEAD_LETTERS_REDUCED, vec![Label::new("left_out", what)]).absolute(0);
        }
        gauge(&inner.recorder, names::DEAD_LETTERS_STUCK, vec![]).set(0.0);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn render(&self) -> String {
        self.look();
        let mut text = self.inner.handle.render();
        self.inner.started.render(&mut text);
        text
    }

    /// Folds what histograms have collected. To be called every few seconds, or they grow.
    pub fn upkeep(&self) {
        self.inner.handle.run_upkeep();
    }

    fn count(&self, name: &'static str, label: &'static str, value: &'static str, count: u64) {
        counter(&self.inner.recorder, name, vec![Label::new(label, value)]).increment(count);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn two_sets_of_metrics_do_not_mix_and_histograms_have_their_buckets() {
        let (a, b) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        a.dead_letter("invalid_json");
        a.committed(3, Duration::from_millis(2));
        let waits = a.page_waits(Transport::Sse);
        let text = a.render();
        assert!(text.contains(r#"payment_notifier_dead_letters_total{reason="invalid_json"} 1"#), "{text}");
        assert!(text.contains(r#"payment_notifier_batch_events_bucket{le="4"} 1"#), "{text}");
        assert!(text.contains(r#"payment_notifier_pages_waiting{transport="sse"} 1"#), "{text}");
        drop(waits);
        assert!(a.render().contains(r#"payment_notifier_pages_waiting{transport="sse"} 0"#));
        assert!(!b.render().contains("invalid_json"));
    }
}
