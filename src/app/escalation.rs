//! Looks for final results that no page acknowledged in time.

use std::time::Duration;

use super::periodic_jobs::{PeriodicJobs, Schedule, unless_stopping};
use crate::runtime::unix_ms;
use crate::store::{self, Escalated};
use crate::telemetry::DamagedDuring;

const INTERVAL: Duration = Duration::from_secs(1);
/// What one transaction puts into the outbox: a millisecond of the store's time, for which events wait.
const MESSAGES_MAX: usize = 32;
/// Between two transactions of one round, for the events that wait.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn run(rounds: PeriodicJobs) {
    let mut pace = Schedule::new("escalation", INTERVAL);
    while !rounds.tasks.is_stopping() {
        let wait = pace.after(unless_stopping(&rounds.tasks, round(&rounds)).await);
        rounds.tasks.rest(wait).await;
    }
}

async fn round(rounds: &PeriodicJobs) -> Result<(), store::Error> {
    while !rounds.tasks.is_stopping() {
        let Escalated { messages, damaged, done } = rounds.store.escalate(unix_ms(), MESSAGES_MAX).await?;
        rounds.metrics.escalated(messages);
        rounds.metrics.damaged(DamagedDuring::Escalation, damaged);
        if messages > 0 {
            rounds.outbox_signal.notify();
        }
        if done {
            break;
        }
        rounds.tasks.rest(PAUSE).await;
    }
    Ok(())
}
