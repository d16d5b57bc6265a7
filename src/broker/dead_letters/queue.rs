//! The dead-letter queue, taken from and handed back.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::dead_letter::DeadLetter;
use super::found::{Found, Seen, Want};
use crate::broker::address::Address;
use crate::broker::connect::{self, Purpose, reason};
use crate::broker::error::Error;
use crate::broker::fit;
use crate::broker::options::Options;
use crate::broker::publish_error::ACCESS_REFUSED;
use crate::broker::settle::acknowledge;
use crate::broker::topology::short;
use crate::runtime::unix_ms;

/// Messages that one command takes and holds.
pub const HELD_MAX: u32 = 10_000;
/// Bodies and headers that are kept in memory at once. One message may be larger.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For the next message, which the broker has counted.
const QUIET_S_MAX: u64 = 15;
/// For all that one look takes.
const TAKE_S_MAX: u64 = 300;
/// For another command to end.
const TURN_S_MAX: u64 = 10;
/// For the broker to put back what was handed back, and to answer the end of a channel.
const BACK_S_MAX: u64 = 10;
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const RESOURCE_LOCKED: u16 = 405;

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
        let (mut taken, deadline) = (0, Instant::now() + Duration::from_secs(TAKE_S_MAX));
        // Nothing in here waits for anything but the broker: what has arrived is not held beside what is kept. All that was
        // asked for is taken, since what is left half way comes back in another order.
        while taken < target {
            let delivery = match next_within(&mut stream, deadline).await {
                Next::Item(Some(Ok(delivery))) => delivery,
                Next::Item(Some(Err(error))) => return Err(lost(error)),
                Next::Item(None) => return Err(Error::Lost(format!("queue {name:?} was deleted or moved"))),
                Next::Quiet => {
                    look.seen.missing = target - taken;
                    break;
                }
                Next::Late => {
                    return Err(Error::Lost(format!(
                        "queue {name:?} did not deliver {target} messages in {TAKE_S_MAX} s"
                    )));
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
            let (is_counted, kept) = want.keep.of(delivery, &dead_letter);
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
    /// Hands back all that is held and not acknowledged, and waits until it is where it was in the queue. Without an error,
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
            ErrorKind::ProtocolError(error) if error.get_id() == ACCESS_REFUSED => return Ok(None),
            ErrorKind::ProtocolError(error) if error.get_id() == RESOURCE_LOCKED => {}
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

/// What came next of a stream.
enum Next<T> {
    Item(Option<T>),
    /// Nothing, in [`QUIET_S_MAX`].
    Quiet,
    /// The time for all of it is over.
    Late,
}

async fn next_within<T>(stream: &mut (impl Stream<Item = T> + Unpin), deadline: Instant) -> Next<T> {
    let quiet = Instant::now() + Duration::from_secs(QUIET_S_MAX);
    match timeout_at(quiet.min(deadline), stream.next()).await {
        // However fast the messages come.
        Ok(_) if Instant::now() >= deadline => Next::Late,
        Ok(item) => Next::Item(item),
        Err(_elapsed) if deadline <= quiet => Next::Late,
        Err(_elapsed) => Next::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_delivers_one_message_now_and_then_is_not_waited_for_longer_than_a_look_may_take() {
        let every = Duration::from_secs(QUIET_S_MAX - 1);
        let mut slow = Box::pin(stream::unfold(0, |n| async move {
            sleep(every).await;
            Some((n, n + 1))
        }));
        let (began, mut taken) = (Instant::now(), 0);
        let deadline = began + Duration::from_secs(TAKE_S_MAX);
        while let Next::Item(item) = next_within(&mut slow, deadline).await {
            assert_eq!(item, Some(taken));
            taken += 1;
        }
        assert_eq!((taken, began.elapsed()), (21, Duration::from_secs(TAKE_S_MAX)));
        let mut silent = stream::pending::<()>();
        let later = Instant::now() + Duration::from_secs(TAKE_S_MAX);
        assert!(matches!(next_within(&mut silent, later).await, Next::Quiet));
    }
}
