//! What is looked at every few seconds, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Backoff, Component, Health, Tasks};
use crate::store::{PaymentStore, silent};
use crate::telemetry::Metrics;

const FOLD_INTERVAL: Duration = Duration::from_secs(5);
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Folds what histograms have collected.
pub(super) async fn fold_metrics(metrics: Metrics, tasks: Tasks) {
    loop {
        metrics.upkeep();
        tokio::select! {
            () = tokio::time::sleep(FOLD_INTERVAL) => {}
            () = tasks.stopping() => return,
        }
    }
}

/// Says in readiness whether the store can be written, also while nothing arrives that would show it. A store that has not
/// answered in `limit` is a fault until it answers; the question stays the same one, so that a disk which hangs for long has
/// no more of them before it.
pub(super) async fn watch_store(
    store: Arc<dyn PaymentStore>,
    limit: Duration,
    metrics: Metrics,
    health: Health,
    tasks: Tasks,
) {
    let mut backoff = Backoff::new(STORE_CHECK_INTERVAL, STORE_CHECK_INTERVAL);
    loop {
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = tasks.stopping() => return,
        }
        let mut check = store.check();
        let answer = loop {
            tokio::select! {
                answer = tokio::time::timeout(limit, &mut check) => match answer {
                    Ok(answer) => break answer,
                    Err(_elapsed) => report(&metrics, &health, Some(silent(limit).to_string())),
                },
                () = tasks.stopping() => return,
            }
        };
        report(&metrics, &health, answer.err().map(|error| error.to_string()));
    }
}

fn report(metrics: &Metrics, health: &Health, why: Option<String>) {
    match why {
        None => health.ok(Component::Store),
        Some(why) => health.fault(Component::Store, why),
    }
    metrics.set_store_available(!health.faults().contains_key(&Component::Store));
}
