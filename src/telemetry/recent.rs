//! The last minutes, second by second, for whoever has no Prometheus at hand.
//!
//! A ring of samples of a few totals, one a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics::{Metrics, Sample};
use super::names::SECONDS;
use crate::runtime::Tasks;

const READING_INTERVAL: Duration = Duration::from_secs(1);
/// The longest span that is looked back on, and how many readings that takes.
const WINDOW_S: u64 = 300;
const READINGS_MAX: usize = 301;
/// Of the curve of events.
const CURVE_S: usize = 60;

/// The answer of [`Recent::summary`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecentStats {
    /// Events stored a second, over the last 10 s.
    pub events_per_s_10: f64,
    /// The same over the last 60 s.
    pub events_per_s_60: f64,
    /// Events stored in each of the last seconds, at most 60, the latest last.
    pub events_each_s: Vec<f64>,
    /// Pages that wait.
    pub pages_waiting: BTreeMap<&'static str, u64>,
    /// Messages that are ready, by queue.
    pub queues: BTreeMap<String, u64>,
    /// Messages put into the dead letters since the start of this node, by reason.
    pub dead_lettered: BTreeMap<String, u64>,
    /// From the delivery to the write to the page's socket.
    pub arrival_to_page: Quantiles,
}

/// Estimated from a histogram, as Prometheus does it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantiles {
    /// Half took at most so many milliseconds; not set where there was none.
    pub p50_ms: Option<f64>,
    /// 99 of 100 took at most so many milliseconds.
    pub p99_ms: Option<f64>,
    /// Pages that were updated.
    pub pages: u64,
    /// Seconds that were looked back on.
    pub window_s: u64,
}

/// Readings of the metrics, a second apart. Clones share them.
#[derive(Clone, Debug)]
pub struct Recent {
    metrics: Metrics,
    readings: Arc<Mutex<VecDeque<Reading>>>,
}

#[derive(Debug, Clone)]
struct Reading {
    at: Instant,
    sample: Sample,
}

impl Recent {
    /// Nothing was read yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, readings: Arc::default() }
    }

    /// Reads each second until `tasks` are told to stop.
    pub async fn keep(self, tasks: Tasks) {
        loop {
            self.read();
            tokio::select! {
                () = tokio::time::sleep(READING_INTERVAL) => {}
                () = tasks.stopping() => return,
            }
        }
    }

    /// How things stand, and how they went.
    #[must_use]
    pub fn summary(&self) -> RecentStats {
        let latest = Reading { at: Instant::now(), sample: self.metrics.sample() };
        let readings = self.lock();
        let before = |span_s: u64| {
            let span = Duration::from_secs(span_s);
            readings.iter().rev().find(|reading| latest.at.duration_since(reading.at) >= span).or(readings.front())
        };
        let rate = |span_s: u64| before(span_s).map_or(0.0, |before| per_s(before, &latest));
        let each: Vec<f64> =
            readings.iter().zip(readings.iter().skip(1)).map(|(before, after)| per_s(before, after)).collect();
        RecentStats {
            events_per_s_10: rate(10),
            events_per_s_60: rate(60),
            events_each_s: each[each.len().saturating_sub(CURVE_S)..].to_vec(),
            pages_waiting: self.metrics.pages_waiting(),
            queues: self.metrics.queues(),
            dead_lettered: self.metrics.dead_letters(),
            arrival_to_page: before(WINDOW_S).map_or_else(Quantiles::default, |before| quantiles(before, &latest)),
        }
    }

    fn read(&self) {
        let reading = Reading { at: Instant::now(), sample: self.metrics.sample() };
        let mut readings = self.lock();
        if readings.len() >= READINGS_MAX {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Reading>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn per_s(before: &Reading, after: &Reading) -> f64 {
    let span_s = after.at.duration_since(before.at).as_secs_f64();
    if span_s > 0.0 { as_f64(after.sample.events - before.sample.events) / span_s } else { 0.0 }
}

fn quantiles(before: &Reading, after: &Reading) -> Quantiles {
    let counts: Vec<u64> = after.sample.arrivals.iter().zip(before.sample.arrivals).map(|(a, b)| a - b).collect();
    Quantiles {
        p50_ms: quantile_ms(&counts, 0.5),
        p99_ms: quantile_ms(&counts, 0.99),
        pages: counts.last().copied().unwrap_or(0),
        window_s: after.at.duration_since(before.at).as_secs(),
    }
}

/// Of cumulative counts. Linear within the bucket; what is beyond the last bound counts as that bound.
fn quantile_ms(counts: &[u64], quantile: f64) -> Option<f64> {
    let wanted = as_f64(*counts.last().filter(|all| **all > 0)?) * quantile;
    let bucket = counts.iter().position(|count| as_f64(*count) >= wanted)?;
    let Some(upper) = SECONDS.get(bucket) else { return SECONDS.last().map(|last| last * 1000.0) };
    let (lower, below) = match bucket.checked_sub(1) {
        Some(last) => (SECONDS[last], as_f64(counts[last])),
        None => (0.0, 0.0),
    };
    let share = (wanted - below) / (as_f64(counts[bucket]) - below);
    Some((lower + (upper - lower) * share) * 1000.0)
}

#[allow(clippy::cast_precision_loss, reason = "no node counts 2^53 events")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Transport;

    #[tokio::test(start_paused = true)]
    async fn rates_and_quantiles_are_of_what_happened_within_their_window() {
        let metrics = Metrics::new().unwrap();
        let recent = Recent::new(metrics.clone());
        metrics.events("applied", 1000);
        recent.read();
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            recent.read();
        }
        for second in 0..10 {
            metrics.events("applied", 30);
            metrics.events("stale", 10);
            metrics.update_sent(Transport::Sse, Duration::from_millis(if second == 0 { 200 } else { 2 }), None, 0);
            tokio::time::advance(Duration::from_secs(1)).await;
            recent.read();
        }
        metrics.set_queue_messages(r#"a "queue" \ more"#, 7);
        let stats = recent.summary();
        assert_eq!((stats.events_per_s_10, stats.events_per_s_60.round()), (40.0, 13.0));
        assert_eq!((stats.events_each_s.len(), stats.events_each_s.last()), (30, Some(&40.0)));
        assert_eq!(stats.arrival_to_page.pages, 10);
        let (p50, p99) = (stats.arrival_to_page.p50_ms.unwrap(), stats.arrival_to_page.p99_ms.unwrap());
        assert!((1.0..2.5).contains(&p50) && (100.0..250.0).contains(&p99), "{p50} {p99}");
        assert_eq!(stats.queues.get(r#"a "queue" \ more"#), Some(&7));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_the_window_takes() {
        let recent = Recent::new(Metrics::new().unwrap());
        for _ in 0..400 {
            recent.read();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(recent.lock().len(), READINGS_MAX);
        assert_eq!(recent.summary().arrival_to_page, Quantiles { window_s: WINDOW_S, ..Quantiles::default() });
    }
}
