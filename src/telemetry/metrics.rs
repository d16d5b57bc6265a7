//! Metrics as handles that are passed by value. No global recorder: two programs in one process do not mix.

mod beginning;
mod condition;
mod damage;
mod edge;
mod live;
mod outgoing;
mod process;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::names::{self, Kind};
use crate::runtime::Health;

pub use damage::DamagedDuring;
pub use outgoing::Published;

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

struct PerTransport {
    waiting: Gauge,
    publish_to_page: Histogram,
    arrival_to_page: Histogram,
    acks: Counter,
}

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
    transports: [PerTransport; 4],
    deliveries: Counter,
    redeliveries: Counter,
    acks_lost: Counter,
    in_flight: Gauge,
    unacknowledged: Gauge,
    mended: Counter,
    batch_events: Histogram,
    commit_seconds: Histogram,
    connections: Gauge,
    damage: damage::Damage,
    tickets_accepted: Counter,
    outgoing: outgoing::Outgoing,
}

/// From the publishing of a message to a page. One longer span that somebody made up would stay in a histogram's sum for
/// as long as the process lives.
const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);

const METADATA: Metadata<'static> = Metadata::new("payment_notifier", metrics::Level::INFO, None);

fn counter(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Counter {
    recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
}
fn gauge(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Gauge {
    recorder.register_gauge(&Key::from_parts(name, labels), &METADATA)
}
fn histogram(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Histogram {
    recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
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
        let transports = Transport::ALL.map(|transport| {
            let label = || vec![Label::new("transport", transport.as_str())];
            PerTransport {
                waiting: gauge(r, names::PAGES_WAITING, label()),
                publish_to_page: histogram(r, names::PUBLISH_TO_PAGE_SECONDS, label()),
                arrival_to_page: histogram(r, names::ARRIVAL_TO_PAGE_SECONDS, label()),
                acks: counter(r, names::PAGE_ACKS, label()),
            }
        });
        let inner = Inner {
            started: process::Started::now(),
            health: OnceLock::new(),
            transports,
            deliveries: counter(r, names::DELIVERIES, vec![]),
            redeliveries: counter(r, names::REDELIVERIES, vec![]),
            acks_lost: counter(r, names::ACKS_LOST, vec![]),
            in_flight: gauge(r, names::IN_FLIGHT, vec![]),
            unacknowledged: gauge(r, names::UNACKNOWLEDGED, vec![]),
            mended: counter(r, names::MENDED, vec![]),
            batch_events: histogram(r, names::BATCH_EVENTS, vec![]),
            commit_seconds: histogram(r, names::COMMIT_SECONDS, vec![]),
            connections: gauge(r, names::CONNECTIONS, vec![]),
            damage: damage::Damage::new(r),
            tickets_accepted: counter(r, names::TICKETS_ACCEPTED, vec![]),
            outgoing: outgoing::Outgoing::new(r),
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

    /// One delivery from the broker.
    pub fn delivery(&self, redelivered: bool) {
        self.inner.deliveries.increment(1);
        self.inner.redeliveries.increment(u64::from(redelivered));
    }

    /// Deliveries received and not settled.
    pub fn set_in_flight(&self, deliveries: usize) {
        self.inner.in_flight.set(as_f64(deliveries));
    }

    /// Deliveries received whose acknowledgement has not left.
    pub fn set_unacknowledged(&self, deliveries: usize) {
        self.inner.unacknowledged.set(as_f64(deliveries));
    }

    /// Frames with properties, headers or names that could be read only once they were mended.
    pub fn mended(&self, frames: u64) {
        self.inner.mended.increment(frames);
    }

    /// Acknowledgements that did not reach the broker.
    pub fn acks_lost(&self, count: u64) {
        self.inner.acks_lost.increment(count);
    }

    /// One committed batch.
    pub fn committed(&self, events: usize, took: Duration) {
        self.inner.batch_events.record(as_f64(events));
        self.inner.commit_seconds.record(took.as_secs_f64());
    }

    /// Events by what became of them.
    pub fn events(&self, outcome: &'static str, count: u64) {
        self.count(names::EVENTS_STORED, "outcome", outcome, count);
    }

    /// One contradiction.
    pub fn conflict(&self, kind: &'static str) {
        self.count(names::CONFLICTS, "kind", kind, 1);
    }

    /// One message in the dead letters.
    pub fn dead_letter(&self, reason: &'static str) {
        self.count(names::DEAD_LETTERS, "reason", reason, 1);
    }

    /// One delivery refused that has a body of more than 1 MiB.
    pub fn large_body(&self) {
        counter(&self.inner.recorder, names::LARGE_BODIES, vec![]).increment(1);
    }

    /// One dead letter that does not hold the whole message: `headers` or `body` were left out in part.
    pub fn dead_letter_reduced(&self, left_out: &'static str) {
        self.count(names::DEAD_LETTERS_REDUCED, "left_out", left_out, 1);
    }

    /// Messages that cannot be dead-lettered in any form.
    pub fn set_dead_letters_stuck(&self, messages: usize) {
        gauge(&self.inner.recorder, names::DEAD_LETTERS_STUCK, vec![]).set(as_f64(messages));
    }

    /// One attempt to dead-letter that was not confirmed.
    pub fn dead_letter_failure(&self) {
        counter(&self.inner.recorder, names::DEAD_LETTER_FAILURES, vec![]).increment(1);
    }

    /// Length of a queue.
    pub fn set_queue_messages(&self, queue: &str, messages: u32) {
        let labels = vec![Label::new("queue", queue.to_owned())];
        gauge(&self.inner.recorder, names::QUEUE_MESSAGES, labels).set(f64::from(messages));
    }

    /// Consumers of the results queue.
    pub fn set_queue_consumers(&self, consumers: u32) {
        gauge(&self.inner.recorder, names::QUEUE_CONSUMERS, vec![]).set(f64::from(consumers));
    }

    /// Whether the consumer is established.
    pub fn set_broker_connected(&self, connected: bool) {
        gauge(&self.inner.recorder, names::BROKER_CONNECTED, vec![]).set(f64::from(u8::from(connected)));
    }

    /// One attempt to establish the consumer: `ok` or `error`.
    pub fn broker_connect(&self, result: &'static str) {
        self.count(names::BROKER_CONNECTS, "result", result, 1);
    }

    /// Whether commits succeed.
    pub fn set_store_available(&self, available: bool) {
        gauge(&self.inner.recorder, names::STORE_AVAILABLE, vec![]).set(f64::from(u8::from(available)));
    }

    /// A page waits, until the answer is dropped.
    pub fn page_waits(&self, transport: Transport) -> GaugeGuard {
        GaugeGuard::new(self.of(transport).waiting.clone())
    }

    /// A connection is open, until the answer is dropped.
    pub fn connection(&self) -> GaugeGuard {
        GaugeGuard::new(self.inner.connections.clone())
    }

    /// A page was given an update that came `since_arrival` ago and was published at that time, if the publisher said.
    /// Both times are others' words, and one that cannot be true is left out.
    pub fn update_sent(
        &self,
        transport: Transport,
        since_arrival: Duration,
        published_at_ms: Option<i64>,
        now_ms: i64,
    ) {
        let metrics = self.of(transport);
        if since_arrival <= SPAN_MAX {
            metrics.arrival_to_page.record(since_arrival.as_secs_f64());
        }
        if let Some(since) = published_at_ms.and_then(|at_ms| since(at_ms, now_ms)) {
            metrics.publish_to_page.record(since.as_secs_f64());
        }
    }

    /// A page has shown a version.
    pub fn page_ack(&self, transport: Transport) {
        self.of(transport).acks.increment(1);
    }

    /// One refused request or frame, by its problem code.
    pub fn refused(&self, code: &'static str) {
        self.count(names::REFUSED, "code", code, 1);
    }

    /// One ticket that was found good.
    pub fn ticket_accepted(&self) {
        self.inner.tickets_accepted.increment(1);
    }

    /// One refused ticket.
    pub fn ticket_refused(&self, reason: &'static str) {
        self.count(names::TICKETS_REFUSED, "reason", reason, 1);
    }

    /// One minted ticket.
    pub fn ticket_minted(&self) {
        counter(&self.inner.recorder, names::TICKETS_MINTED, vec![]).increment(1);
    }

    /// One notification of a payment provider.
    pub fn callback(&self, provider: &'static str, outcome: &'static str) {
        let labels = vec![Label::new("provider", provider), Label::new("outcome", outcome)];
        counter(&self.inner.recorder, names::CALLBACKS, labels).increment(1);
    }

    fn count(&self, name: &'static str, label: &'static str, value: &'static str, count: u64) {
        counter(&self.inner.recorder, name, vec![Label::new(label, value)]).increment(count);
    }

    fn of(&self, transport: Transport) -> &PerTransport {
        &self.inner.transports[transport as usize]
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// One in a gauge, for as long as it lives.
#[must_use]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl std::fmt::Debug for GaugeGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GaugeGuard")
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A clock that is ahead by less is taken as one that is right.
fn since(at_ms: i64, now_ms: i64) -> Option<Duration> {
    let span = Duration::from_millis(now_ms.abs_diff(at_ms));
    let is_over = at_ms <= now_ms;
    (span <= SPAN_MAX).then_some(if is_over { span } else { Duration::ZERO })
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_time_that_cannot_be_true_is_in_no_histogram() {
        const NOW_MS: i64 = 1_790_000_000_000;
        let metrics = Metrics::new().unwrap();
        let day_ms = 24 * 3_600_000;
        for at_ms in
            [i64::MIN, i64::MIN + 1, -1, 0, 1, NOW_MS - day_ms - 1, NOW_MS + day_ms + 1, i64::MAX - 1, i64::MAX]
        {
            metrics.update_sent(Transport::Sse, Duration::MAX, Some(at_ms), NOW_MS);
            metrics.update_sent(Transport::Sse, Duration::ZERO, Some(at_ms), i64::MIN);
            metrics.update_sent(Transport::Sse, Duration::ZERO, Some(at_ms), i64::MAX - 2);
        }
        let sum = |metrics: &Metrics, name: &str| -> f64 {
            let text = metrics.render();
            let line = format!(r#"payment_notifier_{name}_seconds_sum{{transport="sse"}} "#);
            text.lines().find_map(|l| l.strip_prefix(&line)?.parse().ok()).unwrap()
        };
        // Near the ends of what a clock can show, two such times may be close to each other.
        assert!(sum(&metrics, "publish_to_page") < 0.1, "{}", metrics.render());
        assert!(sum(&metrics, "arrival_to_page") < 0.1);
        metrics.update_sent(Transport::Sse, Duration::from_secs(2), Some(NOW_MS - 3000), NOW_MS);
        metrics.update_sent(Transport::Sse, Duration::ZERO, Some(NOW_MS + 3000), NOW_MS);
        assert!((sum(&metrics, "publish_to_page") - 3.0).abs() < 0.1);
        assert!((sum(&metrics, "arrival_to_page") - 2.0).abs() < 0.1);
    }
}
