//! What the operators' page shows of the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Metrics;
use super::handles::Transport;
use super::totals::{Totals, lock};
use crate::telemetry::names::SECONDS;

/// What has happened up to one moment.
#[derive(Debug, Clone)]
pub(in crate::telemetry) struct Sample {
    /// Events stored, whatever became of them.
    pub(in crate::telemetry) events: u64,
    /// Pages updated within each bound of [`SECONDS`], and all.
    pub(in crate::telemetry) arrivals: [u64; SECONDS.len() + 1],
}

impl Metrics {
    pub(in crate::telemetry) fn sample(&self) -> Sample {
        let Totals { events, arrivals, .. } = &self.inner.recent;
        let mut all = 0;
        let arrivals = std::array::from_fn(|at| {
            all += arrivals[at].load(Ordering::Relaxed);
            all
        });
        Sample { events: events.load(Ordering::Relaxed), arrivals }
    }

    /// Pages that wait, by transport.
    pub(in crate::telemetry) fn pages_waiting(&self) -> BTreeMap<&'static str, u64> {
        Transport::ALL.iter().zip(&self.inner.pages).map(|(by, page)| (by.as_str(), page.waiting.value())).collect()
    }

    /// Messages that are ready, by queue.
    pub(in crate::telemetry) fn queues(&self) -> BTreeMap<String, u64> {
        lock(&self.inner.recent.queues).clone()
    }

    /// Dead letters since the start, by reason.
    pub(in crate::telemetry) fn dead_letters(&self) -> BTreeMap<String, u64> {
        lock(&self.inner.recent.dead_lettered).iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    }
}
