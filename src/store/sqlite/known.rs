//! What is known of the file without reading it: which orders it does not hold, and the payments last committed or read.
//!
//! Most pages begin to wait before the first event of their order, and most of what is asked for again was asked for a
//! moment ago. Both are answered here, by the caller's own thread. The file stays the truth: an answer is given only
//! while the thread that writes has just seen that the file is there and that nobody else has written to it. Everything
//! else is read.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::recent::Recent;
use super::stored_keys::StoredKeys;
use crate::payment::{Key, Payment};

/// How long nobody has to have looked at the file for an answer to be trusted.
pub(super) const TRUSTED: Duration = Duration::from_millis(20);

/// Shared by all threads of a store.
#[derive(Debug)]
pub(super) struct Known {
    hasher: RandomState,
    stored: StoredKeys,
    recent: Recent,
    /// Every key of the file is in `stored`.
    complete: AtomicBool,
    began: Instant,
    /// When the writer last saw that the file is there and as it was left, microseconds after `began`.
    seen_us: AtomicU64,
    /// The writer was asked to look, and has not yet.
    is_asked: AtomicBool,
    search: Mutex<Search>,
    wanted: Condvar,
}

#[derive(Debug)]
struct Search {
    /// Counts the files that were to be looked through.
    files: u64,
    is_wanted: bool,
    is_over: bool,
}

/// One look for a payment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    hash: u64,
    commits: u64,
}

/// What is known of a payment.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is not there, or it is this one.
    Known(Option<Arc<Payment>>),
    /// It has to be read.
    Unknown(Look),
}

/// The writer is asked to look at the file.
#[derive(Debug)]
pub(super) struct Asked(Arc<Known>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.is_asked.store(false, Ordering::Release);
    }
}

impl Known {
    /// Nothing is known, until the file was looked through.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            hasher: RandomState::new(),
            stored: StoredKeys::default(),
            recent: Recent::new(),
            complete: AtomicBool::new(false),
            began: Instant::now(),
            seen_us: AtomicU64::new(0),
            is_asked: AtomicBool::new(false),
            search: Mutex::new(Search { files: 1, is_wanted: true, is_over: false }),
            wanted: Condvar::new(),
        })
    }

    /// What is known of the payment of `key`.
    pub(super) fn look(&self, key: &Key) -> Answer {
        let (hash, now) = (self.hasher.hash_one(key), Instant::now());
        if self.is_trusted(now) {
            if self.is_stored_nowhere(hash) {
                return Answer::Known(None);
            }
            if let Some(payment) = self.recent.get(hash, key) {
                return Answer::Known(Some(payment));
            }
        }
        Answer::Unknown(Look { hash, commits: self.recent.commits(hash) })
    }

    /// Takes what that look found in the file.
    pub(super) fn read(&self, look: Look, payment: &Arc<Payment>) {
        self.recent.read(look.hash, look.commits, payment);
    }

    /// True only of an order that the file does not hold. For the thread that writes, which knows that it is its file.
    pub(super) fn is_absent(&self, key: &Key) -> bool {
        self.is_stored_nowhere(self.hasher.hash_one(key))
    }

    /// In this order: a key that the search inserts in between would be missed by the other.
    fn is_stored_nowhere(&self, hash: u64) -> bool {
        self.complete.load(Ordering::Acquire) && !self.stored.may_have(hash)
    }

    /// The file holds an order, or is about to.
    pub(super) fn insert(&self, key: &Key) {
        self.stored.insert(self.hasher.hash_one(key));
    }

    /// These were committed.
    pub(super) fn committed(&self, payments: Vec<Arc<Payment>>) {
        for payment in payments {
            self.recent.committed(self.hasher.hash_one(&payment.key), payment);
        }
    }

    /// Payments were removed, or what became of a transaction is not known.
    pub(super) fn forget(&self) {
        self.recent.forget();
    }

    /// For the writer: the file was there just now, and nobody else has written to it.
    pub(super) fn seen(&self) {
        self.seen_us.store(self.now_us(), Ordering::Release);
    }

    /// Whether the writer has to be asked to look at the file: once for all who read until it has, or cannot. It is asked
    /// for as long as the answer lives.
    pub(super) fn ask(self: &Arc<Self>) -> Option<Asked> {
        let seen_us = self.seen_us.load(Ordering::Acquire);
        let is_due = u128::from(self.now_us().saturating_sub(seen_us)) >= TRUSTED.as_micros() / 2;
        (is_due && !self.is_asked.swap(true, Ordering::AcqRel)).then(|| Asked(Arc::clone(self)))
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The file may be another one, or somebody else has written to it. What is known of it is forgotten, and it is looked through again.
    pub(super) fn moved(&self) {
        let mut search = self.search();
        search.files += 1;
        search.is_wanted = true;
        self.complete.store(false, Ordering::Release);
        self.seen_us.store(0, Ordering::Release);
        drop(search);
        self.recent.forget();
        self.wanted.notify_all();
    }

    /// Waits until the file is to be looked through, and answers which that is. Not set at the end.
    pub(super) fn wait_for_search(&self) -> Option<u64> {
        let mut search = self.search();
        while !search.is_over && !search.is_wanted {
            search = self.wanted.wait(search).unwrap_or_else(PoisonError::into_inner);
        }
        search.is_wanted = false;
        (!search.is_over).then_some(search.files)
    }

    /// Rests, and answers whether to go on looking through that file.
    pub(super) fn rest(&self, file: u64, time: Duration) -> bool {
        let search = self.search();
        let goes_on = |search: &Search| !search.is_over && search.files == file;
        let ended = self.wanted.wait_timeout_while(search, time, |search| goes_on(search));
        let (search, _) = ended.unwrap_or_else(PoisonError::into_inner);
        goes_on(&search)
    }

    /// Every key of that file was inserted.
    pub(super) fn searched(&self, file: u64) {
        let search = self.search();
        if search.files == file {
            self.complete.store(true, Ordering::Release);
        }
    }

    /// Nothing more is answered or looked for.
    pub(super) fn end(&self) {
        self.moved();
        self.search().is_over = true;
        self.wanted.notify_all();
    }

    fn is_trusted(&self, now: Instant) -> bool {
        let seen = Duration::from_micros(self.seen_us.load(Ordering::Acquire));
        !seen.is_zero() && now.saturating_duration_since(self.began).saturating_sub(seen) < TRUSTED
    }

    fn search(&self) -> MutexGuard<'_, Search> {
        // Nothing that runs under the lock can leave it half changed.
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
