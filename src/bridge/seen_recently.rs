//! Remembers what was told within the last minute, so that a page that polls does not fill its order's story.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What is remembered at once: 32 KiB. Two that share a place are told more often, and nothing worse.
const PLACES: usize = 4096;
const SECONDS: u64 = 60;
/// The bits of a place that hold the time; the others tell who has it.
const TIME: u64 = 0xffff_ffff;

/// Shared by all requests. Never waits.
#[derive(Debug)]
pub(super) struct SeenRecently {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
    began: Instant,
}

impl Default for SeenRecently {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { places, hasher: RandomState::new(), began: Instant::now() }
    }
}

impl SeenRecently {
    /// Whether it was not asked of this within the last minute. It is remembered from here on.
    pub(super) fn is_new(&self, what: &impl Hash) -> bool {
        // From 1, so that a place that was never used is old.
        self.is_new_at(what, self.began.elapsed().as_secs() + SECONDS)
    }

    fn is_new_at(&self, what: &impl Hash, now_s: u64) -> bool {
        let hash = self.hasher.hash_one(what);
        let Some(place) = usize::try_from(hash % (PLACES as u64)).ok().and_then(|place| self.places.get(place)) else {
            return true;
        };
        let held = place.load(Ordering::Relaxed);
        let is_known = held & !TIME == hash & !TIME && now_s.saturating_sub(held & TIME) < SECONDS;
        if !is_known {
            place.store(hash & !TIME | now_s & TIME, Ordering::Relaxed);
        }
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_known_for_a_minute() {
        let recent = SeenRecently::default();
        assert!(recent.is_new(&"a") && !recent.is_new(&"a"));
        let recent = SeenRecently::default();
        assert!(recent.is_new_at(&"a", 60) && recent.is_new_at(&"b", 60));
        assert!(!recent.is_new_at(&"a", 119));
        assert!(recent.is_new_at(&"a", 120) && !recent.is_new_at(&"a", 121));
    }
}
