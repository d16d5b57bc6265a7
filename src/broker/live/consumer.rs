//! What the other nodes publish on its way to the pages of this one, through an exclusive queue of this node's own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use super::gaps::Gap;
use super::peers::{Peers, valid_for};
use super::recovery::Recovery;
use super::shared::{Shared, within_set_up};
use super::wire::{FORMAT, Message, PaymentIn};
use crate::broker::connect::{Purpose, reason};
use crate::broker::error::Error;
use crate::broker::settle::acknowledge_up_to;
use crate::broker::topology::short;
use crate::broker::work::{Work, finished};
use crate::hub::Update;
use crate::runtime::{Object, Tasks, unix_us};

/// For the closing handshake.
const CLOSE_S_MAX: u64 = 2;
/// Messages that RabbitMQ sends ahead. What waits beyond them waits in the queue, which has a bound.
const PREFETCH: u16 = 64;
/// Messages that are acknowledged together: each acknowledgement wakes a thread of lapin's, which costs as much as a message.
const ACKNOWLEDGED_TOGETHER: u16 = PREFETCH / 4;
/// Between two looks at who gives no sign of life.
const SILENCE_CHECK: Duration = Duration::from_secs(1);
const RESOURCE_LOCKED: u16 = 405;

/// Clocks of two nodes differ. A message cannot have been under way for longer than this.
const TRANSIT_MAX: Duration = Duration::from_secs(60);
/// Of `live.heartbeat_ms`, whatever another node's message holds.
const HEARTBEAT_MAX: Duration = Duration::from_secs(60);
/// What another node held longer is shown as if it had been held so long.
const HELD_MAX: Duration = Duration::from_secs(3600);

/// A subscription that stands. It receives this node's messages too, and until it does it is not taken to receive any.
struct LiveConsumer<'a> {
    shared: &'a Shared,
    channel: Channel,
    peers: Peers,
    has_logged_unreadable: bool,
}

/// Gives what other nodes publish to the pages of this one until `tasks` are told to stop.
pub(super) async fn run(shared: &Shared, tasks: &Tasks) {
    let mut recovery = Recovery::new("from the other nodes", &shared.amqp);
    while !tasks.is_stopping() {
        recovery.begin();
        let connected = tokio::select! {
            connected = connect_and_subscribe(shared) => connected,
            () = tasks.stopping() => return,
        };
        let ended = match connected {
            Ok((connection, mut consumer, stream)) => {
                let ended = consumer.consume(stream, tasks).await;
                shared.set_receiving(false);
                drop(timeout(Duration::from_secs(CLOSE_S_MAX), connection.close(200, "OK".into())).await);
                ended
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            recovery.wait(&error, tasks).await;
        }
    }
}

async fn connect_and_subscribe(shared: &Shared) -> Result<(Connection, LiveConsumer<'_>, lapin::Consumer), Error> {
    let (connection, channel) = shared.connect(Purpose::LiveIn).await?;
    let consumer = LiveConsumer { shared, channel, peers: Peers::default(), has_logged_unreadable: false };
    let stream = within_set_up(consumer.subscribe()).await?;
    Ok((connection, consumer, stream))
}

fn refused(queue: &str, error: &lapin::Error) -> Error {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) if refusal.get_id() == RESOURCE_LOCKED => {
            Error::InstanceTaken { queue: queue.to_owned() }
        }
        ErrorKind::ProtocolError(refusal) => Error::Topology(format!("queue {queue:?}: {}", refusal.get_message())),
        _ => Error::Lost(reason(error)),
    }
}

impl LiveConsumer<'_> {
    async fn subscribe(&self) -> Result<lapin::Consumer, Error> {
        let (shared, channel) = (self.shared, &self.channel);
        let queue = shared.queue();
        let name = short(&queue)?;
        let refused = |error: lapin::Error| refused(&queue, &error);
        let mut arguments = FieldTable::default();
        // Of the vhost's default kind it might be a quorum queue, which can be neither exclusive nor so cheap.
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(shared.live.queue_messages_max.into()));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.clone(), own, arguments).await.map_err(refused)?;
        self.bind().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions { global: false }).await.map_err(refused)?;
        let tag = ShortString::try_new(format!("payment-notifier.live.{}", shared.instance)).unwrap_or_default();
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        channel.basic_consume(name, tag, options, FieldTable::default()).await.map_err(refused)
    }

    async fn bind(&self) -> Result<(), Error> {
        let (queue, exchange) = (self.shared.queue(), short(&self.shared.amqp.live_exchange)?);
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let bound = self.channel.queue_bind(short(&queue)?, exchange, ShortString::default(), options, none).await;
        bound.map_err(|error| refused(&queue, &error))
    }

    /// Ends without an error where the tasks were told to stop.
    async fn consume(&mut self, mut stream: lapin::Consumer, tasks: &Tasks) -> Result<(), Error> {
        self.expect_own();
        let mut checks = interval(SILENCE_CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What is received is shown whether or not acknowledgements can be written.
        let mut acknowledging: Option<Work<'_, Result<(), String>>> = None;
        let mut unacknowledged = None;
        let mut since_acknowledged = 0_u16;
        loop {
            if acknowledging.is_none()
                && since_acknowledged >= ACKNOWLEDGED_TOGETHER
                && let Some(last) = unacknowledged.take()
            {
                since_acknowledged = 0;
                acknowledging = Some(Box::pin(async move { acknowledge_up_to(&last).await }));
            }
            let first = tokio::select! {
                // However much the others publish.
                biased;
                () = tasks.stopping() => return Ok(()),
                sent = finished(&mut acknowledging), if acknowledging.is_some() => {
                    sent.map_err(Error::Lost)?;
                    continue;
                }
                _ = checks.tick() => {
                    self.check_silence().await?;
                    continue;
                }
                received = stream.next() => received,
            };
            let mut next = Some(first);
            // At most as many as the prefetch lets through before they are acknowledged.
            while let Some(received) = next {
                match received {
                    Some(Ok(delivery)) => {
                        self.receive(&delivery.data);
                        unacknowledged = Some(delivery.acker);
                        since_acknowledged = since_acknowledged.saturating_add(1);
                    }
                    Some(Err(error)) => return Err(Error::Lost(reason(&error))),
                    None => return Err(Error::Lost("the broker ended the subscription (queue deleted?)".to_owned())),
                }
                next = stream.next().now_or_never();
            }
        }
    }

    fn expect_own(&mut self) {
        let Shared { instance, sender, live, .. } = self.shared;
        let heartbeat = Duration::from_millis(live.heartbeat_ms);
        self.peers.expect(instance, sender.run(), heartbeat, Instant::now());
    }

    /// Where a node is silent, this one included, it may be the binding that is gone: with the exchange, for instance.
    async fn check_silence(&mut self) -> Result<(), Error> {
        let silent = self.peers.silent(Instant::now());
        if silent.is_empty() {
            return Ok(());
        }
        let own = self.shared.sender.run();
        if silent.contains(&own) {
            self.shared.set_receiving(false);
            self.expect_own();
        }
        if silent.iter().any(|run| *run != own) {
            self.shared.gaps.note(Gap::Silent);
        }
        within_set_up(self.bind()).await
    }

    fn receive(&mut self, text: &[u8]) {
        let gaps = &self.shared.gaps;
        let message = serde_json::from_slice::<Object<Message<'_>>>(text);
        let readable = message.ok().and_then(|Object(message)| Some((message.head.run()?, message)));
        let Some((run, message)) = readable.filter(|(_, message)| message.head.format == FORMAT) else {
            gaps.note(Gap::Unreadable);
            if !std::mem::replace(&mut self.has_logged_unreadable, true) {
                warn!(bytes = text.len(), "a message of another node cannot be parsed");
            }
            return;
        };
        self.take(run, message);
    }

    fn take(&mut self, run: u64, mut message: Message<'_>) {
        let Shared { parts, gaps, .. } = self.shared;
        let head = &mut message.head;
        let transit = Duration::from_micros(u64::try_from(unix_us().saturating_sub(head.sent_us)).unwrap_or(0));
        let transit = transit.min(TRANSIT_MAX);
        let heartbeat = Duration::from_millis(head.heartbeat_ms).min(HEARTBEAT_MAX);
        if let Some(gap) = self.peers.received(&head.instance, run, head.sequence, heartbeat, Instant::now()) {
            debug!(instance = &*head.instance, sequence = head.sequence, ?gap, "changes of another node may be lost");
            gaps.note(gap);
        }
        if run == self.shared.sender.run() {
            self.shared.set_receiving(true);
            return;
        }
        parts.metrics.live_received(message.payments.len() + message.revocations.len(), transit);
        if let Some(tickets) = head.take_tickets() {
            parts.pages.held_by(run, tickets, valid_for(heartbeat));
        }
        if head.leaves {
            self.peers.departed(run);
            parts.pages.held_by(run, Vec::new(), Duration::ZERO);
        }
        for payment in &message.payments {
            self.show(payment, transit);
        }
        for text in &message.revocations {
            let Some((revocation, keys)) = text.revocation() else {
                gaps.note(Gap::Unreadable);
                continue;
            };
            if !parts.pages.revoked(revocation, &keys) {
                gaps.note(Gap::Full);
            }
        }
    }

    /// Gives a payment to the pages that wait for it. Without any its text is not looked at.
    fn show(&self, received: &PaymentIn<'_>, transit: Duration) {
        let Shared { parts, gaps, .. } = self.shared;
        let Some(key) = received.key() else { return gaps.note(Gap::Unreadable) };
        if !parts.hub.is_watched(&key) {
            return;
        }
        let Some(payment) = received.payment(key) else { return gaps.note(Gap::Unreadable) };
        parts.metrics.live_hit();
        let since = transit.saturating_add(Duration::from_micros(received.held_us).min(HELD_MAX));
        let now = std::time::Instant::now();
        let received_at = now.checked_sub(since).unwrap_or(now);
        parts.hub.publish(&Update::arrived(Arc::new(payment), received.published_ms, received_at));
    }
}
