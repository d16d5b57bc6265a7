//! Publishes with confirms, on connections of its own: a broker that blocks publishers blocks all writing on a
//! connection, and acknowledgements must go on.
//!
//! One message at a time is under way on a channel. With more, lapin may hand the return of an unroutable message to
//! another message's confirm.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, ErrorKind};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::address::Address;
use super::connect::{Purpose, reason};
use super::error::Error;
use super::message::Message;
use super::options::{Options, backoff};
use super::pools::Pools;
use super::publish_error::{PublishError, Refusal};
use crate::config;
use crate::runtime::Backoff;

/// Messages under way at once on one connection, each on a channel of its own.
const CHANNELS_PER_CONNECTION_MAX: usize = 16;
/// Bytes. RabbitMQ asks for at least 8,192.
const OUTBOX_FRAME_MAX: u32 = 16_384;
/// Bytes of a body for which the confirm is waited for one second longer each.
const BODY_BYTES_PER_S: usize = 1024 * 1024;

/// Publishes. Clones share their connections.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    confirm_timeout_s: u64,
    under_way: Semaphore,
    idle: Mutex<Vec<Lane>>,
    connecting: Mutex<Connecting>,
}

/// A channel to publish on, and the largest frame of its connection.
struct Lane {
    channel: Channel,
    frame_max: u32,
}

/// Keeps a broker that cannot be reached from being asked for each message.
struct Connecting {
    backoff: Backoff,
    refused: Option<(Instant, String)>,
}

impl Publisher {
    /// Connects with the first message, not before. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(options: &Options) -> Result<Self, Error> {
        Self::with(options, Purpose::Publisher, options.amqp.publish_connections_max, None)
    }

    /// For events for merchants: one connection, and little memory for it, since the headers of these messages, which have
    /// to fit one frame, are short.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn for_outbox(options: &Options) -> Result<Self, Error> {
        Self::with(options, Purpose::Outbox, 1, Some(OUTBOX_FRAME_MAX))
    }

    /// For dead letters: a connection of its own, since a broker that closes it for one of them ends what else is under way.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn for_dead_letters(options: &Options) -> Result<Self, Error> {
        Self::with(options, Purpose::DeadLettersOut, 1, None)
    }

    fn with(
        options: &Options,
        purpose: Purpose,
        connections_max: usize,
        frame_max: Option<u32>,
    ) -> Result<Self, Error> {
        let amqp = &options.amqp;
        Ok(Self {
            inner: Arc::new(Inner {
                pools: Pools::new(options, purpose, connections_max, frame_max)?,
                confirm_timeout_s: amqp.confirm_timeout_s,
                under_way: Semaphore::new(connections_max.saturating_mul(CHANNELS_PER_CONNECTION_MAX)),
                idle: Mutex::default(),
                connecting: Mutex::new(Connecting { backoff: backoff(amqp), refused: None }),
            }),
        })
    }

    /// Proves that the address can be used, without connecting.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn check(amqp: &config::Amqp) -> Result<(), Error> {
        Address::all(amqp).map(drop)
    }

    /// Publishes and waits for the confirm, at most `amqp.confirm_timeout_s` in all, and one second longer for each MiB of
    /// the body. When this answers `Ok`, the broker has the message in at least one queue, durably if the queue is durable.
    ///
    /// # Errors
    /// [`PublishError`]. A retry may deliver the message twice.
    pub async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let longer_s = u64::try_from(message.body.len() / BODY_BYTES_PER_S).unwrap_or(u64::MAX);
        let limit_s = self.inner.confirm_timeout_s.saturating_add(longer_s);
        match tokio::time::timeout(Duration::from_secs(limit_s), self.inner.publish(message)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.inner.late(limit_s)),
        }
    }

    /// Closes the connections. What is under way fails.
    pub fn close(&self) {
        self.inner.under_way.close();
        lock(&self.inner.idle).clear();
        self.inner.pools.close();
    }
}

impl Inner {
    async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        let Ok(_permit) = self.under_way.acquire().await else {
            return Err(PublishError::Unavailable("the publisher is closed".to_owned()));
        };
        // A connection that was lost unnoticed shows with the next use of its channel; then a fresh one is tried.
        while let Some(lane) = self.idle_lane() {
            match self.publish_on(lane, message).await {
                Err(Failed { answer: PublishError::Unavailable(_), with_channel: false }) => {}
                answer => return answer.map_err(|failed| failed.answer),
            }
        }
        let lane = self.open_lane().await?;
        self.publish_on(lane, message).await.map_err(|failed| failed.answer)
    }

    async fn publish_on(&self, lane: Lane, message: &Message) -> Result<(), Failed> {
        // A larger one would end the connection.
        if let Some(bytes_max) = message.too_large_for(lane.frame_max) {
            lock(&self.idle).push(lane);
            return Err(Failed { answer: PublishError::HeadersTooLarge { bytes_max }, with_channel: true });
        }
        let channel = &lane.channel;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (message.exchange.clone(), message.routing_key.clone());
        let sent = channel.basic_publish(exchange, key, options, &message.body, message.properties()).await;
        let confirmation = match sent {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        let answer = match confirmation {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => Err(PublishError::Unroutable {
                exchange: message.exchange.to_string(),
                routing_key: message.routing_key.to_string(),
            }),
            Ok(Confirmation::Nack(None)) => Err(PublishError::Nacked),
            Ok(Confirmation::NotRequested) => {
                return Err(Failed::by("the channel gives no confirms".to_owned(), true));
            }
            Err(error) => {
                let why = format!("exchange {:?}: {}", message.exchange.as_str(), reason(&error));
                let ErrorKind::ProtocolError(refusal) = error.kind() else { return Err(Failed::by(why, false)) };
                let (code, ends_connection) = (refusal.get_id(), error.is_amqp_hard_error());
                let answer = PublishError::Refused(Refusal { code, ends_connection, why });
                return Err(Failed { answer, with_channel: true });
            }
        };
        lock(&self.idle).push(lane);
        answer.map_err(|answer| Failed { answer, with_channel: true })
    }

    fn idle_lane(&self) -> Option<Lane> {
        let mut idle = lock(&self.idle);
        std::iter::from_fn(|| idle.pop()).find(|lane| lane.channel.status().connected())
    }

    async fn open_lane(&self) -> Result<Lane, PublishError> {
        if let Some((until, why)) = &lock(&self.connecting).refused
            && Instant::now() < *until
        {
            return Err(PublishError::Unavailable(why.clone()));
        }
        let connection = match self.pools.get().await {
            Ok(connection) => connection,
            Err(why) => return Err(self.refused(why)),
        };
        {
            let mut connecting = lock(&self.connecting);
            connecting.backoff.reset();
            connecting.refused = None;
        }
        if connection.status().blocked() {
            return Err(blocked());
        }
        let lost = |error: lapin::Error| PublishError::Unavailable(reason(&error));
        let channel = connection.create_channel().await.map_err(lost)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(lost)?;
        Ok(Lane { channel, frame_max: connection.configuration().frame_max() })
    }

    fn refused(&self, why: String) -> PublishError {
        let mut connecting = lock(&self.connecting);
        let until = Instant::now() + connecting.backoff.wait();
        connecting.refused = Some((until, why.clone()));
        PublishError::Unavailable(why)
    }

    fn late(&self, limit_s: u64) -> PublishError {
        if self.pools.is_blocked() { blocked() } else { PublishError::TimedOut(limit_s) }
    }
}

/// A failure, and whether the channel said so: then a fresh channel would fail alike.
struct Failed {
    answer: PublishError,
    with_channel: bool,
}

impl Failed {
    fn by(why: String, with_channel: bool) -> Self {
        Self { answer: PublishError::Unavailable(why), with_channel }
    }
}

fn blocked() -> PublishError {
    PublishError::Unavailable("the broker blocks publishers (memory or disk alarm)".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks can leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Deadpool's types print the address with its password.
impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("addresses", &self.inner.pools.shown()).finish_non_exhaustive()
    }
}
