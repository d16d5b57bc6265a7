//! Removes what is older than it is kept, in steps that nobody notices.

use std::time::Duration;

use tokio::time::Instant;

use super::rounds::{Pace, Rounds, unless_stopping};
use crate::config::{Settings, Span};
use crate::runtime::unix_ms;
use crate::store;

/// Between two rounds: a tenth of the shorter time that is kept, within these.
const INTERVAL_SHORTEST: Duration = Duration::from_secs(1);
const INTERVAL_LONGEST: Duration = Duration::from_secs(3600);
/// Rows of one step, each a transaction that events wait for.
const ROWS_MAX: usize = 200;
/// Between two steps, or this many times as long as one took.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_TIMES: u32 = 19;

/// How long things are kept. Zero: for ever.
pub(super) struct Retention {
    payments: Span,
    entries: Span,
    interval: Duration,
}

impl Retention {
    /// Not set where everything is kept for ever.
    pub(super) fn new(settings: &Settings) -> Option<Self> {
        let (payments, entries) = (settings.store.keep, settings.timeline.keep);
        let shortest = [payments, entries].into_iter().filter(|keep| keep.seconds() > 0).min()?;
        let interval = (shortest.duration() / 10).clamp(INTERVAL_SHORTEST, INTERVAL_LONGEST);
        Some(Self { payments, entries, interval })
    }

    pub(super) async fn run(self, rounds: Rounds) {
        let mut pace = Pace::new("retention", self.interval);
        while !rounds.tasks.is_stopping() {
            let wait = pace.after(unless_stopping(&rounds.tasks, self.round(&rounds)).await);
            rounds.tasks.rest(wait).await;
        }
    }

    async fn round(&self, rounds: &Rounds) -> Result<(), store::Error> {
        let now_ms = unix_ms();
        let before = |keep: Span| match keep.seconds() {
            0 => i64::MIN,
            _ => now_ms.saturating_sub(i64::try_from(keep.millis()).unwrap_or(i64::MAX)),
        };
        let (payments_before, entries_before) = (before(self.payments), before(self.entries));
        while !rounds.tasks.is_stopping() {
            let began = Instant::now();
            let retired = rounds.store.retire(payments_before, entries_before, ROWS_MAX).await?;
            rounds.metrics.retired(retired.payments, retired.entries);
            if retired.done {
                break;
            }
            rounds.tasks.rest(PAUSE.max(began.elapsed() * PAUSE_TIMES)).await;
        }
        Ok(())
    }
}
