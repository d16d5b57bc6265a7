//! Joins the hub, which knows how long pages have waited, with the store, which knows what has no result yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::periodic_jobs::{PeriodicJobs, Schedule, unless_stopping};
use crate::config;
use crate::hub::{Hub, Overdue};
use crate::store::{self, Inquiry};

const INTERVAL: Duration = Duration::from_secs(1);
/// What one transaction takes at least: half a millisecond of the store's time, for which events wait.
const BATCH_MIN: usize = 16;
/// Transactions of one round at most.
const BATCHES_MAX: usize = 50;

pub(super) async fn run(rounds: PeriodicJobs, settings: config::Inquiry, hub: Arc<Hub>) {
    let spans_s: Vec<u64> = settings.after.iter().map(|span| span.seconds()).collect();
    let orders_max = usize::try_from(settings.per_s_max).unwrap_or(usize::MAX);
    let mut pace = Schedule::new("inquiry", INTERVAL);
    while !rounds.tasks.is_stopping() {
        let began = Instant::now();
        let round = round(&rounds, &hub, &spans_s, orders_max);
        let wait = pace.after(unless_stopping(&rounds.tasks, round).await);
        rounds.tasks.rest(wait.saturating_sub(began.elapsed())).await;
    }
}

/// Spread over most of the interval: merchants answer each inquiry with a query of their own.
async fn round(rounds: &PeriodicJobs, hub: &Hub, spans_s: &[u64], orders_max: usize) -> Result<(), store::Error> {
    let overdue = hub.overdue(spans_s, orders_max);
    let batches = overdue.chunks(overdue.len().div_ceil(BATCHES_MAX).max(BATCH_MIN));
    let pause = INTERVAL * 4 / 5 / u32::try_from(batches.len()).unwrap_or(u32::MAX).max(1);
    for batch in batches {
        inquire(rounds, hub, batch).await?;
        rounds.tasks.rest(pause).await;
        if rounds.tasks.is_stopping() {
            break;
        }
    }
    Ok(())
}

async fn inquire(rounds: &PeriodicJobs, hub: &Hub, overdue: &[Overdue]) -> Result<(), store::Error> {
    let inquiry =
        |overdue: &Overdue| Inquiry { key: overdue.key.clone(), step: overdue.step.into(), waited_s: overdue.waited_s };
    let mut pieces = store::Pieces::of(overdue.iter().collect());
    while let Some(piece) = pieces.take_next() {
        match rounds.store.inquire(piece.iter().map(|overdue| inquiry(overdue)).collect()).await {
            Ok(inquired) => {
                // Only what the store took is not asked again.
                piece.iter().for_each(|overdue| hub.mark_inquired(overdue));
                rounds.metrics.inquired(inquired);
                if inquired > 0 {
                    rounds.outbox_signal.notify();
                }
            }
            Err(error) if error.may_be_of_one_row() => {
                if let Some(alone) = pieces.divide(piece) {
                    // Nor what it will never take, or it would stand in the way of others again and again.
                    hub.mark_inquired(alone);
                    let (merchant_id, order_id) = (&alone.key.merchant_id, &alone.key.order_id);
                    tracing::warn!(%merchant_id, %order_id, %error, "payment.inquiry cannot be recorded for this order");
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
