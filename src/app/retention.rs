//! Removes what is older than it is kept, in steps that nobody notices.

use std::time::Duration;

use tokio::time::Instant;

use super::periodic_jobs::{PeriodicJobs, Schedule, unless_stopping};
use crate::config::{Settings, Span};
use crate::runtime::unix_ms;
use crate::store::{self, PurgeBefore};
use crate::telemetry::DamagedDuring;

/// Between two rounds: a tenth of the shorter time that is kept, within these.
const INTERVAL_SHORTEST: Duration = Duration::from_secs(1);
const INTERVAL_LONGEST: Duration = Duration::from_secs(3600);
/// Rows of one step, each a transaction that events wait for.
const ROWS_MAX: usize = 200;
/// Between two steps, or this many times as long as one took.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_TIMES: u32 = 19;

/// What is known of an order that never became a payment, where payments are kept for ever: anybody with a ticket, and any
/// publisher of bad messages, can make such orders.
const UNKNOWN_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How long things are kept. Zero: for ever.
pub(super) struct Retention {
    payments: Span,
    entries: Span,
    interval: Duration,
}

impl Retention {
    pub(super) fn new(settings: &Settings) -> Self {
        let (payments, entries) = (settings.store.keep, settings.timeline.keep);
        let limited = [payments, entries].into_iter().filter(|keep| keep.seconds() > 0);
        let shortest = limited.map(Span::duration).min().unwrap_or(UNKNOWN_KEPT);
        Self { payments, entries, interval: (shortest / 10).clamp(INTERVAL_SHORTEST, INTERVAL_LONGEST) }
    }

    pub(super) async fn run(self, rounds: PeriodicJobs) {
        let mut pace = Schedule::new("retention", self.interval);
        while !rounds.tasks.is_stopping() {
            let wait = pace.after(unless_stopping(&rounds.tasks, self.round(&rounds)).await);
            rounds.tasks.rest(wait).await;
        }
    }

    async fn round(&self, rounds: &PeriodicJobs) -> Result<(), store::Error> {
        let now_ms = unix_ms();
        let before = |keep: Span| match keep.seconds() {
            0 => i64::MIN,
            _ => now_ms.saturating_sub(i64::try_from(keep.millis()).unwrap_or(i64::MAX)),
        };
        let mut before = PurgeBefore {
            payments_ms: before(self.payments),
            entries_ms: before(self.entries),
            unknown_ms: before(self.payments),
        };
        if self.payments.seconds() == 0 {
            before.unknown_ms = now_ms.saturating_sub(i64::try_from(UNKNOWN_KEPT.as_millis()).unwrap_or(i64::MAX));
        }
        while !rounds.tasks.is_stopping() {
            let began = Instant::now();
            let purged = rounds.store.purge(before, ROWS_MAX).await?;
            rounds.metrics.purged(purged.payments, purged.entries);
            rounds.metrics.damaged(DamagedDuring::Retention, purged.damaged);
            if purged.done {
                break;
            }
            rounds.tasks.rest(PAUSE.max(began.elapsed() * PAUSE_TIMES)).await;
        }
        Ok(())
    }
}
