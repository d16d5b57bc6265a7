//! This node's changes on their way out: one message a time, without confirms, on a connection of its own, so that a
//! broker that blocks publishers blocks nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use tokio::time::{MissedTickBehavior, interval, timeout};
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

impl<'a> LivePublisher<'a> {
    /// Ends without an error where the tasks were told to stop and all was published.
    async fn publish(&mut self, channel: &Channel, tasks: &Tasks) -> Result<(), Error> {
        info!(exchange = self.shared.amqp.live_exchange, "sending changes to the other nodes");
        let mut heartbeats = interval(Duration::from_millis(self.shared.live.heartbeat_ms));
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let with_tickets = tokio::select! {
                biased;
                () = tasks.stopping() => break,
                _ = heartbeats.tick() => true,
                () = self.shared.sender.ready() => false,
            };
            // As long as the broker blocks publishers. What comes meanwhile waits, or is dropped.
            tokio::select! {
                sent = self.publish_all(channel, with_tickets) => sent?,
                () = tasks.stopping() => break,
            }
        }
        let late = Error::Lost(format!("not everything was sent within {LEAVE_S_MAX} s"));
        timeout(Duration::from_secs(LEAVE_S_MAX), self.leave(channel)).await.unwrap_or(Err(late))
    }

    /// Publishes all that waits, and with `with_tickets` a message in any case.
    async fn publish_all(&mut self, channel: &Channel, mut with_tickets: bool) -> Result<(), Error> {
        let Shared { sender, live, parts, .. } = self.shared;
        loop {
            if self.changes.is_empty() {
                self.changes = sender.take(CHANGES_AT_ONCE_MAX);
            }
            if self.changes.is_empty() && !with_tickets {
                return Ok(());
            }
            let packet = Packet::fill(&mut self.changes, live.message_bytes_max);
            let mut head = self.head();
            if std::mem::take(&mut with_tickets) {
                head = head.with_tickets(parts.pages.held_tickets(TICKETS_MAX));
            }
            self.send(channel, &packet, &head).await?;
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
