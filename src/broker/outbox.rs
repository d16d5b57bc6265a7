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

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};

use super::options::{Options, backoff};
use super::outbox_batch::{BatchPublisher, Turn, UNDER_WAY_MAX};
use super::publisher::Publisher;
use crate::runtime::{Backoff, Tasks};
use crate::store::{Error, OutboxSignal, PaymentStore, Pieces};
use crate::telemetry::Metrics;

/// Notifications within this time are one look: each costs the store a transaction.
const GATHER: Duration = Duration::from_millis(20);
/// For what is under way when the service stops, at most.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Reasons that are logged before it goes well again. A fault has few.
const REASONS_MAX: usize = 8;
/// How long a message is left alone that the broker will never take, or that was published and cannot be removed.
const ASIDE: Duration = Duration::from_secs(3600);
/// The same for one whose type this user may not publish: operators may change that.
const DENIED: Duration = Duration::from_secs(60);
/// Between two looks at how much waits.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// What the outbox works with.
#[derive(Clone)]
pub struct OutboxParts {
    /// The store that holds the outbox.
    pub store: Arc<dyn PaymentStore>,
    /// Publishes its messages, [`Publisher::for_outbox`]. Closed at the end.
    pub publisher: Publisher,
    /// What is counted.
    pub metrics: Metrics,
    /// Notified where there is something to publish.
    pub outbox_signal: OutboxSignal,
}

/// The task that publishes. Its handle is the [`Tasks`] that it runs under.
pub struct Outbox {
    batches: BatchPublisher,
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

impl Outbox {
    /// Takes its settings and parts.
    #[must_use]
    pub fn new(options: &Options, parts: OutboxParts) -> Self {
        let (amqp, outbox) = (&options.amqp, &options.outbox);
        let confirm_timeout = Duration::from_secs(amqp.confirm_timeout_s);
        let confirms = u32::try_from(outbox.batch_max.div_ceil(UNDER_WAY_MAX)).unwrap_or(u32::MAX);
        let OutboxParts { publisher, metrics, .. } = parts.clone();
        Self {
            batches: BatchPublisher { exchange: amqp.events_exchange.clone(), publisher, metrics },
            batch_max: outbox.batch_max,
            interval: Duration::from_millis(outbox.interval_ms),
            confirm_timeout,
            turn_limit: confirm_timeout.saturating_mul(confirms),
            backoff: backoff(amqp),
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
            let mut turn = self.batches.publish(left, at_once_max).await;
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

    /// Logs the fault, or its end.
    fn has_failed(&mut self, turn: &Turn) -> bool {
        match &turn.failed_by {
            Some(why) if !self.reasons.contains(why) && self.reasons.len() < REASONS_MAX => {
                warn!(exchange = self.batches.exchange, reason = why, "outbox cannot be published, retrying");
                self.reasons.push(why.clone());
            }
            Some(_known) => {}
            None if self.reasons.is_empty() => {}
            // An empty outbox proves nothing of the broker.
            None if turn.taken == 0 => {}
            None => {
                info!(exchange = self.batches.exchange, "outbox is published again");
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
        f.debug_struct("Outbox").field("exchange", &self.batches.exchange).finish_non_exhaustive()
    }
}
