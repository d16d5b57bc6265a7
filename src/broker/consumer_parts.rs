//! What the consumer shares with the rest of the program.

use std::sync::Arc;

use super::live::LiveSender;
use super::publisher::Publisher;
use crate::hub::Hub;
use crate::runtime::{Component, Health};
use crate::store::{OutboxSignal, PaymentStore, TimelineRecorder};
use crate::telemetry::Metrics;

/// What the consumer works with.
#[derive(Clone)]
pub struct ConsumerParts {
    /// Where events are made durable.
    pub store: Arc<dyn PaymentStore>,
    /// The pages that wait for them.
    pub hub: Arc<Hub>,
    /// Sends them to the other nodes. Not set where there are none.
    pub live: Option<LiveSender>,
    /// Publishes dead letters, [`Publisher::for_dead_letters`].
    pub publisher: Publisher,
    /// Records dead letters in the timelines of their orders.
    pub timeline: TimelineRecorder,
    /// Notified where a commit has put something into the outbox.
    pub outbox_signal: OutboxSignal,
    /// What is counted.
    pub metrics: Metrics,
    /// Gets the faults of `Component::Broker`, `Component::Consumer` and `Component::Store`.
    pub health: Health,
}

impl ConsumerParts {
    /// What keeps `queue` from being consumed. Operators know the queue by its name, so that is in it.
    pub(super) fn fault(&self, queue: &str, why: &str) {
        let queue = format!("queue {queue:?}");
        let fault = if why.contains(&queue) { why.to_owned() } else { format!("{queue}: {why}") };
        self.health.fault(Component::Consumer, fault);
    }
}
