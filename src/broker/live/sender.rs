//! What waits to be sent to the other nodes. Whoever hands it over never waits: where too much is here, the oldest is
//! dropped, and the numbers of the messages say so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config;
use crate::hub::Update;
use crate::payment::Key;
use crate::store::Revocation;
use crate::telemetry::Metrics;

/// Something that this node has made durable.
#[derive(Debug)]
pub(super) enum Change {
    Payment(Arc<Update>),
    /// With the orders whose pages have to look whether it concerns them.
    Revocation(Revocation, Vec<Key>),
}

/// Takes changes for the other nodes. Cheap to clone.
#[derive(Clone)]
pub struct LiveSender {
    inner: Arc<Inner>,
}

struct Inner {
    run: u64,
    changes_max: usize,
    metrics: Metrics,
    waiting: Mutex<Waiting>,
    ready: Notify,
    filling: Notify,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Change>,
    /// Of the last message.
    sequence: u64,
    /// Something was dropped: the next message's number leaves one out.
    lost: bool,
}

impl LiveSender {
    /// Holds what it is given until a [`super::Live`] runs.
    #[must_use]
    pub fn new(live: &config::Live, metrics: Metrics) -> Self {
        let (run, changes_max) = (rand::random(), live.changes_waiting_max);
        let inner = Inner {
            run,
            changes_max,
            metrics,
            waiting: Mutex::default(),
            ready: Notify::new(),
            filling: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Payments as they are stored, with when they arrived here.
    pub fn stored(&self, updates: Vec<Arc<Update>>) {
        self.push(updates.into_iter().map(Change::Payment));
    }

    /// A revocation that is stored, and the orders whose pages it may concern.
    pub fn revoked(&self, revocation: Revocation, keys: Vec<Key>) {
        self.push([Change::Revocation(revocation, keys)]);
    }

    fn push(&self, changes: impl IntoIterator<Item = Change>) {
        let mut waiting = self.lock();
        waiting.changes.extend(changes);
        let too_many = waiting.changes.len().saturating_sub(self.inner.changes_max);
        if too_many > 0 {
            waiting.changes.drain(..too_many);
            waiting.lost = true;
            self.inner.metrics.live_dropped(too_many);
        }
        let changes = waiting.changes.len();
        drop(waiting);
        if changes > 0 {
            self.inner.ready.notify_one();
        }
        if changes > self.inner.changes_max / 2 {
            self.inner.filling.notify_one();
        }
    }

    /// Marks the messages of this node, since it has started, apart from all others.
    pub(super) fn run(&self) -> u64 {
        self.inner.run
    }

    /// Ends when something waits.
    pub(super) async fn ready(&self) {
        self.inner.ready.notified().await;
    }

    /// Ends when half of what may wait does, or did since this was asked last.
    pub(super) async fn filling(&self) {
        self.inner.filling.notified().await;
    }

    /// The changes that have waited longest. They are made into text without the lock, for which the consumer would wait.
    pub(super) fn take(&self, changes_max: usize) -> VecDeque<Change> {
        let mut waiting = self.lock();
        let changes = waiting.changes.len().min(changes_max);
        waiting.changes.drain(..changes).collect()
    }

    /// The number of the next message, which is 1 more than that of the last one if nothing was lost since.
    pub(super) fn next_sequence(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.sequence += if std::mem::take(&mut waiting.lost) { 2 } else { 1 };
        waiting.sequence
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that runs under the lock can leave the queue half changed.
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LiveSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSender").field("changes_waiting", &self.lock().changes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{MerchantId, OrderId};
    use crate::store::Revoked;

    fn revocation(order: &str) -> Revocation {
        let key = Key::new(MerchantId::new("m").unwrap(), OrderId::new(order).unwrap());
        Revocation { revoked: Revoked::Order(key), until_s: 9 }
    }

    #[test]
    fn the_oldest_is_dropped_and_the_next_number_says_so() {
        let live = config::Live { changes_waiting_max: 2, ..config::load(None).unwrap().live };
        let sender = LiveSender::new(&live, Metrics::new().unwrap());
        assert_eq!((sender.next_sequence(), sender.next_sequence()), (1, 2));
        for order in ["a", "b", "c"] {
            sender.revoked(revocation(order), Vec::new());
        }
        assert_eq!(sender.take(9).len(), 2);
        assert_eq!((sender.next_sequence(), sender.next_sequence()), (4, 5));
        assert!(sender.take(9).is_empty());
    }
}
