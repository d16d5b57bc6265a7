//! Publishes what the store's outbox holds: at least once, in bounded batches.
//!
//! A message is taken out under a lease, published with a confirm, and removed; killed between any two of these, it is
//! published again once the lease is over. What was published and not removed yet is at most one batch.
//!
//! What cannot be published whatever is mended is put aside and stands in front of no other: it stays in the store, is tried
//! once an hour, counted and named.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};

use super::{Message, Options, PublishError, Publisher};
use crate::runtime::{Backoff, Tasks};
use crate::store::{Error, OutboxSignal, Outgoing, PaymentStore, Pieces};
use crate::telemetry::{Metrics, Published};

/// Messages under way at once, each on a channel of its own.
const UNDER_WAY_MAX: usize = 16;
/// Rings within this time are one look: each costs the store a transaction.
const GATHER: Duration = Duration::from_millis(20);
/// For what is under way when the service stops, at most.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Reasons that are told before it goes well again. A fault has few.
const REASONS_MAX: usize = 8;
/// How long a message is left alone that the broker will never take, or that was published and cannot be removed.
const ASIDE: Duration = Duration::from_secs(3600);
/// The same for one whose type this user may not publish: operators may change that.
const DENIED: Duration = Duration::from_secs(60);
/// AMQP's reply code for it.
const ACCESS_REFUSED: u16 = 403;
/// Between two looks at how much waits.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// What the outbox works with.
#[derive(Clone)]
pub struct OutboxParts {
    /// Which holds it.
    pub store: Arc<dyn PaymentStore>,
    /// By which it leaves, [`Publisher::for_outbox`]. Closed at the end.
    pub publisher: Publisher,
    /// What is counted.
    pub metrics: Metrics,
    /// Rung where there is something to publish.
    pub outbox_signal: OutboxSignal,
}

/// The task that publishes. Its handle is the [`Tasks`] that it runs under.
pub struct Outbox {
    exchange: String,
    batch_max: usize,
    interval: Duration,
    confirm_timeout: Duration,
    /// In which a batch is published for certain, or given up.
    turn_limit: Duration,
    backoff: Backoff,
    /// Why attempts have failed since the last that went well: each reason is logged once.
    reasons: Vec<String>,
    parts: OutboxParts,
}

/// What became of one batch.
#[derive(Debug, Default)]
struct Turn {
    taken: usize,
    /// Some of it is published.
    moved: bool,
    done: Vec<i64>,
    again: VecDeque<Outgoing>,
    /// To be left alone.
    aside: Vec<i64>,
    denied: Vec<i64>,
    /// One message ended the connection for all that were under way: which, is found one by one.
    one_by_one: bool,
    failed_by: Option<String>,
}

/// What becomes of a message that was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing can be published: the turn ends, and all of it is tried again.
    Stop,
    /// The same, one message at a time.
    OneByOne,
    /// Its queue is full, say: it comes again after its lease.
    Later,
    /// The same for all of its type.
    Denied,
    /// It will never be taken.
    Aside,
}

impl Fate {
    fn of(why: &PublishError, alone: bool) -> Self {
        match why {
            PublishError::Refused(refusal) if refusal.ends_connection => match why.is_of_the_message() {
                true if alone => Self::Aside,
                true => Self::OneByOne,
                false => Self::Stop,
            },
            why if why.is_of_the_message() => Self::Aside,
            PublishError::Refused(refusal) if refusal.code == ACCESS_REFUSED => Self::Denied,
            PublishError::Unavailable(_) | PublishError::TimedOut(_) | PublishError::Refused(_) => Self::Stop,
            _ => Self::Later,
        }
    }
}

impl Outbox {
    /// Takes its settings and parts.
    #[must_use]
    pub fn new(options: &Options, parts: OutboxParts) -> Self {
        let (amqp, outbox) = (&options.amqp, &options.outbox);
        let confirm_timeout = Duration::from_secs(amqp.confirm_timeout_s);
        let rounds = u32::try_from(outbox.batch_max.div_ceil(UNDER_WAY_MAX)).unwrap_or(u32::MAX);
        let (first, longest) = (amqp.retry_first_ms, amqp.retry_longest_ms);
        Self {
            exchange: amqp.events_exchange.clone(),
            batch_max: outbox.batch_max,
            interval: Duration::from_millis(outbox.interval_ms),
            confirm_timeout,
            turn_limit: confirm_timeout.saturating_mul(rounds),
            backoff: Backoff::new(Duration::from_millis(first), Duration::from_millis(longest)),
            reasons: Vec::new(),
            parts,
        }
    }

    /// Publishes until `tasks` are told to stop; then finishes what is under way, within
    /// `amqp.confirm_timeout_s` and 5 s.
    pub async fn run(mut self, tasks: Tasks) {
        let mut count_at = Instant::now();
        while !tasks.is_stopping() {
            let late = self.confirm_timeout.min(STOP_LIMIT);
            let turn = tokio::select! {
                turn = self.turn(&tasks) => turn,
                () = async { tasks.stopping().await; sleep(late).await } => break,
            };
            if Instant::now() >= count_at {
                count_at = Instant::now() + COUNT_INTERVAL;
                if let Ok(messages) = self.parts.store.outbox_len().await {
                    self.parts.metrics.set_outbox_messages(messages);
                }
            }
            self.wait(&turn, &tasks).await;
        }
        self.parts.publisher.close();
    }

    /// Until there is something to do.
    async fn wait(&mut self, turn: &Turn, tasks: &Tasks) {
        if self.has_failed(turn) {
            return tasks.rest(self.backoff.wait()).await;
        }
        if turn.taken >= self.batch_max {
            return tasks.rest(GATHER).await;
        }
        tokio::select! {
            () = self.parts.outbox_signal.notified() => tasks.rest(GATHER).await,
            () = sleep(self.interval) => {}
            () = tasks.stopping() => {}
        }
    }

    /// Takes a batch, publishes it and removes what was confirmed.
    async fn turn(&mut self, tasks: &Tasks) -> Turn {
        let began = Instant::now();
        // A batch that failed at once is tried again under the lease that it has.
        let lease_ms = u64::try_from(self.turn_limit.as_millis()).unwrap_or(u64::MAX).saturating_mul(2) + 2000;
        let batch = match self.parts.store.outbox_lease(self.batch_max, lease_ms).await {
            Ok(batch) => batch,
            Err(error) => return Turn { failed_by: Some(format!("store: {error}")), ..Turn::default() },
        };
        let taken = batch.len();
        let mut left = VecDeque::from(batch);
        let mut at_once_max = UNDER_WAY_MAX;
        loop {
            let mut turn = self.publish(left, at_once_max).await;
            turn.taken = taken;
            at_once_max = if turn.one_by_one { 1 } else { UNDER_WAY_MAX };
            self.put_aside(&turn).await;
            self.remove(&mut turn, began, tasks).await;
            // Until the next attempt would not end within the lease; then any node may take it anew.
            if turn.again.is_empty() || began.elapsed() >= self.turn_limit || tasks.is_stopping() {
                return turn;
            }
            left = std::mem::take(&mut turn.again);
            self.has_failed(&turn);
            tasks.rest(self.backoff.wait()).await;
        }
    }

    async fn publish(&self, mut left: VecDeque<Outgoing>, at_once_max: usize) -> Turn {
        let mut turn = Turn::default();
        let mut goes_on = true;
        let mut denied: Vec<String> = Vec::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            while goes_on
                && under_way.len() < at_once_max
                && let Some(outgoing) = left.pop_front()
            {
                if denied.contains(&outgoing.routing_key) {
                    turn.denied.push(outgoing.id);
                } else {
                    under_way.push(self.publish_one(outgoing));
                }
            }
            let Some((outgoing, answer)) = under_way.next().await else {
                break;
            };
            let (result, why) = match answer {
                Ok(()) => (Published::Confirmed, None),
                // Nobody has to listen.
                Err(PublishError::Unroutable { .. }) => (Published::Unroutable, None),
                Err(why) => match Fate::of(&why, at_once_max == 1) {
                    Fate::Aside => (Published::Refused, Some((why, Fate::Aside))),
                    fate => (Published::Failed, Some((why, fate))),
                },
            };
            self.parts.metrics.outbox_published(&outgoing.routing_key, result);
            let Some((why, fate)) = why else {
                turn.moved = true;
                turn.done.push(outgoing.id);
                continue;
            };
            if fate != Fate::Aside {
                turn.failed_by.get_or_insert_with(|| why.to_string());
            }
            match fate {
                Fate::Stop | Fate::OneByOne => {
                    goes_on = false;
                    turn.one_by_one |= fate == Fate::OneByOne;
                    turn.again.push_back(outgoing);
                }
                // The lease keeps it.
                Fate::Later => {}
                Fate::Denied => {
                    turn.moved = true;
                    turn.denied.push(outgoing.id);
                    denied.push(outgoing.routing_key);
                }
                Fate::Aside => {
                    let Outgoing { id, message_id, .. } = outgoing;
                    let exchange = self.exchange.as_str();
                    error!(exchange, message_id, reason = %why, "a message for merchants cannot be published");
                    turn.moved = true;
                    turn.aside.push(id);
                }
            }
        }
        drop(under_way);
        turn.again.append(&mut left);
        turn
    }

    async fn publish_one(&self, outgoing: Outgoing) -> (Outgoing, Result<(), PublishError>) {
        let Outgoing { routing_key, message_id, body, .. } = &outgoing;
        let body = body.clone().into_bytes();
        let message = Message::new(&self.exchange, routing_key, "application/cloudevents+json", message_id, body);
        let answer = match message {
            Ok(message) => self.parts.publisher.publish(&message).await,
            Err(error) => Err(error),
        };
        (outgoing, answer)
    }

    /// Has messages left alone that would fail again. Where the store does not take that, their lease keeps them for a
    /// while.
    async fn put_aside(&self, turn: &Turn) {
        for (ids, by) in [(&turn.aside, ASIDE), (&turn.denied, DENIED)] {
            let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            if !ids.is_empty()
                && let Err(error) = self.parts.store.outbox_postpone(ids.clone(), by_ms).await
            {
                warn!(%error, "messages of the outbox cannot be postponed");
            }
        }
    }

    async fn sent(&self, ids: &[i64]) -> Result<(), Error> {
        match self.parts.store.outbox_remove(ids.to_vec()).await {
            Err(error) if error.may_be_of_one_row() => self.remove_apart(ids.to_vec()).await,
            removed => removed,
        }
    }

    /// Removes one by one what the store did not remove together. What it does not remove is published again, but not at
    /// once.
    async fn remove_apart(&self, ids: Vec<i64>) -> Result<(), Error> {
        let mut pieces = Pieces::of(ids);
        while let Some(ids) = pieces.take_next() {
            match self.parts.store.outbox_remove(ids.clone()).await {
                Err(error) if error.may_be_of_one_row() => {
                    if let Some(id) = pieces.divide(ids) {
                        error!(id, %error, "a message for merchants was published and cannot be removed");
                        self.put_aside(&Turn { aside: vec![id], ..Turn::default() }).await;
                    }
                }
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Removes what was confirmed, while the lease keeps it from being published again.
    async fn remove(&mut self, turn: &mut Turn, began: Instant, tasks: &Tasks) {
        let ids = std::mem::take(&mut turn.done);
        if ids.is_empty() {
            return;
        }
        let until = began + self.turn_limit.saturating_mul(2);
        let mut backoff = self.backoff.clone();
        backoff.reset();
        while let Err(error) = self.sent(&ids).await {
            let failed_by = format!("store: {error}");
            if matches!(error, Error::Closed) || Instant::now() >= until || tasks.is_stopping() {
                turn.failed_by = Some(failed_by);
                return;
            }
            self.has_failed(&Turn { failed_by: Some(failed_by), ..Turn::default() });
            tokio::select! {
                () = tasks.rest(backoff.wait()) => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Tells of the fault, or of its end.
    fn has_failed(&mut self, turn: &Turn) -> bool {
        match &turn.failed_by {
            Some(why) if !self.reasons.contains(why) && self.reasons.len() < REASONS_MAX => {
                warn!(exchange = self.exchange, reason = why, "outbox cannot be published, retrying");
                self.reasons.push(why.clone());
            }
            Some(_known) => {}
            None if self.reasons.is_empty() => {}
            // An empty outbox proves nothing of the broker.
            None if turn.taken == 0 => {}
            None => {
                info!(exchange = self.exchange, "outbox is published again");
                self.reasons.clear();
            }
        }
        if turn.failed_by.is_none() || turn.moved {
            self.backoff.reset();
        }
        turn.failed_by.is_some()
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
