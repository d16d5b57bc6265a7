//! From an order to the inboxes of the pages that wait for it.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::order_watch::{OrderWatch, Tick};
use super::{Inbox, Update};
use crate::payment::Key;

const SHARDS: usize = 64;

type Shard = HashMap<Key, OrderWatch>;

/// All subscriptions of this node.
#[derive(Debug)]
pub struct Hub {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    began: Instant,
    /// Orders that nobody waits for and that are remembered all the same, and how many may be.
    departed: AtomicUsize,
    departed_max: usize,
}

/// An order without a final result for which pages have waited beyond a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Which.
    pub key: Key,
    /// Which of the spans, from 1.
    pub step: u8,
    /// Seconds that it has been waited for.
    pub waited_s: u64,
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
        Self::remembering(0)
    }

    /// The same, where a page that comes back within a minute goes on waiting: for at most so many orders at once.
    /// [`Hub::overdue`] has to be asked every few seconds, or they stay.
    #[must_use]
    pub fn remembering(orders_departed_max: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            began: Instant::now(),
            departed: AtomicUsize::new(0),
            departed_max: orders_departed_max,
        })
    }

    /// Registers `inbox` for `key`. From here on no update is missed. Not set if the inbox has that order already.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, inbox: &Arc<Inbox>, key: &Key) -> Option<Subscription> {
        if !inbox.open(key.clone()) {
            return None;
        }
        let now = self.now();
        let came_back = match self.shard(key).entry(key.clone()) {
            Entry::Occupied(mut watch) => watch.get_mut().enter(Arc::clone(inbox)),
            Entry::Vacant(vacant) => {
                vacant.insert(OrderWatch::new(Arc::clone(inbox), now));
                false
            }
        };
        if came_back {
            self.departed.fetch_sub(1, Ordering::Relaxed);
        }
        Some(Subscription { hub: Arc::clone(self), inbox: Arc::clone(inbox), key: key.clone() })
    }

    /// Gives `update` to every page that waits for its order, and answers how many do.
    pub fn publish(&self, update: &Arc<Update>) -> usize {
        let key = &update.payment.key;
        let inboxes = {
            let mut shard = self.shard(key);
            let Some(watch) = shard.get_mut(key) else {
                return 0;
            };
            if update.payment.status.is_final() {
                watch.mark_final();
            }
            // A clone of the list, so that waking never happens under the lock that subscribing needs.
            watch.pages().to_vec()
        };
        inboxes.iter().for_each(|inbox| inbox.put(update));
        inboxes.len()
    }

    /// Makes every page look whether it may stay.
    pub fn interrupt_all(&self) {
        for shard in &self.shards {
            let inboxes: Vec<_> = lock(shard).values().flat_map(OrderWatch::pages).cloned().collect();
            inboxes.iter().for_each(|inbox| inbox.interrupt());
        }
    }

    /// Makes every page that waits for an order look whether it may stay.
    pub fn interrupt(&self, key: &Key) {
        let inboxes = self.shard(key).get(key).map(|watch| watch.pages().to_vec());
        inboxes.into_iter().flatten().for_each(|inbox| inbox.interrupt());
    }

    /// The orders that somebody waits for.
    #[must_use]
    pub fn watched(&self) -> Vec<Key> {
        let is_watched = |(key, watch): (&Key, &OrderWatch)| (!watch.has_departed()).then(|| key.clone());
        self.shards.iter().flat_map(|shard| lock(shard).iter().filter_map(is_watched).collect::<Vec<_>>()).collect()
    }

    /// Whether somebody waits for an order.
    #[must_use]
    pub fn is_watched(&self, key: &Key) -> bool {
        self.shard(key).get(key).is_some_and(|watch| !watch.has_departed())
    }

    /// The order has its final result: it is never overdue.
    pub fn mark_final(&self, key: &Key) {
        if let Some(watch) = self.shard(key).get_mut(key) {
            watch.mark_final();
        }
    }

    /// At most `orders_max` orders that have been waited for beyond the next of `spans_s`, which rise, in seconds. Each is
    /// given again until it is [`Hub::mark_inquired`].
    #[must_use]
    pub fn overdue(&self, spans_s: &[u64], orders_max: usize) -> Vec<Overdue> {
        let now = self.now();
        let mut overdue = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let before = shard.len();
            shard.retain(|_, watch| !watch.is_over(now));
            self.departed.fetch_sub(before - shard.len(), Ordering::Relaxed);
            let of_shard = shard.iter().filter_map(|(key, watch)| {
                let (step, waited_s) = watch.overdue(now, spans_s)?;
                Some(Overdue { key: key.clone(), step, waited_s })
            });
            overdue.extend(of_shard.take(orders_max - overdue.len()));
        }
        overdue
    }

    /// Somebody was asked about an order for this span: it is given again for the next.
    pub fn mark_inquired(&self, overdue: &Overdue) {
        if let Some(watch) = self.shard(&overdue.key).get_mut(&overdue.key) {
            watch.mark_inquired(overdue.step);
        }
    }

    fn now(&self) -> Tick {
        Tick::after(self.began.elapsed())
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let hash = usize::try_from(self.hasher.hash_one(key) % (SHARDS as u64)).unwrap_or(0);
        lock(&self.shards[hash])
    }

    fn unsubscribe(&self, inbox: &Arc<Inbox>, key: &Key) {
        inbox.close(key);
        let now = self.now();
        if let Entry::Occupied(mut watch) = self.shard(key).entry(key.clone())
            && watch.get_mut().leave(inbox, now)
            && !(watch.get().is_open() && self.remembers_one_more())
        {
            watch.remove();
        }
    }

    fn remembers_one_more(&self) -> bool {
        let more = |departed| (departed < self.departed_max).then_some(departed + 1);
        self.departed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
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

    fn final_update(order: &str) -> Arc<Update> {
        let at = Timestamp::parse("2026-01-31T00:30:00Z").unwrap();
        let event = Event::new(key(order), EventId::new("e").unwrap(), Status::Succeeded, at);
        Update::stored(Arc::new(State::first(event).payment()))
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
        inbox.mark_sent(&key("a"), 4);
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
        hub.interrupt_all();
        assert_eq!((next(&inbox), next(&other)), (Some(0), Some(0)));
        assert!(hub.is_watched(&key("a")) && !hub.is_watched(&key("c")));
    }

    #[test]
    fn an_order_is_overdue_once_a_span_until_it_has_its_result() {
        let (hub, inbox) = (Hub::new(), Inbox::new());
        let _subscriptions = (hub.subscribe(&inbox, &key("a")).unwrap(), hub.subscribe(&inbox, &key("b")).unwrap());
        assert_eq!(hub.overdue(&[3600], 9), []);
        assert_eq!(hub.overdue(&[0, 3600], 1).len(), 1);
        let mut overdue = hub.overdue(&[0, 3600], 9);
        overdue.sort_by_key(|overdue| overdue.key.order_id.clone());
        assert_eq!(overdue[0], Overdue { key: key("a"), step: 1, waited_s: 0 });
        hub.mark_inquired(&overdue[0]);
        assert_eq!(hub.overdue(&[0, 3600], 9), [overdue[1].clone()]);
        // Both spans are over: the first is of no more use.
        assert_eq!(hub.overdue(&[0, 0], 9).iter().map(|overdue| overdue.step).collect::<Vec<_>>(), [2, 2]);
        hub.publish(&final_update("a"));
        hub.mark_final(&key("b"));
        assert_eq!(hub.overdue(&[0, 0], 9), []);
    }

    #[test]
    fn an_order_is_remembered_for_a_page_that_comes_back_and_counts_as_watched_by_none() {
        let (hub, inbox) = (Hub::remembering(1), Inbox::new());
        let [a, b] = ["a", "b"].map(|order| hub.subscribe(&inbox, &key(order)).unwrap());
        hub.mark_inquired(&Overdue { key: key("a"), step: 1, waited_s: 0 });
        hub.mark_inquired(&Overdue { key: key("b"), step: 1, waited_s: 0 });
        drop((a, b));
        assert!(hub.watched().is_empty() && !hub.is_watched(&key("a")) && hub.overdue(&[0, 0], 9).is_empty());
        let back = ["a", "b"].map(|order| hub.subscribe(&inbox, &key(order)).unwrap());
        let steps = |key: Key| hub.overdue(&[0], 9).iter().filter(|overdue| overdue.key == key).count();
        assert_eq!((steps(key("a")), steps(key("b"))), (0, 1), "room for one: the first that was departed from");
        assert!(hub.is_watched(&key("a")));
        drop(back);
        assert_eq!(hub.departed.load(Ordering::Relaxed), 1);
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
