//! A token bucket.

use std::time::Instant;

/// `burst` at once, then `per_s` each second.
#[derive(Debug)]
pub(crate) struct Bucket {
    burst: u32,
    per_s: u32,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(burst: u32, per_s: u32, now: Instant) -> Self {
        Self { burst, per_s, left: f64::from(burst), at: now }
    }

    /// False where one more is too many.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.left = self.left_at(now);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    /// True where one more would be too many.
    pub(crate) fn is_empty(&self, now: Instant) -> bool {
        self.left_at(now) < 1.0
    }

    /// True where it is as it was made.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.left_at(now) >= f64::from(self.burst)
    }

    fn left_at(&self, now: Instant) -> f64 {
        (self.left + now.duration_since(self.at).as_secs_f64() * f64::from(self.per_s)).min(f64::from(self.burst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 2, start);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 2);
    }
}
