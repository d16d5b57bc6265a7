//! One subscription, from its first delivery to its end: decode, commit in batches, tell the pages, acknowledge.
//!
//! While one batch is being committed the next one gathers, so one event alone is fast and a flood is cheap. What is in
//! flight is bounded by the prefetch. Between receiving a delivery and settling it nothing returns early.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicCancelOptions;
use lapin::types::ShortString;
use lapin::{Channel, ErrorKind};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::commit::{Arrived, Committed};
use super::connect::reason;
use super::consumer::{Consumer, ConsumerParts};
use super::dead_letters::DeadLetterSender;
use super::decode::{Payload, Reject};
use super::held::Held;
use super::settle::{Settler, Unsettled};
use super::transport::frames::Witness;
use crate::hub::Update;
use crate::payment::Change;
use crate::runtime::{Tasks, unix_ms};
use crate::telemetry::trace;

/// For what is in flight when the subscription ends. What is not settled by then is delivered again.
const SETTLE_S_MAX: u64 = 5;
/// How long an acknowledgement waits for others. Each costs the broker a write to the queue's log, for which the events
/// behind it wait, and this process the waking of a thread.
const ACKS_GATHER: Duration = Duration::from_millis(5);
/// One part in so many of the prefetch that is acknowledged at once, so that the broker goes on delivering.
const ACKS_AT_ONCE: u16 = 8;
/// For the broker to stop delivering.
const CANCEL_S_MAX: u64 = 2;
/// For acknowledgements that are due when the time for all else is over.
const LAST_ACKS_MAX: Duration = Duration::from_millis(250);

/// Why a subscription ended.
#[derive(Debug)]
pub(super) enum End {
    /// The tasks were told to stop.
    Stopped,
    /// By the broker, or with the connection.
    Failed {
        /// For operators.
        why: String,
        /// A message could not even be read from the wire, which ends the connection.
        unreadable: Option<Unreadable>,
    },
    /// As many deliveries went well one by one as the prefetch allows at once.
    Narrowed,
}

/// What is known of a message that lapin cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// How often it had been delivered before, where the queue says so.
    pub(super) delivery_count: Option<i64>,
}

/// Something under way, of which there is at most one.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(super) struct Session<'a> {
    consumer: &'a Consumer,
    channel: Channel,
    tag: ShortString,
    witness: Arc<Witness>,
    told_of_mending: bool,
    settler: Settler,
    letters: DeadLetterSender,
    waiting: VecDeque<Arrived>,
    /// What the store takes of no one order: none of these is in `waiting`.
    held: Held<Arrived>,
    /// The last commit was of these.
    tried_held: bool,
    commit: Option<Work<'a, Committed>>,
    cancel: Option<Work<'a, ()>>,
    deliveries: u64,
    /// When what is settled is acknowledged at the latest, and with more than how much it is at once.
    acks_due: Option<Instant>,
    acks_gathered_max: usize,
}

#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack; a box would be an allocation a delivery")]
enum Next {
    Stop,
    Late,
    Cancelled,
    Acknowledge,
    Acknowledged,
    /// Some of what is held is due.
    Try,
    Committed(Committed),
    DeadLettered(Option<Unsettled>),
    Received(Option<lapin::Result<Delivery>>),
}

impl<'a> Session<'a> {
    pub(super) fn new(consumer: &'a Consumer, channel: Channel, tag: ShortString, witness: Arc<Witness>) -> Self {
        let parts = &consumer.parts;
        Self {
            consumer,
            channel,
            tag,
            witness,
            told_of_mending: false,
            settler: Settler::new(parts.metrics.clone()),
            letters: DeadLetterSender::new(consumer.options.amqp.clone(), parts.clone()),
            waiting: VecDeque::new(),
            held: consumer.hold_none(),
            tried_held: false,
            commit: None,
            cancel: None,
            deliveries: 0,
            acks_due: None,
            acks_gathered_max: usize::from(consumer.options.amqp.prefetch / ACKS_AT_ONCE),
        }
    }

    /// Works until the stream ends or the tasks stop, then finishes what is in flight within [`SETTLE_S_MAX`].
    pub(super) async fn run(&mut self, mut stream: lapin::Consumer, tasks: &Tasks, narrow: bool) -> End {
        if narrow {
            self.acks_gathered_max = 0;
        }
        let mut end = None;
        let mut deadline = Instant::now();
        let (mut open, mut lost) = (true, false);
        loop {
            self.begin_commit(end.is_some());
            if !open && self.commit.is_none() && (lost || self.letters.is_empty()) {
                self.acknowledge();
                if !self.settler.is_sending() {
                    break;
                }
            }
            let next = tokio::select! {
                biased;
                () = tasks.stopping(), if end.is_none() => Next::Stop,
                () = sleep_until(deadline), if end.is_some() => Next::Late,
                () = self.settler.sent(), if self.settler.is_sending() => Next::Acknowledged,
                done = finished(&mut self.commit), if self.commit.is_some() => Next::Committed(done),
                () = until(self.acks_due) => Next::Acknowledge,
                () = until(self.held.due()), if self.commit.is_none() && end.is_none() => Next::Try,
                () = finished(&mut self.cancel), if self.cancel.is_some() => Next::Cancelled,
                settled = self.letters.next(), if !self.letters.is_empty() => Next::DeadLettered(settled),
                // Polled whatever is in flight, or its end would go unseen; the prefetch is the bound.
                received = stream.next(), if open => Next::Received(received),
            };
            let mut ended = None;
            match next {
                Next::Stop => {
                    self.acknowledge();
                    self.begin_cancel();
                    ended = Some(End::Stopped);
                }
                Next::Late => {
                    self.late().await;
                    break;
                }
                Next::Committed(committed) => {
                    self.committed(committed);
                    self.acknowledge_soon();
                }
                Next::Acknowledge => self.acknowledge(),
                Next::Acknowledged => self.acknowledge_soon(),
                Next::Try | Next::Cancelled => {}
                Next::DeadLettered(settled) => {
                    settled.into_iter().for_each(|unsettled| self.settler.settle(unsettled));
                    self.acknowledge_soon();
                }
                Next::Received(received) => {
                    ended = self.receive(&mut stream, received);
                    if let Some(End::Failed { why, .. }) = &ended {
                        (open, lost) = (false, self.channel_is_lost());
                        // Told before the time that finishing may take. An end that was asked for is no fault.
                        if end.is_none() {
                            self.consumer.fault(why);
                            self.consumer.parts.metrics.set_broker_connected(false);
                        }
                    }
                    self.acknowledge_soon();
                }
            }
            // What is held would keep the only place of a narrow subscription.
            let went_well = self.deliveries >= self.consumer.options.amqp.prefetch.into();
            let narrowed = narrow && (went_well || self.held.len() > 0);
            if end.is_none()
                && let Some(first) = ended.or_else(|| narrowed.then_some(End::Narrowed))
            {
                if matches!(first, End::Narrowed) {
                    self.begin_cancel();
                }
                deadline = Instant::now() + Duration::from_secs(SETTLE_S_MAX);
                end = Some(first);
            }
        }
        end.unwrap_or(End::Stopped)
    }

    /// The time for what is in flight is over.
    async fn late(&mut self) {
        let (queue, deliveries) = (&self.consumer.options.amqp.queue, self.settler.open());
        warn!(queue, deliveries, "not settled in time, the broker delivers them again");
        self.acknowledge();
        drop(timeout(LAST_ACKS_MAX, self.settler.sent()).await);
    }

    fn channel_is_lost(&self) -> bool {
        !self.channel.status().connected()
    }

    /// Asks for no more deliveries. Those already here are still taken, and then the stream ends.
    fn begin_cancel(&mut self) {
        let (channel, tag, queue) = (self.channel.clone(), self.tag.clone(), &self.consumer.options.amqp.queue);
        self.cancel = Some(Box::pin(async move {
            let cancel = channel.basic_cancel(tag, BasicCancelOptions::default());
            match timeout(Duration::from_secs(CANCEL_S_MAX), cancel).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => info!(queue, reason = reason(&error), "subscription could not be cancelled"),
                Err(_elapsed) => info!(queue, "subscription was not cancelled in time"),
            }
        }));
    }

    /// Takes a delivery and all that are ready behind it. Answers why, where the stream has ended.
    fn receive(&mut self, stream: &mut lapin::Consumer, first: Option<lapin::Result<Delivery>>) -> Option<End> {
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Some(Ok(delivery)) => self.take(delivery),
                Some(Err(error)) => {
                    let is_unreadable = matches!(error.kind(), ErrorKind::ParsingError(_));
                    let unreadable = Unreadable { delivery_count: self.witness.delivery_count() };
                    return Some(End::Failed { why: reason(&error), unreadable: is_unreadable.then_some(unreadable) });
                }
                None => {
                    let why =
                        "the broker cancelled the subscription: the queue was deleted, or lost its leader".to_owned();
                    return Some(End::Failed { why, unreadable: None });
                }
            }
            next = stream.next().now_or_never();
        }
        self.count_mended();
        None
    }

    fn count_mended(&mut self) {
        let frames = self.witness.take_mended();
        if frames == 0 {
            return;
        }
        self.consumer.parts.metrics.mended(frames);
        if !std::mem::replace(&mut self.told_of_mending, true) {
            let queue = &self.consumer.options.amqp.queue;
            warn!(
                queue,
                "messages have properties or headers that are not UTF-8 or are nested too deeply: read without them"
            );
        }
    }

    fn take(&mut self, delivery: Delivery) {
        self.deliveries += 1;
        self.consumer.parts.metrics.delivery(delivery.redelivered);
        let (received_at, received_ms) = (std::time::Instant::now(), unix_ms());
        let unsettled = self.settler.received(delivery.delivery_tag, delivery.acker.clone());
        let large = self.witness.gate().hold(delivery.data.len());
        if self.consumer.probes.takes(&delivery, &self.consumer.options.amqp) {
            self.settler.settle(unsettled);
            return;
        }
        let payload = Payload::of(&delivery.properties, &delivery.data);
        match self.consumer.decoder.decode(&payload) {
            Ok(event) => {
                let key = &event.key;
                let (order_id, merchant_id) = (key.order_id.as_str(), key.merchant_id.as_str());
                let span = trace::delivery(payload.traceparent(), event.event_id.as_str(), order_id, merchant_id);
                let published_at_ms = payload.published_at_ms();
                let key = key.clone();
                let arrived =
                    Arrived { unsettled, event, delivery, published_at_ms, received_at, received_ms, span, large };
                self.waiting.extend(self.held.join(&key, arrived));
                self.consumer.holds(self.held.len());
            }
            Err(reject) => self.letters.push(delivery, &reject, unsettled, large),
        }
    }

    fn begin_commit(&mut self, ending: bool) {
        if self.commit.is_some() {
            return;
        }
        // What is held takes turns with what waits, and is not tried for a subscription that ends.
        let tries = !ending && (self.waiting.is_empty() || !self.tried_held);
        let held = if tries { self.held.take_due(Instant::now()) } else { Vec::new() };
        self.tried_held = !held.is_empty();
        let batch = if self.tried_held {
            held
        } else {
            let events = self.waiting.len().min(self.consumer.options.batch_events_max);
            self.waiting.drain(..events).collect()
        };
        if !batch.is_empty() {
            self.commit = Some(Box::pin(self.consumer.commit(batch)));
        }
    }

    fn committed(&mut self, committed: Committed) {
        let ConsumerParts { hub, live, metrics, outbox, .. } = &self.consumer.parts;
        let mut counts = [0_u64; CHANGES.len()];
        // Spans end with the acknowledgement.
        let mut spans = Vec::with_capacity(committed.batch.len());
        let mut told = Vec::new();
        for (arrived, outcome) in committed.batch.into_iter().zip(committed.outcomes) {
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(damage) => {
                    self.consumer.hold(&mut self.held, arrived, &damage);
                    continue;
                }
            };
            self.waiting.extend(self.consumer.release(&mut self.held, &arrived.event.key));
            let Arrived { unsettled, event, delivery, published_at_ms, received_at, span, large, .. } = arrived;
            // Whatever became of it: after a commit whose answer was lost, the page has not seen the payment yet. A page
            // that has takes nothing that is not newer.
            let update = Update::arrived(outcome.payment, published_at_ms, received_at);
            hub.publish(&update);
            // A node that stored it may have ended before it told the others.
            let may_be_untold = committed.tried_before || delivery.redelivered;
            if live.is_some() && (outcome.change == Change::Applied || may_be_untold) {
                told.push(update);
            }
            let place = CHANGES.iter().position(|(change, _)| *change == outcome.change).unwrap_or(0);
            counts[place] += 1;
            trace::outcome(&span, CHANGES[place].1);
            spans.push(span);
            for conflict in outcome.conflicts.iter() {
                outbox.notify();
                metrics.conflict(conflict.as_str());
                warn!(
                    conflict = conflict.as_str(),
                    merchant_id = %event.key.merchant_id,
                    order_id = %event.key.order_id,
                    event_id = %event.event_id,
                    "events of one payment contradict each other"
                );
            }
            match outcome.change {
                Change::IdReused => {
                    let reject = Reject::id_reused().of_event(event.key, event.event_id.as_str());
                    self.letters.push(delivery, &reject, unsettled, large);
                }
                Change::Applied | Change::Duplicate | Change::Stale => self.settler.settle(unsettled),
            }
        }
        if let Some(live) = live {
            live.stored(told);
        }
        for ((_, label), count) in CHANGES.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            metrics.events(label, count);
        }
    }

    /// Acknowledges what is settled, at once or together with what is settled within [`ACKS_GATHER`].
    fn acknowledge_soon(&mut self) {
        if self.settler.settled() > self.acks_gathered_max {
            self.acknowledge();
        } else if self.settler.settled() > 0 {
            self.acks_due.get_or_insert_with(|| Instant::now() + ACKS_GATHER);
        }
    }

    /// What is settled while acknowledgements are under way waits for their end, and the pages wait for neither.
    fn acknowledge(&mut self) {
        self.acks_due = None;
        self.settler.send();
    }
}

/// Each change with its label in metrics and traces.
pub(super) const CHANGES: [(Change, &str); 4] = [
    (Change::Applied, "applied"),
    (Change::Duplicate, "duplicate"),
    (Change::Stale, "stale"),
    (Change::IdReused, "id_reused"),
];

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits for its end. Nothing is lost if this is dropped while it waits.
pub(super) async fn finished<T>(work: &mut Option<Work<'_, T>>) -> T {
    let Some(running) = work else {
        return std::future::pending().await;
    };
    let done = running.await;
    *work = None;
    done
}
