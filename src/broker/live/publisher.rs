//! This node's changes on their way out: one message a time, without confirms, on a connection of its own, so that a
//! broker that blocks publishers blocks nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Connection};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::info;

use super::Live;
use super::packet::Packet;
use super::recovery::Recovery;
use super::sender::Change;
use super::wire::Head;
use crate::broker::connect::{self, Purpose, reason};
use crate::broker::{Error, topology};
use crate::runtime::{Tasks, unix_us};

/// For topology and channel, once connected.
const SET_UP_S_MAX: u64 = 15;
/// For the last words, and again for the closing handshake.
const LEAVE_S_MAX: u64 = 2;
/// Changes that are made into text at once.
const CHANGES_AT_ONCE_MAX: usize = 512;
/// Tickets whose pages are told with one sign of life.
const TICKETS_MAX: usize = 512;
/// Gone with a restart of the broker, as the queues are.
const TRANSIENT: u8 = 1;

/// What is under way from here to the other nodes.
struct LivePublisher<'a> {
    live: &'a Live,
    changes: VecDeque<Change>,
}

impl Live {
    /// Tells the other nodes until `tasks` are told to stop.
    pub(super) async fn speak(&self, tasks: &Tasks) {
        let mut speaker = LivePublisher { live: self, changes: VecDeque::new() };
        let mut recovery = Recovery::new("to the other nodes", &self.amqp);
        while !tasks.is_stopping() {
            recovery.begin();
            let connected = tokio::select! {
                connected = self.speaking_place() => connected,
                () = tasks.stopping() => return,
            };
            let ended = match connected {
                Ok((connection, channel)) => {
                    let ended = speaker.speak_on(&channel, tasks).await;
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

    async fn speaking_place(&self) -> Result<(Connection, Channel), Error> {
        let connection = connect::connect(&self.addresses, &self.amqp, Purpose::LiveOut, &self.instance).await?;
        let set_up = async {
            topology::establish_live(&connection, &self.amqp).await?;
            connection.create_channel().await.map_err(|error| Error::Lost(reason(&error)))
        };
        match timeout(Duration::from_secs(SET_UP_S_MAX), set_up).await {
            Ok(channel) => channel.map(|channel| (connection, channel)),
            Err(_elapsed) => Err(Error::Lost(format!("no answer in {SET_UP_S_MAX} s"))),
        }
    }
}

impl<'a> LivePublisher<'a> {
    /// Ends without an error where the tasks were told to stop and all was said.
    async fn speak_on(&mut self, channel: &Channel, tasks: &Tasks) -> Result<(), Error> {
        info!(exchange = self.live.amqp.live_exchange, "sending changes to the other nodes");
        let mut heartbeats = interval(Duration::from_millis(self.live.live.heartbeat_ms));
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let with_tickets = tokio::select! {
                biased;
                () = tasks.stopping() => break,
                _ = heartbeats.tick() => true,
                () = self.live.sender.ready() => false,
            };
            // As long as the broker blocks publishers. What comes meanwhile waits, or is dropped.
            tokio::select! {
                said = self.say_all(channel, with_tickets) => said?,
                () = tasks.stopping() => break,
            }
        }
        let late = Error::Lost(format!("not everything was sent within {LEAVE_S_MAX} s"));
        timeout(Duration::from_secs(LEAVE_S_MAX), self.leave(channel)).await.unwrap_or(Err(late))
    }

    /// Says all that waits, and if asked to, something in any case.
    async fn say_all(&mut self, channel: &Channel, mut with_tickets: bool) -> Result<(), Error> {
        let Live { sender, live, parts, .. } = self.live;
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
            self.say(channel, &packet, &head).await?;
        }
    }

    async fn leave(&mut self, channel: &Channel) -> Result<(), Error> {
        self.say_all(channel, false).await?;
        self.say(channel, &Packet::default(), &self.head().leaving()).await
    }

    /// The head of the next message. Where that is lost, the number that it has is missing.
    fn head(&self) -> Head<'a> {
        let Live { sender, live, instance, .. } = self.live;
        Head::new(instance, sender.run(), sender.next_sequence(), unix_us(), live.heartbeat_ms)
    }

    /// Waits until the message is written to the socket.
    async fn say(&self, channel: &Channel, packet: &Packet, head: &Head<'_>) -> Result<(), Error> {
        let Live { amqp, parts, .. } = self.live;
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
