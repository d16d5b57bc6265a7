//! When pages that are sent away shall come back: not all at once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::runtime::Tasks;

/// The soonest, and the least span from there on: one page alone is back in about a second.
const SOONEST_MS: u64 = 250;
const SPAN_MS_MIN: u64 = 1_750;
/// Nobody waits longer for a result that may be there.
const LATEST_MS: u64 = 60_000;

/// Draws the times. Clones share the number of pages.
#[derive(Clone, Debug)]
pub struct ReconnectPacing {
    tasks: Tasks,
    pages_per_s_max: u32,
    /// How many there were when the node began to drain: the last of them wait in the same crowd as the first.
    at_drain: Arc<OnceLock<usize>>,
}

impl ReconnectPacing {
    /// `tasks` are the connections.
    #[must_use]
    pub fn new(tasks: Tasks, pages_per_s_max: u32) -> Self {
        Self { tasks, pages_per_s_max, at_drain: Arc::default() }
    }

    /// How long one page shall wait.
    pub(crate) fn after_ms(&self) -> u64 {
        let pages = match self.tasks.is_stopping() {
            true => *self.at_drain.get_or_init(|| self.tasks.count()),
            false => self.tasks.count(),
        };
        let latest_ms = SOONEST_MS.saturating_add(span_ms(pages, self.pages_per_s_max)).min(LATEST_MS);
        rand::random_range(SOONEST_MS..latest_ms)
    }

    /// The same in whole seconds, for `Retry-After`.
    pub(crate) fn after_s(&self) -> u64 {
        self.after_ms().div_ceil(1000)
    }
}

fn span_ms(pages: usize, pages_per_s_max: u32) -> u64 {
    let pages = u64::try_from(pages).unwrap_or(u64::MAX);
    (pages.saturating_mul(1000) / u64::from(pages_per_s_max.max(1))).max(SPAN_MS_MIN)
}

/// A time within the drain time, drawn anew for each page. The last fifth is left for closing them.
pub(crate) fn drain_delay(drain: Duration) -> Duration {
    drain.mul_f64(rand::random_range(0.0..0.8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_grows_with_the_pages_and_has_a_least_and_a_most() {
        assert_eq!(span_ms(1, 1000), SPAN_MS_MIN);
        assert_eq!(span_ms(5_000, 1000), 5_000);
        let crowd = ReconnectPacing {
            at_drain: Arc::new(OnceLock::from(1_000_000)),
            ..ReconnectPacing::new(Tasks::new(), 1000)
        };
        crowd.tasks.stop();
        assert!((0..1000).map(|_| crowd.after_ms()).all(|ms| (SOONEST_MS..LATEST_MS).contains(&ms)));
    }

    #[test]
    fn five_thousand_pages_come_back_at_about_the_rate_that_is_set() {
        let crowd =
            ReconnectPacing { at_drain: Arc::new(OnceLock::from(5_000)), ..ReconnectPacing::new(Tasks::new(), 1000) };
        crowd.tasks.stop();
        let mut per_second = [0_u32; 7];
        for _ in 0..5_000 {
            per_second[usize::try_from(crowd.after_ms() / 1000).unwrap()] += 1;
        }
        // A thousand are expected; five standard deviations are about 140.
        assert!(per_second.iter().all(|pages| *pages < 1_200), "{per_second:?}");
        assert!(per_second[1..5].iter().all(|pages| *pages > 800), "{per_second:?}");
    }
}
