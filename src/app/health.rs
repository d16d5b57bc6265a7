//! What is looked at every few seconds, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Backoff, Health, Part, Tasks};
use crate::store::PaymentStore;
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

/// Says in readiness whether the store can be written, also while nothing arrives that would show it.
pub(super) async fn watch_store(store: Arc<dyn PaymentStore>, metrics: Metrics, health: Health, tasks: Tasks) {
    let mut backoff = Backoff::new(STORE_CHECK_INTERVAL, STORE_CHECK_INTERVAL);
    loop {
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = tasks.stopping() => return,
        }
        match store.check().await {
            Ok(()) => health.ok(Part::Store),
            Err(error) => health.fault(Part::Store, error.to_string()),
        }
        metrics.set_store_available(!health.faults().contains_key(&Part::Store));
    }
}
