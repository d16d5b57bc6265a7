//! What is left over between one batch of notes and the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::payment::Key;

/// Orders that are looked at with the next notes, since the database failed meanwhile.
const UNLOOKED_MAX: usize = 4096;

/// Shared by all that records.
#[derive(Default)]
pub(super) struct Leftover {
    /// Transactions that were waited for in vain: of others, or left behind by somebody.
    long_writers: Mutex<Vec<i64>>,
    unlooked: Mutex<Vec<(Key, i64)>>,
}

impl Leftover {
    /// Orders that [`look_again`](super::record::look_again) did not come to.
    pub(super) fn keep(&self, mut unlooked: Vec<(Key, i64)>) {
        unlooked.truncate(UNLOOKED_MAX);
        *self.unlooked.lock().unwrap_or_else(PoisonError::into_inner) = unlooked;
    }

    pub(super) fn take(&self) -> Vec<(Key, i64)> {
        std::mem::take(&mut self.unlooked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn long_writers(&self) -> MutexGuard<'_, Vec<i64>> {
        self.long_writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
