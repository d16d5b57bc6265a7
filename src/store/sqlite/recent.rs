//! Payments as they were last committed or read: few, and small.
//!
//! Each key has one place, which it shares with others. What is read beside a commit is kept only if nothing was
//! committed at that place since the reading began.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::payment::{Key, Payment};

/// With [`DISPLAY_BYTES_MAX`], at most some 20 MiB.
const PLACES: u64 = 8192;
/// Of the one part of a payment that may be large.
const DISPLAY_BYTES_MAX: usize = 1024;

/// The payments, by the hashes of their keys.
#[derive(Debug)]
pub(super) struct Recent {
    places: Box<[Mutex<Place>]>,
}

#[derive(Debug, Default)]
struct Place {
    /// Counts commits.
    commits: u64,
    kept: Option<Arc<Payment>>,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Mutex::default()).collect() }
    }

    /// The payment of `key`, if it is kept.
    pub(super) fn get(&self, hash: u64, key: &Key) -> Option<Arc<Payment>> {
        self.place(hash).kept.as_ref().filter(|payment| payment.key == *key).map(Arc::clone)
    }

    /// How many commits there were at the place of a key: to be asked before it is read.
    pub(super) fn commits(&self, hash: u64) -> u64 {
        self.place(hash).commits
    }

    /// Keeps what was read, if there were no more than `commits` meanwhile.
    pub(super) fn read(&self, hash: u64, commits: u64, payment: &Arc<Payment>) {
        let mut place = self.place(hash);
        if place.commits == commits && is_small(payment) {
            place.kept = Some(Arc::clone(payment));
        }
    }

    /// Keeps what was committed.
    pub(super) fn committed(&self, hash: u64, payment: Arc<Payment>) {
        let kept = is_small(&payment).then_some(payment);
        let mut place = self.place(hash);
        place.commits += 1;
        let before = std::mem::replace(&mut place.kept, kept);
        drop(place);
        drop(before);
    }

    /// Keeps nothing of all that was committed or read until here.
    pub(super) fn forget(&self) {
        for place in &self.places {
            let mut place = lock(place);
            place.commits += 1;
            place.kept = None;
        }
    }

    fn place(&self, hash: u64) -> MutexGuard<'_, Place> {
        lock(&self.places[usize::try_from(hash % PLACES).unwrap_or(0)])
    }
}

fn is_small(payment: &Payment) -> bool {
    payment.display.as_ref().is_none_or(|display| display.as_str().len() <= DISPLAY_BYTES_MAX)
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    // Nothing that runs under the lock can leave it half changed.
    place.lock().unwrap_or_else(PoisonError::into_inner)
}
