//! Waiting longer after each failure, up to a bound.

use std::time::Duration;

use rand::RngExt;

/// Doubles from `first` to `longest`. Each wait is drawn from the upper half of its span, so that many who failed at
/// one moment do not come back at one moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`, never waits more than `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// How long to wait before the next attempt.
    #[must_use]
    pub fn wait(&mut self) -> Duration {
        let whole = self.next.min(self.longest);
        self.next = whole.saturating_mul(2).min(self.longest);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(15));
        let mut backoff = Backoff::new(first, longest);
        let waits: Vec<_> = (0..20).map(|_| backoff.wait()).collect();
        assert!(waits[0] >= first / 2 && waits[0] <= first);
        assert!(waits[8..].iter().all(|w| *w >= longest / 2 && *w <= longest));
        backoff.reset();
        assert!(backoff.wait() <= first);
    }
}
