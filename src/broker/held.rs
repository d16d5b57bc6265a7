//! Events whose payment the store cannot read or write. Each keeps its delivery open, and with it a place of the prefetch,
//! and is given to the store again, ever more seldom: apart from the events of other orders, which it must not hold up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::commit::Arrived;
use super::consumer_parts::ConsumerParts;
use super::options::backoff;
use crate::config;
use crate::payment::Key;
use crate::runtime::{Backoff, Component};
use crate::store;
use crate::telemetry::DamagedDuring;

/// Orders that are tried in one commit. Where one row stands in the way of the others, finding it takes the store twice as
/// many transactions, for which events of other orders wait.
const ORDERS_AT_ONCE_MAX: usize = 16;
/// In readiness.
const HEALTH_THING: &str = "held events";

/// Events that wait, by order. `E` is one event; the caller sees to it that there are no more than the prefetch.
struct Held<E> {
    orders: HashMap<Key, Order<E>>,
    backoff: Backoff,
    /// Those on trial included.
    events: usize,
}

struct Order<E> {
    events: VecDeque<E>,
    backoff: Backoff,
    /// When one of them is tried again. Not set while one is.
    due: Option<Instant>,
}

impl<E> Held<E> {
    /// Waits by `backoff` between two attempts at one order.
    fn new(backoff: Backoff) -> Self {
        Self { orders: HashMap::new(), backoff, events: 0 }
    }

    /// Takes an event that the store did not take. True if it is the first of its order.
    fn refused(&mut self, key: &Key, event: E, now: Instant) -> bool {
        let is_first = !self.orders.contains_key(key);
        let order = self.orders.entry(key.clone()).or_insert_with(|| Order {
            events: VecDeque::new(),
            backoff: self.backoff.clone(),
            due: None,
        });
        if is_first || order.due.is_some() {
            self.events += 1;
            order.events.push_back(event);
        } else {
            // It was on trial, and is counted.
            order.events.push_front(event);
        }
        order.due.get_or_insert_with(|| now + order.backoff.wait());
        is_first
    }

    /// Takes an event of an order that is held, and gives it back if it is none.
    fn join(&mut self, key: &Key, event: E) -> Option<E> {
        let Some(order) = self.orders.get_mut(key) else { return Some(event) };
        order.events.push_back(event);
        self.events += 1;
        None
    }

    /// When something is to be tried, if anything is.
    fn due(&self) -> Option<Instant> {
        self.orders.values().filter_map(|order| order.due).min()
    }

    /// One event of each order that is due, of some orders.
    fn take_due(&mut self, now: Instant) -> Vec<E> {
        let is_due = |order: &&mut Order<E>| order.due.is_some_and(|due| due <= now);
        let mut on_trial = Vec::new();
        for order in self.orders.values_mut().filter(is_due).take(ORDERS_AT_ONCE_MAX) {
            order.due = None;
            on_trial.extend(order.events.pop_front());
        }
        on_trial
    }

    /// The store took an event of `key`: gives back the others of the order. Not set where the order was not held.
    fn release(&mut self, key: &Key) -> Option<VecDeque<E>> {
        let order = self.orders.remove(key)?;
        self.events = self.events.saturating_sub(order.events.len() + usize::from(order.due.is_none()));
        Some(order.events)
    }

    /// How many wait.
    fn len(&self) -> usize {
        self.events
    }
}

/// The events that one subscription holds. Readiness says so where they leave no room for others.
pub(super) struct HeldEvents {
    held: Held<Arrived>,
    amqp: Arc<config::Amqp>,
    parts: ConsumerParts,
    /// They are as many as the prefetch.
    are_all: bool,
}

impl HeldEvents {
    pub(super) fn new(amqp: Arc<config::Amqp>, parts: ConsumerParts) -> Self {
        parts.metrics.set_events_held(0);
        Self { held: Held::new(backoff(&amqp)), amqp, parts, are_all: false }
    }

    /// Holds an event that the store does not take, and logs that once an order.
    pub(super) fn hold(&mut self, arrived: Arrived, damage: &store::Error) {
        let key = arrived.event.key.clone();
        let (event_id, delivery_tag) = (arrived.event.event_id.clone(), arrived.unsettled.tag());
        let Key { merchant_id, order_id } = &key;
        if self.held.refused(&key, arrived, Instant::now()) {
            self.parts.metrics.damaged(DamagedDuring::Event, 1);
            error!(
                %merchant_id, %order_id, %event_id, delivery_tag, error = %damage,
                "a payment cannot be read or written: its events wait, other payments continue"
            );
        } else {
            debug!(%merchant_id, %order_id, %event_id, delivery_tag, error = %damage, "the payment is still damaged");
        }
        self.count();
    }

    /// As [`Held::join`].
    pub(super) fn join(&mut self, key: &Key, arrived: Arrived) -> Option<Arrived> {
        let not_held = self.held.join(key, arrived);
        self.count();
        not_held
    }

    /// After the store took an event: what was held of its order, to be given to the store as any other.
    pub(super) fn release(&mut self, key: &Key) -> VecDeque<Arrived> {
        let Some(events) = self.held.release(key) else { return VecDeque::new() };
        let Key { merchant_id, order_id } = key;
        info!(%merchant_id, %order_id, events = events.len() + 1, "the payment can be read and written again");
        self.count();
        events
    }

    /// When something is to be tried, if anything is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.due()
    }

    /// As [`Held::take_due`].
    pub(super) fn take_due(&mut self) -> Vec<Arrived> {
        self.held.take_due(Instant::now())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.len() == 0
    }

    /// With as many held as are delivered at once, this node does no work any more.
    fn count(&mut self) {
        let events = self.held.len();
        self.parts.metrics.set_events_held(events);
        let are_all = events >= usize::from(self.amqp.prefetch);
        if are_all == std::mem::replace(&mut self.are_all, are_all) {
            return;
        }
        if are_all {
            let why = format!("{events} events of damaged payments fill the whole prefetch");
            warn!(queue = self.amqp.queue, why);
            self.parts.health.fault_in(Component::Consumer, HEALTH_THING, why);
        } else {
            self.parts.health.ok_in(Component::Consumer, HEALTH_THING);
        }
    }
}

impl Drop for HeldEvents {
    fn drop(&mut self) {
        self.parts.health.ok_in(Component::Consumer, HEALTH_THING);
        self.parts.metrics.set_events_held(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::payment::{MerchantId, OrderId};

    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(15);

    fn key(order: &str) -> Key {
        Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap())
    }

    #[test]
    fn one_of_an_order_is_tried_ever_more_seldom_and_brings_the_others_back() {
        let mut held = Held::new(Backoff::new(FIRST, LONGEST));
        let (mut now, a) = (Instant::now(), key("a"));
        assert_eq!(held.join(&a, 1), Some(1), "an order of which nothing is known");
        assert!(held.refused(&a, 1, now));
        assert_eq!((held.join(&a, 2), held.len()), (None, 2));
        assert!(held.take_due(now).is_empty());
        let mut waited = Vec::new();
        for _ in 0..12 {
            let due = held.due().unwrap();
            waited.push(due - now);
            now = due;
            assert_eq!(held.take_due(now), [1]);
            assert_eq!((held.due(), held.take_due(now + LONGEST).len(), held.len()), (None, 0, 2), "one at a time");
            assert!(!held.refused(&a, 1, now));
        }
        assert!(waited[0] <= FIRST && waited[11] >= LONGEST / 2 && waited[11] <= LONGEST, "{waited:?}");
        assert_eq!(held.take_due(now + LONGEST), [1]);
        assert_eq!(held.release(&a), Some(VecDeque::from([2])));
        assert_eq!((held.len(), held.release(&a), held.due()), (0, None, None));
    }

    #[test]
    fn many_orders_are_tried_some_at_a_time() {
        let mut held = Held::new(Backoff::new(FIRST, LONGEST));
        let now = Instant::now();
        for n in 0..40 {
            assert!(held.refused(&key(&format!("o{n}")), n, now));
        }
        let mut tried: Vec<i32> = (0..3).flat_map(|_| held.take_due(now + FIRST)).collect();
        tried.sort_unstable();
        assert_eq!(tried, (0..40).collect::<Vec<_>>());
        assert_eq!(held.len(), 40);
        for n in 0..40 {
            assert_eq!(held.release(&key(&format!("o{n}"))), Some(VecDeque::new()));
        }
        assert_eq!(held.len(), 0);
    }
}
