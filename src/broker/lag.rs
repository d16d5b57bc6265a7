//! Looks at the length of the queues now and then, for the metrics. Quiet: a look that fails leaves the last figures.

use std::convert::Infallible;
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, Queue};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::connect::reason;
use crate::config;
use crate::telemetry::Metrics;

/// Looks every `amqp.lag_interval_s` on a channel of its own, and never ends.
pub(super) async fn watch(connection: &Connection, amqp: &config::Amqp, metrics: &Metrics) -> Infallible {
    let every = Duration::from_secs(amqp.lag_interval_s);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut channel = None;
    loop {
        ticks.tick().await;
        for queue in [&amqp.queue, &amqp.dead_letter_queue] {
            match timeout(every, look(connection, &mut channel, queue)).await {
                Ok(Ok(found)) => {
                    metrics.set_queue_messages(queue, found.message_count());
                    if queue == &amqp.queue {
                        metrics.set_queue_consumers(found.consumer_count());
                    }
                }
                Ok(Err(error)) => {
                    channel = None;
                    debug!(queue, reason = reason(&error), "queue length unknown");
                }
                Err(_elapsed) => {
                    channel = None;
                    debug!(queue, "queue length not read in time");
                }
            }
        }
    }
}

async fn look(connection: &Connection, kept: &mut Option<Channel>, queue: &str) -> lapin::Result<Queue> {
    let channel = match kept.take() {
        Some(channel) => channel,
        None => connection.create_channel().await?,
    };
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let name = ShortString::try_new(queue).unwrap_or_default();
    let found = channel.queue_declare(name, passive, FieldTable::default()).await?;
    *kept = Some(channel);
    Ok(found)
}
