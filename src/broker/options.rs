//! What of the settings concerns the broker.

use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::runtime::Backoff;

/// What of the settings concerns the broker.
#[derive(Debug, Clone)]
pub struct Options {
    /// `[amqp]`
    pub amqp: Arc<config::Amqp>,
    /// `[payments]`
    pub payments: config::Payments,
    /// `[outbox]`
    pub outbox: config::Outbox,
    /// Events that one commit takes: `store.batch_events_max`.
    pub batch_events_max: usize,
    /// Names this node in RabbitMQ's console.
    pub instance: String,
}

impl Options {
    /// From the settings, for the node named `instance`.
    #[must_use]
    pub fn new(settings: &config::Settings, instance: &str) -> Self {
        Self {
            amqp: Arc::new(settings.amqp.clone()),
            payments: settings.payments.clone(),
            outbox: settings.outbox.clone(),
            batch_events_max: settings.store.batch_events_max,
            instance: instance.to_owned(),
        }
    }
}

/// The waits between attempts: from `amqp.retry_first_ms` to `amqp.retry_longest_ms`.
pub(super) fn backoff(amqp: &config::Amqp) -> Backoff {
    Backoff::new(Duration::from_millis(amqp.retry_first_ms), Duration::from_millis(amqp.retry_longest_ms))
}
