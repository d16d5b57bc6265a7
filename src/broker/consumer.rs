//! Keeps the subscription to the results queue: whatever ends it, connection, topology, channel and consumer are built
//! anew, with a wait that grows while that fails.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::address::Address;
use super::binding;
use super::connect::{self, Purpose, reason};
use super::consumer_parts::ConsumerParts;
use super::decode::Reject;
use super::error::Error;
use super::lag;
use super::options::{Options, backoff};
use super::session::{End, Session, Unreadable};
use super::shared::Shared;
use super::topology;
use super::transport::witness::Witness;
use crate::payment::{Change, Conflict};
use crate::runtime::{Component, Tasks, on_a_thread};

/// For the topology, and again for channel and consumer, once connected. A quorum queue that has no leader answers a
/// passive look and never a subscription.
const SET_UP_S_MAX: u64 = 15;
/// For the closing handshake of a connection.
const CLOSE_S_MAX: u64 = 2;
/// Attempts in a row that a message which breaks the connection is given without a growing wait: enough for RabbitMQ's
/// usual delivery limit of 20 to take it away.
const UNREADABLE_FAST_MAX: u32 = 32;

/// Messages that broke the connection, since one was read that did not.
#[derive(Default)]
struct Broken {
    /// By the last one of them.
    times: u32,
    last: Option<Unreadable>,
}

impl Broken {
    fn note(&mut self, unreadable: Option<Unreadable>) {
        let count = |unreadable: &Unreadable| unreadable.delivery_count;
        let (before, after) = (self.last.as_ref().and_then(count), unreadable.as_ref().and_then(count));
        // A queue that counts counts on for as long as it is the same message. One that does not count has no limit either.
        let is_another = before.is_some_and(|before| after.is_none_or(|after| after <= before));
        self.times = match unreadable {
            None => 0,
            Some(_) if is_another => 1,
            Some(_) => self.times.saturating_add(1),
        };
        self.last = unreadable;
    }
}

/// Consumes the results queue. Its handle is the [`Tasks`] that it runs under.
pub struct Consumer {
    addresses: Vec<Address>,
    shared: Shared,
}

/// A subscription that stands.
struct Link {
    connection: Connection,
    channel: Channel,
    stream: lapin::Consumer,
    witness: Arc<Witness>,
}

impl Consumer {
    /// Takes its settings and parts; connects when it runs.
    ///
    /// # Errors
    /// [`Error::Address`] or [`Error::Payments`]: settings that could never work.
    pub fn new(options: Options, parts: ConsumerParts) -> Result<Self, Error> {
        let addresses = Address::all(&options.amqp)?;
        let outcomes = Change::ALL.map(Change::as_str);
        parts.metrics.begin_events(&outcomes, &Conflict::ALL.map(Conflict::as_str), &Reject::CODES);
        Ok(Self { addresses, shared: Shared::new(options, parts)? })
    }

    /// Consumes until `tasks` are told to stop; then cancels the subscription, settles what is in flight within 5 s, and
    /// closes the connection. Ends in no other way.
    pub async fn run(self, tasks: Tasks) {
        let amqp = &self.shared.options.amqp;
        let (first, longest) =
            (Duration::from_millis(amqp.retry_first_ms), Duration::from_millis(amqp.retry_longest_ms));
        let mut backoff = backoff(amqp);
        let mut broken = Broken::default();
        let mut last_why = String::new();
        while !tasks.is_stopping() {
            let narrow = broken.times > 0;
            let began = Instant::now();
            let end = match self.set_up_unless_stopping(&tasks, narrow).await {
                Some(Ok(link)) => {
                    last_why.clear();
                    self.established(link, &tasks, narrow).await
                }
                Some(Err(error)) => self.failed_to_set_up(&error),
                None => End::Stopped,
            };
            let wait = match end {
                End::Stopped => break,
                End::Narrowed => {
                    broken.note(None);
                    Duration::ZERO
                }
                End::Failed { why, unreadable } => {
                    // Each reason once, and not again with each attempt of one outage.
                    if why != last_why {
                        warn!(
                            queue = self.shared.options.amqp.queue,
                            reason = why,
                            "consumer ended, setting it up again"
                        );
                        last_why.clone_from(&why);
                    }
                    self.shared.fault(&why);
                    broken.note(unreadable);
                    if began.elapsed() >= longest {
                        backoff.reset();
                    }
                    let fast = (1..=UNREADABLE_FAST_MAX).contains(&broken.times);
                    if fast { first } else { backoff.wait() }
                }
            };
            tasks.rest(wait).await;
        }
        self.shared.fault("stopped");
        info!(queue = self.shared.options.amqp.queue, "consumer stopped");
    }

    /// [`Consumer::run`] on a thread of its own, which also commits where the store is a file. The answer ends with it.
    ///
    /// # Errors
    /// [`Error::Thread`].
    pub fn run_on_a_thread(self, tasks: Tasks) -> Result<impl Future<Output = ()> + Send + 'static, Error> {
        self.shared.committer.may_block();
        on_a_thread("consumer", self.run(tasks)).map_err(|error| Error::Thread(error.to_string()))
    }

    async fn set_up_unless_stopping(&self, tasks: &Tasks, narrow: bool) -> Option<Result<Link, Error>> {
        tokio::select! {
            answer = self.set_up(narrow) => Some(answer),
            () = tasks.stopping() => None,
        }
    }

    async fn set_up(&self, narrow: bool) -> Result<Link, Error> {
        let Options { amqp, instance, .. } = &self.shared.options;
        // With the store down, each subscription would take deliveries and give them back, and each time counts towards
        // the queue's delivery limit: a long fault of ours would dead-letter good events.
        self.shared.committer.store_works().await?;
        let connected = connect::connect_witnessed(&self.addresses, amqp, Purpose::Consumer, instance).await;
        let (connection, witness) = connected?;
        witness.gate().keep();
        let limit = Duration::from_secs(SET_UP_S_MAX);
        let silent = || format!("no answer in {SET_UP_S_MAX} s");
        match timeout(limit, topology::establish(&connection, amqp)).await {
            Ok(answer) => answer?,
            Err(_elapsed) => return Err(Error::Lost(silent())),
        }
        let failed = |reason| Error::Consume { queue: amqp.queue.clone(), reason };
        match timeout(limit, self.subscribe(&connection, narrow)).await {
            Ok(Ok((channel, stream))) => Ok(Link { connection, channel, stream, witness }),
            Ok(Err(error)) => Err(failed(reason(&error))),
            Err(_elapsed) => Err(failed(format!("{} (does it have a leader?)", silent()))),
        }
    }

    async fn subscribe(&self, connection: &Connection, narrow: bool) -> lapin::Result<(Channel, lapin::Consumer)> {
        let amqp = &self.shared.options.amqp;
        let channel = connection.create_channel().await?;
        let prefetch = if narrow { 1 } else { amqp.prefetch };
        // Never global: on a quorum queue that ends the connection.
        channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
        let queue = ShortString::try_new(amqp.queue.as_str()).unwrap_or_default();
        let options = BasicConsumeOptions::default();
        let stream = channel.basic_consume(queue, self.tag(), options, FieldTable::default()).await?;
        Ok((channel, stream))
    }

    fn failed_to_set_up(&self, error: &Error) -> End {
        self.shared.parts.metrics.broker_connect("error");
        let why = error.to_string();
        if !matches!(error, Error::Consume { .. } | Error::Store(_)) {
            self.shared.parts.health.fault(Component::Broker, why.clone());
        }
        End::Failed { why, unreadable: None }
    }

    async fn established(&self, link: Link, tasks: &Tasks, narrow: bool) -> End {
        let ConsumerParts { metrics, health, .. } = &self.shared.parts;
        metrics.broker_connect("ok");
        metrics.set_broker_connected(true);
        health.ok(Component::Broker);
        health.ok(Component::Consumer);
        info!(queue = self.shared.options.amqp.queue, "consumer established");
        let Link { connection, channel, stream, witness } = link;
        let gate = Arc::clone(witness.gate());
        let heartbeat = Duration::from_secs(connection.configuration().heartbeat().into());
        let mut session = Session::new(&self.shared, channel, self.tag(), witness);
        let end = tokio::select! {
            end = session.run(stream, tasks, narrow) => end,
            never = lag::watch(&connection, &self.shared.options.amqp, metrics) => match never {},
            never = gate.show_life(heartbeat) => match never {},
            never = binding::watch(&connection, &self.shared.options.amqp, &self.shared.parts, &self.shared.probes) => match never {},
        };
        metrics.set_broker_connected(false);
        if let End::Failed { why, .. } = &end
            && !connection.status().connected()
        {
            health.fault(Component::Broker, why.clone());
        }
        drop(session);
        // A connection that is gone answers at once; one that hangs is left behind.
        drop(timeout(Duration::from_secs(CLOSE_S_MAX), connection.close(200, "OK".into())).await);
        end
    }

    fn tag(&self) -> ShortString {
        // Program, purpose and node, as the names of queues have them.
        let tag = format!("payment-notifier.results.{}", self.shared.options.instance);
        // RabbitMQ makes up a tag where this one is too long.
        ShortString::try_new(tag).unwrap_or_default()
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
