//! Remembers what was noted within the last minute, so that a page that polls does not fill its order's timeline.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What is remembered at once: 32 KiB. Two that share a slot are noted more often, and nothing worse.
const SLOTS: usize = 4096;
const SECONDS: u64 = 60;
/// The bits of a slot that hold the time; the others are of the hash.
const TIME: u64 = 0xffff_ffff;

/// Shared by all requests. Never waits.
#[derive(Debug)]
pub(super) struct SeenRecently {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    began: Instant,
}

impl Default for SeenRecently {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { slots, hasher: RandomState::new(), began: Instant::now() }
    }
}

impl SeenRecently {
    /// Whether it was not asked of this within the last minute. It is remembered from here on.
    pub(super) fn is_new(&self, what: &impl Hash) -> bool {
        // From 1, so that a slot that was never used is old.
        self.is_new_at(what, self.began.elapsed().as_secs() + SECONDS)
    }

    fn is_new_at(&self, what: &impl Hash, now_s: u64) -> bool {
        let hash = self.hasher.hash_one(what);
        let Some(slot) = usize::try_from(hash % (SLOTS as u64)).ok().and_then(|slot| self.slots.get(slot)) else {
            return true;
        };
        let held = slot.load(Ordering::Relaxed);
        let is_known = held & !TIME == hash & !TIME && now_s.saturating_sub(held & TIME) < SECONDS;
        if !is_known {
            slot.store(hash & !TIME | now_s & TIME, Ordering::Relaxed);
        }
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_for_a_minute() {
        let recent = SeenRecently::default();
        assert!(recent.is_new(&"a") && !recent.is_new(&"a"));
        let recent = SeenRecently::default();
        assert!(recent.is_new_at(&"a", 60) && recent.is_new_at(&"b", 60));
        assert!(!recent.is_new_at(&"a", 119));
        assert!(recent.is_new_at(&"a", 120) && !recent.is_new_at(&"a", 121));
    }
}
