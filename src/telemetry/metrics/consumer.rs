//! What is counted from a delivery to its acknowledgement or its dead letter.

use std::time::Duration;

use metrics::Label;

use super::Metrics;
use super::handles::DamagedDuring;
use super::registry::{as_f64, as_u64, counter, gauge};
use crate::telemetry::names;

impl Metrics {
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
        self.inner.recent.stored(count);
        self.count(names::EVENTS_STORED, "outcome", outcome, count);
    }

    /// One message whose status a mapping ignores.
    pub fn event_ignored(&self) {
        counter(&self.inner.recorder, names::EVENTS_IGNORED, vec![]).increment(1);
    }

    /// One contradiction.
    pub fn conflict(&self, kind: &'static str) {
        self.count(names::CONFLICTS, "kind", kind, 1);
    }

    /// One message in the dead letters.
    pub fn dead_letter(&self, reason: &'static str) {
        self.inner.recent.dead_lettered(reason, 1);
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
        self.inner.recent.set_queue(queue, messages);
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

    /// Events that wait for damaged payments.
    pub fn set_events_held(&self, events: usize) {
        self.inner.damage.held.set(as_f64(events));
    }

    /// Damaged payments were passed over.
    pub fn damaged(&self, during: DamagedDuring, payments: usize) {
        self.inner.damage.passed[during as usize].increment(as_u64(payments));
    }
}
