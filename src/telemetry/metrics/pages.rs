//! What is counted of pages: how many wait, how soon each is updated, what it acknowledges and what is refused.

use std::time::Duration;

use metrics::Label;

use super::Metrics;
use super::handles::{GaugeGuard, PageHandles, Transport};
use super::registry::counter;
use crate::telemetry::names;

/// From the publishing of a message to a page. One longer span that somebody made up would stay in a histogram's sum for
/// as long as the process lives.
const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);

impl Metrics {
    /// A page waits, until the answer is dropped.
    pub fn page_waits(&self, transport: Transport) -> GaugeGuard {
        GaugeGuard::new(&self.of(transport).waiting)
    }

    /// A connection is open, until the answer is dropped.
    pub fn connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.inner.connections)
    }

    /// A page was given an update that came `since_arrival` ago and was published at that time, if the publisher said.
    /// Both times come from others, and one that cannot be true is left out.
    pub fn update_sent(
        &self,
        transport: Transport,
        since_arrival: Duration,
        published_at_ms: Option<i64>,
        now_ms: i64,
    ) {
        let metrics = self.of(transport);
        if since_arrival <= SPAN_MAX {
            metrics.arrival_to_page.record(since_arrival.as_secs_f64());
            self.inner.recent.arrived(since_arrival.as_secs_f64());
        }
        if let Some(since) = published_at_ms.and_then(|at_ms| since(at_ms, now_ms)) {
            metrics.publish_to_page.record(since.as_secs_f64());
        }
    }

    /// A page has shown a version.
    pub fn page_ack(&self, transport: Transport) {
        self.of(transport).acks.increment(1);
    }

    /// One refused request or frame, by its problem code.
    pub fn refused(&self, code: &'static str) {
        self.count(names::REFUSED, "code", code, 1);
    }

    /// One ticket that was found good.
    pub fn ticket_accepted(&self) {
        self.inner.tickets_accepted.increment(1);
    }

    /// One refused ticket.
    pub fn ticket_refused(&self, reason: &'static str) {
        self.count(names::TICKETS_REFUSED, "reason", reason, 1);
    }

    /// One minted ticket.
    pub fn ticket_minted(&self) {
        counter(&self.inner.recorder, names::TICKETS_MINTED, vec![]).increment(1);
    }

    /// One notification of a payment provider.
    pub fn callback(&self, provider: &'static str, outcome: &'static str) {
        let labels = vec![Label::new("provider", provider), Label::new("outcome", outcome)];
        counter(&self.inner.recorder, names::CALLBACKS, labels).increment(1);
    }

    fn of(&self, transport: Transport) -> &PageHandles {
        &self.inner.pages[transport as usize]
    }
}

/// A clock that is ahead by less is taken as one that is right.
fn since(at_ms: i64, now_ms: i64) -> Option<Duration> {
    let span = Duration::from_millis(now_ms.abs_diff(at_ms));
    let is_over = at_ms <= now_ms;
    (span <= SPAN_MAX).then_some(if is_over { span } else { Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_true_is_in_no_histogram() {
        const NOW_MS: i64 = 1_790_000_000_000;
        let metrics = Metrics::new().unwrap();
        let day_ms = 24 * 3_600_000;
        for at_ms in
            [i64::MIN, i64::MIN + 1, -1, 0, 1, NOW_MS - day_ms - 1, NOW_MS + day_ms + 1, i64::MAX - 1, i64::MAX]
        {
            metrics.update_sent(Transport::Sse, Duration::MAX, Some(at_ms), NOW_MS);
            metrics.update_sent(Transport::Sse, Duration::ZERO, Some(at_ms), i64::MIN);
            metrics.update_sent(Transport::Sse, Duration::ZERO, Some(at_ms), i64::MAX - 2);
        }
        let sum = |metrics: &Metrics, name: &str| -> f64 {
            let text = metrics.render();
            let line = format!(r#"payment_notifier_{name}_seconds_sum{{transport="sse"}} "#);
            text.lines().find_map(|l| l.strip_prefix(&line)?.parse().ok()).unwrap()
        };
        // Near the ends of what a clock can show, two such times may be close to each other.
        assert!(sum(&metrics, "publish_to_page") < 0.1, "{}", metrics.render());
        assert!(sum(&metrics, "arrival_to_page") < 0.1);
        metrics.update_sent(Transport::Sse, Duration::from_secs(2), Some(NOW_MS - 3000), NOW_MS);
        metrics.update_sent(Transport::Sse, Duration::ZERO, Some(NOW_MS + 3000), NOW_MS);
        assert!((sum(&metrics, "publish_to_page") - 3.0).abs() < 0.1);
        assert!((sum(&metrics, "arrival_to_page") - 2.0).abs() < 0.1);
    }
}
