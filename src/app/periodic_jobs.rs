//! What is done again and again on every node. The store sees to it that each thing happens once.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::{escalation, inquiry, retention};
use crate::config::{EscalatedOrders, Settings};
use crate::hub::Hub;
use crate::runtime::{Backoff, Tasks};
use crate::store::{self, OutboxSignal, PaymentStore};
use crate::telemetry::Metrics;

/// The longest wait of a round whose store does not answer.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// What the rounds work with.
#[derive(Clone)]
pub(super) struct PeriodicJobs {
    pub(super) store: Arc<dyn PaymentStore>,
    pub(super) metrics: Metrics,
    /// Rung where the outbox has got something.
    pub(super) outbox_signal: OutboxSignal,
    pub(super) tasks: Tasks,
}

impl PeriodicJobs {
    /// Begins those that the settings ask for.
    pub(super) fn begin(self, settings: &Settings, hub: Arc<Hub>) {
        let tasks = self.tasks.clone();
        if settings.escalation.orders != EscalatedOrders::Off {
            tasks.spawn(escalation::run(self.clone()));
        }
        if !settings.inquiry.after.is_empty() {
            tasks.spawn(inquiry::run(self.clone(), settings.inquiry.clone(), hub));
        }
        tasks.spawn(retention::Retention::new(settings).run(self));
    }
}

/// A round that the end of the service does not wait for: a store that hangs would hold it, and what it has taken it does all
/// the same.
pub(super) async fn unless_stopping(
    tasks: &Tasks,
    round: impl Future<Output = Result<(), store::Error>>,
) -> Result<(), store::Error> {
    tokio::select! {
        round = round => round,
        () = tasks.stopping() => Ok(()),
    }
}

/// When the next round is due, and which of its faults were told.
pub(super) struct Schedule {
    what: &'static str,
    interval: Duration,
    backoff: Backoff,
    failed_by: String,
}

impl Schedule {
    pub(super) fn new(what: &'static str, interval: Duration) -> Self {
        let backoff = Backoff::new(interval.min(RETRY_LONGEST), RETRY_LONGEST);
        Self { what, interval, backoff, failed_by: String::new() }
    }

    /// How long to wait after a round. Each reason of a fault is logged once.
    pub(super) fn after(&mut self, round: Result<(), store::Error>) -> Duration {
        let Err(error) = round else {
            if !self.failed_by.is_empty() {
                info!(round = self.what, "the store answers again");
            }
            self.failed_by.clear();
            self.backoff.reset();
            return self.interval;
        };
        let why = error.to_string();
        if why != self.failed_by {
            warn!(round = self.what, error = why, "the store does not answer, retrying");
            self.failed_by = why;
        }
        self.backoff.wait()
    }
}
