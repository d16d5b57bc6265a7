//! What every node does again and again. The store sees to it that each thing happens once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::config::{EscalatedOrders, Settings, Span};
use crate::hub::{Hub, Overdue};
use crate::runtime::{Backoff, Tasks, unix_ms};
use crate::store::{self, Escalated, Inquiry, OutboxSignal, PaymentStore, Pieces, PurgeBefore};
use crate::telemetry::{DamagedDuring, Metrics};

/// The longest wait for a store that does not answer.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

const ESCALATION_INTERVAL: Duration = Duration::from_secs(1);
/// What one transaction puts into the outbox: a millisecond of the store's time, for which events wait.
const ESCALATION_MESSAGES_MAX: usize = 32;
/// Between two transactions, for the events that wait.
const ESCALATION_PAUSE: Duration = Duration::from_millis(10);

const INQUIRY_INTERVAL: Duration = Duration::from_secs(1);
/// What one transaction takes at least: half a millisecond of the store's time, for which events wait.
const INQUIRY_BATCH_MIN: usize = 16;
/// Transactions in one interval at most.
const INQUIRY_BATCHES_MAX: usize = 50;

/// A tenth of the shorter time that is kept, within these.
const RETENTION_INTERVAL_SHORTEST: Duration = Duration::from_secs(1);
const RETENTION_INTERVAL_LONGEST: Duration = Duration::from_secs(3600);
/// Rows of one transaction, which events wait for.
const RETENTION_ROWS_MAX: usize = 200;
/// Between two transactions, or this many times as long as one took.
const RETENTION_PAUSE: Duration = Duration::from_millis(200);
const RETENTION_PAUSE_TIMES: u32 = 19;
/// What is known of an order that never became a payment, where payments are kept for ever: anybody with a ticket, and any
/// publisher of bad messages, can make such orders.
const UNKNOWN_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What the jobs work with.
#[derive(Clone)]
pub(super) struct PeriodicJobs {
    pub(super) store: Arc<dyn PaymentStore>,
    pub(super) hub: Arc<Hub>,
    pub(super) metrics: Metrics,
    /// Notified where the outbox has got something.
    pub(super) outbox_signal: OutboxSignal,
    pub(super) tasks: Tasks,
}

enum Job {
    /// Puts final results into the outbox that no page acknowledged in time.
    Escalate,
    /// Puts orders into the outbox for which pages have waited beyond the next of `spans_s`.
    Inquire { spans_s: Vec<u64>, orders_max: usize },
    /// Removes what is older than it is kept, zero for ever, in steps that nobody notices.
    Purge { payments: Span, entries: Span },
}

/// How often a job begins.
struct Schedule {
    interval: Duration,
    /// Between two beginnings, and not between an end and a beginning.
    counts_from_start: bool,
}

impl PeriodicJobs {
    /// Begins the jobs that the settings ask for.
    pub(super) fn begin(self, settings: &Settings) {
        let escalates = settings.escalation.orders != EscalatedOrders::Off;
        let spans_s: Vec<u64> = settings.inquiry.after.iter().map(|span| span.seconds()).collect();
        let orders_max = usize::try_from(settings.inquiry.per_s_max).unwrap_or(usize::MAX);
        let (payments, entries) = (settings.store.keep, settings.timeline.keep);
        let every = |interval, counts_from_start| Schedule { interval, counts_from_start };
        let jobs = [
            ("escalation", escalates, every(ESCALATION_INTERVAL, false), Job::Escalate),
            ("inquiry", !spans_s.is_empty(), every(INQUIRY_INTERVAL, true), Job::Inquire { spans_s, orders_max }),
            ("retention", true, every(retention_interval(payments, entries), false), Job::Purge { payments, entries }),
        ];
        for (name, _, schedule, job) in jobs.into_iter().filter(|(_, is_on, ..)| *is_on) {
            self.tasks.spawn(self.clone().repeat(name, schedule, job));
        }
    }

    /// Each reason of a fault is logged once.
    async fn repeat(self, name: &'static str, schedule: Schedule, job: Job) {
        let mut backoff = Backoff::new(schedule.interval.min(RETRY_LONGEST), RETRY_LONGEST);
        let mut failed_by = String::new();
        while !self.tasks.is_stopping() {
            let began = Instant::now();
            // The end of the service does not wait for a store that hangs, which does what it has taken all the same.
            let done = tokio::select! {
                done = self.run(&job) => done,
                () = self.tasks.stopping() => return,
            };
            let wait = match done.map_err(|error| error.to_string()) {
                Ok(()) => {
                    if !std::mem::take(&mut failed_by).is_empty() {
                        info!(round = name, "the store answers again");
                    }
                    backoff.reset();
                    schedule.interval
                }
                Err(why) => {
                    if why != failed_by {
                        warn!(round = name, error = why, "the store does not answer, retrying");
                        failed_by = why;
                    }
                    backoff.wait()
                }
            };
            let ran = if schedule.counts_from_start { began.elapsed() } else { Duration::ZERO };
            self.tasks.rest(wait.saturating_sub(ran)).await;
        }
    }

    async fn run(&self, job: &Job) -> Result<(), store::Error> {
        match job {
            Job::Escalate => self.escalate().await,
            Job::Inquire { spans_s, orders_max } => self.inquire(spans_s, *orders_max).await,
            Job::Purge { payments, entries } => self.purge(*payments, *entries).await,
        }
    }

    async fn escalate(&self) -> Result<(), store::Error> {
        loop {
            let Escalated { messages, damaged, done } = self.store.escalate(unix_ms(), ESCALATION_MESSAGES_MAX).await?;
            self.metrics.escalated(messages);
            self.metrics.damaged(DamagedDuring::Escalation, damaged);
            if messages > 0 {
                self.outbox_signal.notify();
            }
            if done {
                return Ok(());
            }
            tokio::time::sleep(ESCALATION_PAUSE).await;
        }
    }

    /// Spread over most of the interval: merchants answer each inquiry with a query of their own. The hub knows how long
    /// pages have waited, the store what has no result yet.
    async fn inquire(&self, spans_s: &[u64], orders_max: usize) -> Result<(), store::Error> {
        let overdue = self.hub.overdue(spans_s, orders_max);
        let batches = overdue.chunks(overdue.len().div_ceil(INQUIRY_BATCHES_MAX).max(INQUIRY_BATCH_MIN));
        let pause = INQUIRY_INTERVAL * 4 / 5 / u32::try_from(batches.len()).unwrap_or(u32::MAX).max(1);
        for batch in batches {
            self.inquire_batch(batch).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    async fn inquire_batch(&self, overdue: &[Overdue]) -> Result<(), store::Error> {
        let inquiry = |overdue: &&Overdue| Inquiry {
            key: overdue.key.clone(),
            step: overdue.step.into(),
            waited_s: overdue.waited_s,
        };
        let mut pieces = Pieces::of(overdue.iter().collect());
        while let Some(piece) = pieces.take_next() {
            match self.store.inquire(piece.iter().map(inquiry).collect()).await {
                Ok(inquired) => {
                    // Only what the store took is not asked again.
                    piece.iter().for_each(|overdue| self.hub.mark_inquired(overdue));
                    self.metrics.inquired(inquired);
                    if inquired > 0 {
                        self.outbox_signal.notify();
                    }
                }
                Err(error) if error.may_be_of_one_row() => {
                    if let Some(alone) = pieces.divide(piece) {
                        // Nor what it will never take, or it would stand in the way of others again and again.
                        self.hub.mark_inquired(alone);
                        let (merchant_id, order_id) = (&alone.key.merchant_id, &alone.key.order_id);
                        warn!(%merchant_id, %order_id, %error, "payment.inquiry cannot be recorded for this order");
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn purge(&self, payments: Span, entries: Span) -> Result<(), store::Error> {
        let now_ms = unix_ms();
        let before = |kept: Duration| now_ms.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let limited = |keep: Span| (keep.seconds() > 0).then(|| before(keep.duration()));
        let before = PurgeBefore {
            payments_ms: limited(payments).unwrap_or(i64::MIN),
            entries_ms: limited(entries).unwrap_or(i64::MIN),
            unknown_ms: limited(payments).unwrap_or_else(|| before(UNKNOWN_KEPT)),
        };
        loop {
            let began = Instant::now();
            let purged = self.store.purge(before, RETENTION_ROWS_MAX).await?;
            self.metrics.purged(purged.payments, purged.entries);
            self.metrics.damaged(DamagedDuring::Retention, purged.damaged);
            if purged.done {
                return Ok(());
            }
            tokio::time::sleep(RETENTION_PAUSE.max(began.elapsed() * RETENTION_PAUSE_TIMES)).await;
        }
    }
}

fn retention_interval(payments: Span, entries: Span) -> Duration {
    let limited = [payments, entries].into_iter().filter(|keep| keep.seconds() > 0);
    let shortest = limited.map(Span::duration).min().unwrap_or(UNKNOWN_KEPT);
    (shortest / 10).clamp(RETENTION_INTERVAL_SHORTEST, RETENTION_INTERVAL_LONGEST)
}
