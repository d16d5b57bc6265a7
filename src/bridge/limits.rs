//! Bounds on what one page may hold or send.

mod address;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::ticket::Fingerprint;
pub(super) use address::{AddressLimiter, AddressPlace, TooMany};

/// How many waiting pages each ticket holds. Clones share the count.
#[derive(Clone, Debug)]
pub(super) struct TicketLimiter {
    held: Arc<Mutex<HashMap<Fingerprint, usize>>>,
    each_max: usize,
}

/// One place of a ticket, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    limiter: TicketLimiter,
    ticket: Fingerprint,
}

impl TicketLimiter {
    pub(super) fn new(each_max: usize) -> Self {
        Self { held: Arc::default(), each_max }
    }

    /// Not set if the ticket holds all it may.
    pub(super) fn take(&self, ticket: Fingerprint) -> Option<Place> {
        let mut held = self.lock();
        let count = held.entry(ticket).or_insert(0);
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Place { limiter: self.clone(), ticket })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fingerprint, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn ticket(&self) -> Fingerprint {
        self.ticket
    }

    pub(super) fn is_of(&self, ticket: Fingerprint) -> bool {
        self.ticket == ticket
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.limiter.lock();
        if let Some(count) = held.get_mut(&self.ticket) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.ticket);
            }
        }
    }
}

/// A token bucket: `burst` at once, then `per_s` each second.
#[derive(Debug)]
pub(super) struct Bucket {
    burst: f64,
    per_s: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(burst: u32, per_s: u32, now: Instant) -> Self {
        Self { burst: f64::from(burst), per_s: f64::from(per_s), left: f64::from(burst), at: now }
    }

    /// False where one more is too many.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.left = self.left_at(now);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    /// True where one more would be too many.
    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.left_at(now) < 1.0
    }

    /// True where it is as it was made.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.left_at(now) >= self.burst
    }

    fn left_at(&self, now: Instant) -> f64 {
        (self.left + now.duration_since(self.at).as_secs_f64() * self.per_s).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ticket_holds_no_more_than_it_may_and_leaves_nothing_behind() {
        let limiter = TicketLimiter::new(2);
        let (a, b) = (limiter.take([1; 16]).unwrap(), limiter.take([1; 16]).unwrap());
        assert!(limiter.take([1; 16]).is_none());
        assert!(limiter.take([2; 16]).is_some());
        drop(a);
        assert!(limiter.take([1; 16]).is_some());
        drop(b);
        assert!(limiter.lock().is_empty());
    }

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 2, start);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 2);
    }
}
