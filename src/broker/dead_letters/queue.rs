//! The dead-letter queue, taken from and handed back.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Acker, Channel, Connection, ErrorKind};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::super::address::Address;
use super::super::connect::{self, Purpose, reason};
use super::super::settle::acknowledge;
use super::super::{Error, Options, fit};
use super::{DeadLetter, Filter, details};
use crate::runtime::unix_ms;

/// Messages that one command takes and holds.
pub const HELD_MAX: u32 = 10_000;
/// Bodies and headers that are kept in memory at once. One message may be larger.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For the next message, of which the broker has said that it is there.
const QUIET_S_MAX: u64 = 15;
/// For another command to end.
const TURN_S_MAX: u64 = 10;
/// For the broker to put back what was handed back, and to answer the end of a channel.
const BACK_S_MAX: u64 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const ACCESS_REFUSED: u16 = 403;
const RESOURCE_LOCKED: u16 = 405;

/// What a look keeps of what it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The summary.
    Summary,
    /// Headers and properties too.
    Headers,
    /// All of it.
    Body,
    /// All of it, but the summary alone of what failed again since its replay, unless `again`.
    Replayable {
        /// Replay that too.
        again: bool,
    },
    /// The summary, limited as for `Replayable`.
    Judged {
        /// As there.
        again: bool,
    },
}

/// What a look is for.
#[derive(Debug, Clone)]
pub struct Want<'a> {
    /// Which.
    pub filter: &'a Filter,
    /// How many, those not counted that would not be replayed.
    pub limit: Option<u32>,
    /// What of it.
    pub keep: Keep,
}

/// A dead letter that was selected, and is held.
#[derive(Debug)]
pub struct Found {
    /// Its summary.
    pub dead_letter: DeadLetter,
    pub(super) acker: Acker,
    pub(super) delivery: Option<Delivery>,
}

impl Found {
    /// Properties, headers and, if it was kept, the body.
    #[must_use]
    pub fn details(&self, with_body: bool) -> Value {
        let Some(delivery) = &self.delivery else { return Value::Null };
        let mut details = serde_json::json!({
            "properties": details::properties(&delivery.properties),
            "headers": details::headers(&delivery.properties),
        });
        if with_body {
            let (name, body) = details::body(&delivery.data);
            details[name] = body;
        }
        details
    }
}

/// What was seen. Dropping it without [`Look::hand_back`] hands back too, only later.
#[derive(Debug)]
pub struct Look {
    channel: Channel,
    /// Selected, in the order of the queue.
    pub found: Vec<Found>,
    /// How far the look went.
    pub seen: Seen,
    /// How many were looked at when the first was left out.
    pub(super) fitted: u32,
    /// Somebody else consumes too, and may take what is handed back.
    is_shared: bool,
}

/// How far a look went, in messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Taken and looked at.
    pub looked_at: u32,
    /// Ready in the queue when the look began.
    pub in_queue: u32,
    /// Announced by the broker and not delivered: something else took them.
    pub missing: u32,
    /// Selected and not kept, since 64 MiB were kept already.
    pub left_out: u32,
}

/// The queue, for one command at a time.
#[derive(Debug)]
pub struct Queue {
    options: Options,
    connection: Connection,
    /// Its exclusive queue goes with the connection.
    _turn: Option<Channel>,
}

impl Queue {
    /// Connects and waits at most 10 s for other commands to end.
    ///
    /// # Errors
    /// [`Error`], one line for an operator.
    pub async fn open(options: Options) -> Result<Self, Error> {
        let (amqp, instance) = (&options.amqp, &options.instance);
        let connection = connect::connect(&Address::all(amqp)?, amqp, Purpose::DeadLetters, instance).await?;
        let turn = take_turn(&connection, &options.amqp.dead_letter_queue).await?;
        Ok(Self { options, connection, _turn: turn })
    }

    /// False where this user may not declare the queue that makes commands take turns.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self._turn.is_some()
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Messages that are ready, and consumers.
    async fn count(&self) -> Result<(u32, u32), Error> {
        let name = &self.options.amqp.dead_letter_queue;
        let channel = self.connection.create_channel().await.map_err(lost)?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(short(name)?, passive, FieldTable::default()).await;
        let queue = queue.map_err(|error| self.refused(&error))?;
        drop(channel.close(200, "OK".into()).await);
        Ok((queue.message_count(), queue.consumer_count()))
    }

    /// Looks from the front of the queue on, at most at `at_most` messages, and holds what it has looked at.
    ///
    /// # Errors
    /// [`Error::Consume`], [`Error::Lost`]: nothing was changed.
    pub async fn look(&self, want: &Want<'_>, at_most: u32) -> Result<Look, Error> {
        let (in_queue, consumers) = self.count().await?;
        // Not fewer where fewer are wanted: RabbitMQ puts back behind what it had put back before, and would turn the queue.
        let target = in_queue.min(HELD_MAX).min(at_most);
        let channel = self.connection.create_channel().await.map_err(lost)?;
        let mut look = Look {
            channel,
            found: Vec::new(),
            seen: Seen { in_queue, ..Seen::default() },
            fitted: 0,
            is_shared: consumers > 0,
        };
        if target > 0 && want.limit != Some(0) {
            self.take(&mut look, want, target).await?;
        }
        Ok(look)
    }

    async fn take(&self, look: &mut Look, want: &Want<'_>, target: u32) -> Result<(), Error> {
        let name = &self.options.amqp.dead_letter_queue;
        let prefetch = u16::try_from(target).unwrap_or(u16::MAX);
        look.channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(lost)?;
        let tag = short(&format!("payment-notifier.dead-letters.{}", self.options.instance))?;
        let options = BasicConsumeOptions::default();
        let consuming = look.channel.basic_consume(short(name)?, tag.clone(), options, FieldTable::default());
        let mut stream = consuming.await.map_err(|error| self.refused(&error))?;
        let (now_ms, mut counted, mut kept_bytes) = (unix_ms(), 0, 0_usize);
        let mut taken = 0;
        // Nothing in here waits for anything but the broker: what has arrived is not held beside what is kept. All that was
        // asked for is taken, since what is left half way comes back in another order.
        while taken < target {
            let delivery = match timeout(Duration::from_secs(QUIET_S_MAX), stream.next()).await {
                Ok(Some(Ok(delivery))) => delivery,
                Ok(Some(Err(error))) => return Err(lost(error)),
                Ok(None) => return Err(Error::Lost(format!("queue {name:?} was deleted or moved"))),
                Err(_quiet) => {
                    look.seen.missing = target - taken;
                    break;
                }
            };
            taken += 1;
            if want.limit.is_some_and(|limit| counted >= limit) {
                continue;
            }
            look.seen.looked_at += 1;
            let dead_letter = DeadLetter::of(&delivery, &self.options.amqp, &self.options.payments);
            if !want.filter.selects(&dead_letter, now_ms) {
                continue;
            }
            let acker = delivery.acker.clone();
            let (is_counted, kept) = kept(want.keep, delivery, &dead_letter);
            let Some(kept) = kept else {
                counted += u32::from(is_counted);
                look.found.push(Found { dead_letter, acker, delivery: None });
                continue;
            };
            let bytes = kept.data.len() + fit::properties_bytes(&kept.properties);
            if look.seen.left_out > 0 || (kept_bytes > 0 && kept_bytes + bytes > HELD_BYTES_MAX) {
                if look.seen.left_out == 0 {
                    look.fitted = look.seen.looked_at - 1;
                }
                look.seen.left_out += 1;
                continue;
            }
            (kept_bytes, counted) = (kept_bytes + bytes, counted + 1);
            look.found.push(Found { dead_letter, acker, delivery: Some(kept) });
        }
        // Each acknowledgement would bring another message.
        look.channel.basic_cancel(tag, BasicCancelOptions::default()).await.map_err(lost)
    }

    /// Waits until the queue holds as many ready messages as this again.
    async fn wait_until_back(&self, expected: u32) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(BACK_S_MAX);
        loop {
            let (ready, _) = self.count().await?;
            if ready >= expected || Instant::now() > deadline {
                return Ok(());
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Ends the connection.
    pub async fn close(self) {
        // What counts was confirmed or acknowledged before.
        drop(timeout(Duration::from_secs(BACK_S_MAX), self.connection.close(200, "OK".into())).await);
    }

    fn refused(&self, error: &lapin::Error) -> Error {
        match error.kind() {
            ErrorKind::ProtocolError(_) => {
                Error::Consume { queue: self.options.amqp.dead_letter_queue.clone(), reason: reason(error) }
            }
            _ => Error::Lost(reason(error)),
        }
    }
}

impl Look {
    /// Hands back all that is held and not acknowledged, and waits until it is in its place again. Without an error,
    /// what was acknowledged is gone from the queue.
    ///
    /// # Errors
    /// [`Error::Lost`]: the broker hands back by itself; what was acknowledged may be there still.
    pub async fn hand_back(&self, queue: &Queue, acknowledged: u32) -> Result<(), Error> {
        match timeout(Duration::from_secs(BACK_S_MAX), self.channel.close(200, "OK".into())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(lost(error)),
            Err(_elapsed) => return Err(Error::Lost(format!("no answer in {BACK_S_MAX} s"))),
        }
        if self.is_shared {
            return Ok(());
        }
        queue.wait_until_back(self.seen.in_queue.saturating_sub(acknowledged).saturating_sub(self.seen.missing)).await
    }

    /// Takes one that was found out of the queue, for good.
    ///
    /// # Errors
    /// [`Error::Lost`]: it is still there.
    pub async fn discard(&self, found: &Found) -> Result<(), Error> {
        acknowledge(&found.acker).await.map_err(Error::Lost)
    }
}

/// Whether it counts for the limit, and what is kept.
fn kept(keep: Keep, mut delivery: Delivery, dead_letter: &DeadLetter) -> (bool, Option<Delivery>) {
    match keep {
        Keep::Summary => (true, None),
        Keep::Headers => {
            delivery.data = Vec::new();
            (true, Some(delivery))
        }
        Keep::Body => (true, Some(delivery)),
        Keep::Judged { again } => (dead_letter.is_replayable(again), None),
        Keep::Replayable { again } => {
            let is_replayable = dead_letter.is_replayable(again);
            (is_replayable, is_replayable.then_some(delivery))
        }
    }
}

/// An exclusive queue as a lock: the broker gives it to one connection, and takes it away with that connection.
async fn take_turn(connection: &Connection, queue: &str) -> Result<Option<Channel>, Error> {
    let name = short(&format!("{queue}.operator"))?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let deadline = Instant::now() + Duration::from_secs(TURN_S_MAX);
    loop {
        let channel = connection.create_channel().await.map_err(lost)?;
        // Named, since a vhost may have another default, which cannot be exclusive.
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
        let refusal = match channel.queue_declare(name.clone(), options, arguments).await {
            Ok(_) => return Ok(Some(channel)),
            Err(error) => error,
        };
        match refusal.kind() {
            ErrorKind::ProtocolError(told) if told.get_id() == ACCESS_REFUSED => return Ok(None),
            ErrorKind::ProtocolError(told) if told.get_id() == RESOURCE_LOCKED => {}
            _ => return Err(lost(refusal)),
        }
        if Instant::now() > deadline {
            return Err(Error::Busy { queue: queue.to_owned() });
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn lost(error: lapin::Error) -> Error {
    Error::Lost(reason(&error))
}

fn short(name: &str) -> Result<ShortString, Error> {
    ShortString::try_new(name).map_err(|_too_long| Error::Topology(format!("{name:?} is longer than 255 bytes")))
}
