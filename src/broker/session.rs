//! One subscription, from its first delivery to its end: decode, commit in batches, update the pages, acknowledge.
//!
//! While one batch is being committed the next one gathers, so one event alone is fast and a flood is cheap. What is in
//! flight is bounded by the prefetch. Between receiving a delivery and settling it nothing returns early.

use std::collections::VecDeque;
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
use super::dead_letters::DeadLetterSender;
use super::decode::{Decoded, Payload, Reject};
use super::held::HeldEvents;
use super::outcomes::Outcomes;
use super::settle::{Settler, Unsettled};
use super::shared::Shared;
use super::transport::witness::Witness;
use super::work::{Work, finished};
use crate::payment::Change;
use crate::runtime::{Tasks, unix_ms};
use crate::telemetry::trace;

/// For what is in flight when the subscription ends. What is not settled by then is delivered again.
const SETTLE_S_MAX: u64 = 5;
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

pub(super) struct Session<'a> {
    shared: &'a Shared,
    channel: Channel,
    tag: ShortString,
    witness: Arc<Witness>,
    has_logged_mending: bool,
    settler: Settler,
    dead_letters: DeadLetterSender,
    /// For the next commits.
    arrived: VecDeque<Arrived>,
    /// What the store does not take. Of none of its orders is anything in `arrived`.
    held: HeldEvents,
    /// The last commit was of these.
    tried_held: bool,
    commit: Option<Work<'a, Committed>>,
    cancel: Option<Work<'a, ()>>,
    deliveries: u64,
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
    pub(super) fn new(shared: &'a Shared, channel: Channel, tag: ShortString, witness: Arc<Witness>) -> Self {
        let (amqp, parts) = (&shared.options.amqp, &shared.parts);
        Self {
            shared,
            channel,
            tag,
            witness,
            has_logged_mending: false,
            settler: Settler::new(parts.metrics.clone(), amqp.prefetch),
            dead_letters: DeadLetterSender::new(amqp.clone(), parts.clone()),
            arrived: VecDeque::new(),
            held: HeldEvents::new(amqp.clone(), parts.clone()),
            tried_held: false,
            commit: None,
            cancel: None,
            deliveries: 0,
        }
    }

    /// Works until the stream ends or the tasks stop, then finishes what is in flight within [`SETTLE_S_MAX`].
    pub(super) async fn run(&mut self, mut stream: lapin::Consumer, tasks: &Tasks, narrow: bool) -> End {
        if narrow {
            self.settler.gather_none();
        }
        let mut end = None;
        let mut deadline = Instant::now();
        let (mut open, mut lost) = (true, false);
        loop {
            self.begin_commit(end.is_some());
            if !open && self.commit.is_none() && (lost || self.dead_letters.is_empty()) {
                self.settler.send();
                if !self.settler.is_sending() {
                    break;
                }
            }
            let acks_due = self.settler.due();
            let next = tokio::select! {
                biased;
                () = tasks.stopping(), if end.is_none() => Next::Stop,
                () = sleep_until(deadline), if end.is_some() => Next::Late,
                () = self.settler.sent(), if self.settler.is_sending() => Next::Acknowledged,
                done = finished(&mut self.commit), if self.commit.is_some() => Next::Committed(done),
                () = until(acks_due) => Next::Acknowledge,
                () = until(self.held.due()), if self.commit.is_none() && end.is_none() => Next::Try,
                () = finished(&mut self.cancel), if self.cancel.is_some() => Next::Cancelled,
                settled = self.dead_letters.next(), if !self.dead_letters.is_empty() => Next::DeadLettered(settled),
                // Polled whatever is in flight, or its end would go unseen; the prefetch is the bound.
                received = stream.next(), if open => Next::Received(received),
            };
            let mut ended = None;
            match next {
                Next::Stop => {
                    self.settler.send();
                    self.begin_cancel();
                    ended = Some(End::Stopped);
                }
                Next::Late => {
                    self.late().await;
                    break;
                }
                Next::Committed(committed) => {
                    self.committed(committed);
                    self.settler.send_soon();
                }
                Next::Acknowledge => self.settler.send(),
                Next::Acknowledged => self.settler.send_soon(),
                Next::Try | Next::Cancelled => {}
                Next::DeadLettered(settled) => {
                    settled.into_iter().for_each(|unsettled| self.settler.settle(unsettled));
                    self.settler.send_soon();
                }
                Next::Received(received) => {
                    ended = self.receive(&mut stream, received);
                    if let Some(End::Failed { why, .. }) = &ended {
                        (open, lost) = (false, self.channel_is_lost());
                        // Before the time that finishing may take. An end that was asked for is no fault.
                        if end.is_none() {
                            self.shared.fault(why);
                            self.shared.parts.metrics.set_broker_connected(false);
                        }
                    }
                    self.settler.send_soon();
                }
            }
            // What is held would keep the only place of a narrow subscription.
            let went_well = self.deliveries >= self.shared.options.amqp.prefetch.into();
            let narrowed = narrow && (went_well || !self.held.is_empty());
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
        let (queue, deliveries) = (&self.shared.options.amqp.queue, self.settler.open());
        warn!(queue, deliveries, "not settled in time, the broker delivers them again");
        self.settler.send();
        drop(timeout(LAST_ACKS_MAX, self.settler.sent()).await);
    }

    fn channel_is_lost(&self) -> bool {
        !self.channel.status().connected()
    }

    /// Asks for no more deliveries. Those already here are still taken, and then the stream ends.
    fn begin_cancel(&mut self) {
        let (channel, tag, queue) = (self.channel.clone(), self.tag.clone(), &self.shared.options.amqp.queue);
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
        self.shared.parts.metrics.mended(frames);
        if !std::mem::replace(&mut self.has_logged_mending, true) {
            let queue = &self.shared.options.amqp.queue;
            warn!(
                queue,
                "messages have properties or headers that are not UTF-8 or are nested too deeply: read without them"
            );
        }
    }

    fn take(&mut self, delivery: Delivery) {
        self.deliveries += 1;
        self.shared.parts.metrics.delivery(delivery.redelivered);
        let (received_at, received_ms) = (std::time::Instant::now(), unix_ms());
        let unsettled = self.settler.received(delivery.delivery_tag, delivery.acker.clone());
        let large = self.witness.gate().hold(delivery.data.len());
        if self.shared.probes.takes(&delivery, &self.shared.options.amqp) {
            self.settler.settle(unsettled);
            return;
        }
        let payload = Payload::of(delivery.routing_key.as_str(), &delivery.properties, &delivery.data);
        match self.shared.decoder.decode(&payload) {
            Ok(Decoded::Ignored { .. }) => {
                self.shared.parts.metrics.event_ignored();
                self.settler.settle(unsettled);
            }
            Ok(Decoded::Event(event)) => {
                let key = event.key.clone();
                let (order_id, merchant_id) = (key.order_id.as_str(), key.merchant_id.as_str());
                let span = trace::delivery(payload.traceparent(), event.event_id.as_str(), order_id, merchant_id);
                let published_at_ms = payload.published_at_ms();
                let arrived =
                    Arrived { unsettled, event, delivery, published_at_ms, received_at, received_ms, span, large };
                self.arrived.extend(self.held.join(&key, arrived));
            }
            Err(reject) => self.dead_letters.push(delivery, &reject, unsettled, large),
        }
    }

    fn begin_commit(&mut self, ending: bool) {
        if self.commit.is_some() {
            return;
        }
        // What is held takes turns with what waits, and is not tried for a subscription that ends.
        let tries = !ending && (self.arrived.is_empty() || !self.tried_held);
        let held = if tries { self.held.take_due() } else { Vec::new() };
        self.tried_held = !held.is_empty();
        let batch = if self.tried_held {
            held
        } else {
            let events = self.arrived.len().min(self.shared.options.batch_events_max);
            self.arrived.drain(..events).collect()
        };
        if !batch.is_empty() {
            self.commit = Some(Box::pin(self.shared.committer.commit(batch)));
        }
    }

    fn committed(&mut self, committed: Committed) {
        let mut outcomes = Outcomes::new(&self.shared.parts, committed.tried_before);
        for (arrived, outcome) in committed.batch.into_iter().zip(committed.outcomes) {
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(damage) => {
                    self.held.hold(arrived, &damage);
                    continue;
                }
            };
            self.arrived.extend(self.held.release(&arrived.event.key));
            let change = outcome.change;
            outcomes.publish(&arrived, outcome);
            let Arrived { unsettled, event, delivery, span, large, .. } = arrived;
            outcomes.keep_until_settled(span);
            match change {
                Change::IdReused => {
                    let reject = Reject::id_reused().of_event(event.key, event.event_id.as_str());
                    self.dead_letters.push(delivery, &reject, unsettled, large);
                }
                Change::Applied | Change::Duplicate | Change::Stale => self.settler.settle(unsettled),
            }
        }
        outcomes.finish();
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
