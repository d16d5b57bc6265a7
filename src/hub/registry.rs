//! From an order to the inboxes of the pages that wait for it.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Inbox, Update};
use crate::payment::Key;

const SHARDS: usize = 64;

type Shard = HashMap<Key, Vec<Arc<Inbox>>>;

/// All subscriptions of this node.
#[derive(Debug)]
pub struct Hub {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

/// One page's interest in one order. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
    key: Key,
}

impl Hub {
    /// A hub without subscriptions.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() })
    }

    /// Registers `inbox` for `key`. From here on no update is missed. Not set if the inbox has that order already.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, inbox: &Arc<Inbox>, key: &Key) -> Option<Subscription> {
        if !inbox.open(key.clone()) {
            return None;
        }
        self.shard(key).entry(key.clone()).or_insert_with(|| Vec::with_capacity(1)).push(Arc::clone(inbox));
        Some(Subscription { hub: Arc::clone(self), inbox: Arc::clone(inbox), key: key.clone() })
    }

    /// Gives `update` to every page that waits for its order, and answers how many do.
    pub fn publish(&self, update: &Arc<Update>) -> usize {
        let key = &update.payment.key;
        // A clone of the list, so that waking never happens under the lock that subscribing needs.
        let Some(inboxes) = self.shard(key).get(key).cloned() else {
            return 0;
        };
        inboxes.iter().for_each(|inbox| inbox.put(update));
        inboxes.len()
    }

    /// Makes every page that waits for an order look whether it may stay.
    pub fn interrupt(&self, key: &Key) {
        let inboxes = self.shard(key).get(key).cloned();
        inboxes.into_iter().flatten().for_each(|inbox| inbox.interrupt());
    }

    /// The orders that somebody waits for.
    #[must_use]
    pub fn watched(&self) -> Vec<Key> {
        self.shards.iter().flat_map(|shard| lock(shard).keys().cloned().collect::<Vec<_>>()).collect()
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let hash = usize::try_from(self.hasher.hash_one(key) % (SHARDS as u64)).unwrap_or(0);
        lock(&self.shards[hash])
    }

    fn unsubscribe(&self, inbox: &Arc<Inbox>, key: &Key) {
        inbox.close(key);
        if let Entry::Occupied(mut waiting) = self.shard(key).entry(key.clone()) {
            waiting.get_mut().retain(|other| !Arc::ptr_eq(other, inbox));
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
    }
}

impl Subscription {
    /// The order that it is for.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(&self.inbox, &self.key);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing that runs under the lock can leave the map half changed.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::payment::{Event, EventId, MerchantId, OrderId, Payment, State, Status, Timestamp};

    fn key(order: &str) -> Key {
        Key::new(MerchantId::new("m").unwrap(), OrderId::new(order).unwrap())
    }

    fn update(order: &str, version: u64) -> Arc<Update> {
        let at = Timestamp::parse("2026-01-31T00:30:00Z").unwrap();
        let event = Event::new(key(order), EventId::new("e").unwrap(), Status::Pending, at);
        Update::stored(Arc::new(Payment { version, ..State::first(event).payment() }))
    }

    fn next(inbox: &Inbox) -> Option<u64> {
        match inbox.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(update) => Some(update.map_or(0, |update| update.payment.version)),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_page_gets_the_newest_version_once_and_never_an_older_one() {
        let (hub, inbox) = (Hub::new(), Inbox::new());
        let _subscription = hub.subscribe(&inbox, &key("a")).unwrap();
        for version in [1, 3, 2] {
            assert_eq!(hub.publish(&update("a", version)), 1);
        }
        assert_eq!((next(&inbox), next(&inbox)), (Some(3), None));
        hub.publish(&update("a", 3));
        assert_eq!(next(&inbox), None);
        hub.publish(&update("a", 4));
        inbox.told(&key("a"), 4);
        assert_eq!(next(&inbox), None);
    }

    #[test]
    fn who_waits_for_an_order_is_interrupted_once_and_loses_no_update() {
        let (hub, inbox, other) = (Hub::new(), Inbox::new(), Inbox::new());
        let _subscriptions = (hub.subscribe(&inbox, &key("a")).unwrap(), hub.subscribe(&other, &key("b")).unwrap());
        hub.publish(&update("a", 1));
        hub.interrupt(&key("a"));
        assert_eq!((next(&inbox), next(&inbox), next(&inbox)), (Some(0), Some(1), None));
        assert_eq!(next(&other), None);
    }

    #[test]
    fn a_dropped_subscription_leaves_nothing_behind() {
        let (hub, inbox) = (Hub::new(), Inbox::new());
        let first = hub.subscribe(&inbox, &key("a")).unwrap();
        assert!(hub.subscribe(&inbox, &key("a")).is_none());
        assert_eq!(hub.watched(), [key("a")]);
        drop(first);
        assert!(hub.watched().is_empty());
        assert_eq!(hub.publish(&update("a", 1)), 0);
        assert!(hub.subscribe(&inbox, &key("a")).is_some());
    }
}
