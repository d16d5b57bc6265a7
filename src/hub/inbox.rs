//! What waits for one page: a slot an order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Update;
use crate::payment::Key;

/// The slots of one connection. Holds at most one update an order, always the newest.
#[derive(Debug, Default)]
pub struct Inbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Slot>,
    interrupted: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    /// The last version that the page was given.
    sent_version: u64,
    update: Option<Arc<Update>>,
}

impl Inbox {
    /// An inbox without slots.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn open(&self, key: Key) -> bool {
        let mut inner = self.lock();
        if inner.slots.iter().any(|slot| slot.key == key) {
            return false;
        }
        if inner.slots.is_empty() {
            // One is usual, and a list that grows by itself begins with room for four.
            inner.slots.reserve_exact(1);
        }
        inner.slots.push(Slot { key, sent_version: 0, update: None });
        true
    }

    pub(super) fn close(&self, key: &Key) {
        self.lock().slots.retain(|slot| slot.key != *key);
    }

    /// Puts an update into its slot, if it is newer than what is there and than what the page was given.
    pub(super) fn put(&self, update: &Arc<Update>) {
        let waker = {
            let mut inner = self.lock();
            let Some(slot) = inner.slots.iter_mut().find(|slot| slot.key == update.payment.key) else {
                return;
            };
            let held = slot.update.as_ref().map_or(slot.sent_version, |held| held.payment.version);
            if update.payment.version <= held {
                return;
            }
            slot.update = Some(Arc::clone(update));
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes the version that the page was given by other means (a snapshot), so that it is not given again.
    pub fn mark_sent(&self, key: &Key, version: u64) {
        if let Some(slot) = self.lock().slots.iter_mut().find(|slot| slot.key == *key) {
            slot.sent_version = slot.sent_version.max(version);
            if slot.update.as_ref().is_some_and(|held| held.payment.version <= slot.sent_version) {
                slot.update = None;
            }
        }
    }

    /// Wakes the page without an update.
    pub(super) fn interrupt(&self) {
        let waker = {
            let mut inner = self.lock();
            inner.interrupted = true;
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next update that the page was not given yet. Not set where the page was interrupted. One task at a time may
    /// wait.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Arc<Update>>> {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.interrupted) {
            return Poll::Ready(None);
        }
        for slot in &mut inner.slots {
            if let Some(update) = slot.update.take() {
                slot.sent_version = update.payment.version;
                return Poll::Ready(Some(update));
            }
        }
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            inner.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// As [`Inbox::poll_next`].
    pub async fn next(&self) -> Option<Arc<Update>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can leave the slots half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
