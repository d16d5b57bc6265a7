//! This node's changes on their way out: one message a time, without confirms, on a connection of its own, so that a
//! broker that blocks publishers blocks nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::info;

use super::packet::Packet;
use super::recovery::Recovery;
use super::sender::Change;
use super::shared::Shared;
use super::wire::Head;
use crate::broker::connect::{Purpose, reason};
use crate::broker::error::Error;
use crate::runtime::{Tasks, unix_us};

/// For the last messages, and again for the closing handshake.
const LEAVE_S_MAX: u64 = 2;
/// Changes that are made into text at once.
const CHANGES_AT_ONCE_MAX: usize = 512;
/// Changes a millisecond from which on it is a flood, and so many at once, which a burst after a silence is not.
const FLOOD_PER_MS: usize = 2;
const FLOOD_CHANGES_MIN: usize = 8;
/// How long the changes of a flood are gathered: a message costs each node the same, whatever it holds.
const GATHER: Duration = Duration::from_millis(10);
/// Tickets whose pages one heartbeat lists.
const TICKETS_MAX: usize = 512;
/// Gone with a restart of the broker, as the queues are.
const TRANSIENT: u8 = 1;

/// What is under way from here to the other nodes.
struct LivePublisher<'a> {
    shared: &'a Shared,
    changes: VecDeque<Change>,
}

/// Publishes this node's changes until `tasks` are told to stop.
pub(super) async fn run(shared: &Shared, tasks: &Tasks) {
    let mut publisher = LivePublisher { shared, changes: VecDeque::new() };
    let mut recovery = Recovery::new("to the other nodes", &shared.amqp);
    while !tasks.is_stopping() {
        recovery.begin();
        let connected = tokio::select! {
            connected = shared.connect(Purpose::LiveOut) => connected,
            () = tasks.stopping() => return,
        };
        let ended = match connected {
            Ok((connection, channel)) => {
                let ended = publisher.publish(&channel, tasks).await;
                let close = connection.close(200, "OK".into());
                drop(timeout(Duration::from_secs(LEAVE_S_MAX), close).await);
                ended
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            recovery.wait(&error, tasks).await;
        }
    }
}

/// Whether so many changes within this time are so many that the next are worth gathering.
fn is_flood(changes: usize, within: Duration) -> bool {
    let ms = usize::try_from(within.as_millis()).unwrap_or(usize::MAX);
    changes >= FLOOD_CHANGES_MIN && changes / FLOOD_PER_MS >= ms
}

impl<'a> LivePublisher<'a> {
    /// Ends without an error where the tasks were told to stop and all was published.
    async fn publish(&mut self, channel: &Channel, tasks: &Tasks) -> Result<(), Error> {
        info!(exchange = self.shared.amqp.live_exchange, "sending changes to the other nodes");
        let mut heartbeats = interval(Duration::from_millis(self.shared.live.heartbeat_ms));
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut published_at = Instant::now();
        loop {
            let with_tickets = tokio::select! {
                biased;
                () = tasks.stopping() => break,
                _ = heartbeats.tick() => true,
                () = self.shared.sender.ready() => false,
            };
            // As long as the broker blocks publishers. What comes meanwhile waits, or is dropped.
            let changes = tokio::select! {
                sent = self.publish_all(channel, with_tickets) => sent?,
                () = tasks.stopping() => break,
            };
            let before = std::mem::replace(&mut published_at, Instant::now());
            if is_flood(changes, published_at - before) {
                tokio::select! {
                    () = sleep(GATHER) => {}
                    () = self.shared.sender.filling() => {}
                    () = tasks.stopping() => break,
                }
            }
        }
        let late = Error::Lost(format!("not everything was sent within {LEAVE_S_MAX} s"));
        timeout(Duration::from_secs(LEAVE_S_MAX), self.leave(channel)).await.unwrap_or(Err(late))
    }

    /// Publishes all that waits, and with `with_tickets` a message in any case. Answers how many changes.
    async fn publish_all(&mut self, channel: &Channel, mut with_tickets: bool) -> Result<usize, Error> {
        let Shared { sender, live, parts, .. } = self.shared;
        let mut published = 0;
        loop {
            if self.changes.is_empty() {
                self.changes = sender.take(CHANGES_AT_ONCE_MAX);
            }
            if self.changes.is_empty() && !with_tickets {
                return Ok(published);
            }
            let packet = Packet::fill(&mut self.changes, live.message_bytes_max);
            let mut head = self.head();
            if std::mem::take(&mut with_tickets) {
                head = head.with_tickets(parts.pages.held_tickets(TICKETS_MAX));
            }
            self.send(channel, &packet, &head).await?;
            published += packet.changes();
        }
    }

    async fn leave(&mut self, channel: &Channel) -> Result<(), Error> {
        self.publish_all(channel, false).await?;
        self.send(channel, &Packet::default(), &self.head().leaving()).await
    }

    /// The head of the next message. Where that is lost, the number that it has is missing.
    fn head(&self) -> Head<'a> {
        let Shared { sender, live, instance, .. } = self.shared;
        Head::new(instance, sender.run(), sender.next_sequence(), unix_us(), live.heartbeat_ms)
    }

    /// Waits until the message is written to the socket.
    async fn send(&self, channel: &Channel, packet: &Packet, head: &Head<'_>) -> Result<(), Error> {
        let Shared { amqp, parts, .. } = self.shared;
        let exchange = ShortString::try_new(amqp.live_exchange.as_str()).unwrap_or_default();
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_app_id("payment-notifier".into())
            .with_delivery_mode(TRANSIENT);
        let (text, options) = (packet.text(head), BasicPublishOptions::default());
        match channel.basic_publish(exchange, ShortString::default(), options, &text, properties).await {
            Ok(_no_confirm) => {
                parts.metrics.live_published(packet.changes());
                Ok(())
            }
            Err(error) => {
                parts.metrics.live_dropped(packet.changes());
                Err(Error::Lost(reason(&error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_gathered_and_a_burst_or_a_steady_trickle_is_not() {
        let ms = Duration::from_millis;
        assert!(is_flood(25, ms(4)) && is_flood(60, ms(10)));
        assert!(!is_flood(200, ms(1000)), "a burst after a silence");
        assert!(!is_flood(5, ms(1)), "few, however fast");
        assert!(!is_flood(20, ms(11)), "a steady rate below");
    }
}
