//! A set of keys that errs to one side: what it does not have is not there, and what it has may be.
//!
//! Bloom filters, each twice as large as the one before it: the next one is begun when the last is full. The last of all
//! is filled further, and errs more often.

use std::array;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// 32 MiB in all, for 16 million keys at [`BITS_A_KEY`].
const FILTERS: usize = 11;
const FIRST_WORDS: usize = 2 * 1024;
const BITS_A_KEY: usize = 16;
/// Bits that a key sets: with these, one key in a thousand is taken for one that is there.
const PROBES: usize = 5;

/// Takes and looks up hashes of keys, from any thread.
#[derive(Debug, Default)]
pub(super) struct StoredKeys {
    filters: [OnceLock<Filter>; FILTERS],
    /// The one that is being filled.
    last: AtomicUsize,
}

#[derive(Debug)]
struct Filter {
    words: Box<[AtomicU64]>,
    keys: AtomicUsize,
}

impl StoredKeys {
    /// Whether a key may have been inserted. False only of one that was not.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        self.filters.iter().map_while(OnceLock::get).any(|filter| filter.has(hash))
    }

    /// From here on the key is had.
    pub(super) fn insert(&self, hash: u64) {
        if self.may_have(hash) {
            return;
        }
        let at = self.last.load(Ordering::Relaxed).min(FILTERS - 1);
        let filter = self.filters[at].get_or_init(|| Filter::of_words(FIRST_WORDS << at));
        filter.insert(hash);
        if filter.is_full() && at + 1 < FILTERS {
            self.last.store(at + 1, Ordering::Relaxed);
        }
    }
}

impl Filter {
    fn of_words(words: usize) -> Self {
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), keys: AtomicUsize::new(0) }
    }

    fn has(&self, hash: u64) -> bool {
        self.bits(hash).into_iter().all(|(word, bit)| self.words[word].load(Ordering::Acquire) & bit != 0)
    }

    fn insert(&self, hash: u64) {
        for (word, bit) in self.bits(hash) {
            self.words[word].fetch_or(bit, Ordering::Release);
        }
        self.keys.fetch_add(1, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.keys.load(Ordering::Relaxed) >= self.words.len() * 64 / BITS_A_KEY
    }

    /// Words and bits of a key, by two halves of its hash.
    fn bits(&self, hash: u64) -> [(usize, u64); PROBES] {
        let bits = self.words.len() as u64 * 64;
        let step = hash.rotate_left(32) | 1;
        array::from_fn(|probe| {
            let bit = hash.wrapping_add(step.wrapping_mul(probe as u64)) % bits;
            (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn it_has_all_that_was_inserted_and_little_else() {
        let (keys, hasher) = (StoredKeys::default(), RandomState::new());
        let inserted = 100_000_u32;
        (0..inserted).for_each(|n| keys.insert(hasher.hash_one(n)));
        assert!((0..inserted).all(|n| keys.may_have(hasher.hash_one(n))));
        let wrong = (inserted..2 * inserted).filter(|n| keys.may_have(hasher.hash_one(n))).count();
        assert!(wrong < 2_000, "{wrong} of {inserted} are taken for inserted");
        let bytes: usize = keys.filters.iter().filter_map(OnceLock::get).map(|filter| filter.words.len() * 8).sum();
        assert!(bytes <= 512 * 1024, "{bytes} bytes");
    }
}
