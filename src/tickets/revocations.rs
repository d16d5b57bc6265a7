//! What is revoked, in memory: each ticket is looked up here, and none in the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::refusal::Refusal;
use super::ticket::{Fingerprint, Ticket};
use crate::payment::Key;
use crate::store::{Revocation, Revoked};

/// As many are in force as may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// All that is in force on this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Revocations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    most: usize,
    /// Of both maps together, so that nothing is locked while there is nothing to find.
    count: AtomicUsize,
    /// How often something was put in force.
    puts: AtomicU64,
    sets: RwLock<Sets>,
}

/// Each with its end, seconds since 1970.
#[derive(Debug, Default)]
struct Sets {
    tickets: HashMap<Fingerprint, i64>,
    orders: HashMap<Key, i64>,
}

impl Revocations {
    /// Those that the store holds, however many, and up to `most` with those to come.
    #[must_use]
    pub fn new(most: usize, stored: Vec<Revocation>) -> Self {
        let (count, puts) = (AtomicUsize::new(0), AtomicU64::new(0));
        let revocations = Self { inner: Arc::new(Inner { most, count, puts, sets: RwLock::default() }) };
        revocations.change(|sets| stored.into_iter().for_each(|revocation| sets.put(revocation)));
        revocations
    }

    /// False where nothing at all is revoked.
    #[must_use]
    pub fn any(&self) -> bool {
        self.inner.count.load(Ordering::Acquire) > 0
    }

    /// Forgets what is over, and answers how many are left.
    pub fn expire(&self, now_s: i64) -> usize {
        if self.any() {
            self.change(|sets| sets.expire(now_s));
        }
        self.inner.count.load(Ordering::Acquire)
    }

    /// Whether there is a place for one more.
    ///
    /// # Errors
    /// [`Full`] where as many are in force as may be, and this thing is none of them.
    pub fn has_room(&self, revoked: &Revoked, now_s: i64) -> Result<(), Full> {
        if self.expire(now_s) < self.inner.most || self.read(|sets| sets.until(revoked).is_some()) {
            return Ok(());
        }
        Err(Full)
    }

    /// Puts one in force, in place of an earlier one of the same thing.
    pub fn put(&self, revocation: Revocation, now_s: i64) {
        self.change(|sets| {
            self.inner.puts.fetch_add(1, Ordering::AcqRel);
            sets.put(revocation);
            sets.expire(now_s);
        });
    }

    /// The same, unless as many are in force as may be. What lifts one needs no room.
    ///
    /// # Errors
    /// [`Full`], and nothing is put in force.
    pub fn put_within(&self, revocation: Revocation, now_s: i64) -> Result<(), Full> {
        if revocation.until_s > now_s {
            self.has_room(&revocation.revoked, now_s)?;
        }
        self.put(revocation, now_s);
        Ok(())
    }

    /// How often something was put in force, to be asked before the store is read for [`Revocations::replace`].
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.inner.puts.load(Ordering::Acquire)
    }

    /// Takes what the store holds in place of what is in force, and answers whether any of it was not. Not set, and
    /// nothing done, where something was put in force after `puts`: the store may have been read before that.
    #[must_use]
    pub fn replace(&self, stored: Vec<Revocation>, puts: u64, now_s: i64) -> Option<bool> {
        let mut sets = Sets::default();
        stored.into_iter().for_each(|revocation| sets.put(revocation));
        sets.expire(now_s);
        let mut answer = None;
        self.change(|in_force| {
            if self.puts() == puts {
                answer = Some(in_force.lacks_any_of(&sets));
                *in_force = sets;
            }
        });
        answer
    }

    /// Why a page that came by this ticket for this order may not stay.
    #[must_use]
    pub fn refusal(&self, ticket: Fingerprint, key: &Key, now_s: i64) -> Option<Refusal> {
        if !self.any() {
            return None;
        }
        let in_force = |until_s: Option<&i64>| until_s.is_some_and(|until_s| *until_s > now_s);
        self.read(|sets| {
            if in_force(sets.tickets.get(&ticket)) {
                return Some(Refusal::Revoked);
            }
            in_force(sets.orders.get(key)).then_some(Refusal::Forbidden)
        })
    }

    /// Takes the orders that are revoked out of a ticket that is good, and hands them back.
    ///
    /// # Errors
    /// [`Refusal::Revoked`] for a ticket that is revoked itself.
    pub fn strip(&self, ticket: &mut Ticket, now_s: i64) -> Result<(), Refusal> {
        if !self.any() {
            return Ok(());
        }
        let order_ids = std::mem::take(&mut ticket.order_ids);
        for order_id in order_ids {
            match self.refusal(ticket.fingerprint, &ticket.key(&order_id), now_s) {
                None => ticket.order_ids.push(order_id),
                Some(Refusal::Revoked) => return Err(Refusal::Revoked),
                Some(_of_order) => ticket.revoked_order_ids.push(order_id),
            }
        }
        Ok(())
    }

    fn read<T>(&self, look: impl FnOnce(&Sets) -> T) -> T {
        look(&self.inner.sets.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Sets)) {
        let mut sets = self.inner.sets.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut sets);
        self.inner.count.store(sets.tickets.len() + sets.orders.len(), Ordering::Release);
    }
}

impl Sets {
    fn put(&mut self, revocation: Revocation) {
        match revocation.revoked {
            Revoked::Ticket(fingerprint) => self.tickets.insert(fingerprint, revocation.until_s),
            Revoked::Order(key) => self.orders.insert(key, revocation.until_s),
        };
    }

    fn until(&self, revoked: &Revoked) -> Option<&i64> {
        match revoked {
            Revoked::Ticket(fingerprint) => self.tickets.get(fingerprint),
            Revoked::Order(key) => self.orders.get(key),
        }
    }

    fn lacks_any_of(&self, others: &Self) -> bool {
        others.tickets.iter().any(|(ticket, until_s)| self.tickets.get(ticket) != Some(until_s))
            || others.orders.iter().any(|(key, until_s)| self.orders.get(key) != Some(until_s))
    }

    fn expire(&mut self, now_s: i64) {
        self.tickets.retain(|_, until_s| *until_s > now_s);
        self.orders.retain(|_, until_s| *until_s > now_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{MerchantId, OrderId};

    fn ticket() -> Ticket {
        Ticket {
            merchant_id: MerchantId::new("m").unwrap(),
            order_ids: ["a", "b"].map(|id| OrderId::new(id).unwrap()).into(),
            revoked_order_ids: Vec::new(),
            ends_at_s: 100,
            fingerprint: [1; 16],
        }
    }

    fn of_order(name: &str, until_s: i64) -> Revocation {
        let key = Key::new(MerchantId::new("m").unwrap(), OrderId::new(name).unwrap());
        Revocation { revoked: Revoked::Order(key), until_s }
    }

    #[test]
    fn a_ticket_keeps_the_orders_that_are_not_revoked() {
        let revocations = Revocations::new(9, vec![of_order("b", 50)]);
        let mut stripped = ticket();
        assert_eq!(revocations.strip(&mut stripped, 49), Ok(()));
        assert_eq!((stripped.order_ids[0].as_str(), stripped.order_ids.len()), ("a", 1));
        assert_eq!(stripped.revoked_order_ids[0].as_str(), "b");
        let mut later = ticket();
        assert_eq!((revocations.strip(&mut later, 50), later.order_ids.len()), (Ok(()), 2));
        revocations.put(Revocation { revoked: Revoked::Ticket([1; 16]), until_s: 60 }, 50);
        assert_eq!(revocations.strip(&mut ticket(), 51), Err(Refusal::Revoked));
        assert_eq!(revocations.expire(60), 0);
        assert!(!revocations.any());
    }

    #[test]
    fn what_the_store_holds_takes_the_place_of_all_unless_something_was_put_meanwhile() {
        let revocations = Revocations::new(9, vec![of_order("a", 50), of_order("b", 50)]);
        let puts = revocations.puts();
        assert_eq!(revocations.replace(vec![of_order("b", 50)], puts, 1), Some(false), "a was lifted elsewhere");
        assert!(revocations.has_room(&of_order("a", 1).revoked, 1).is_ok() && revocations.expire(1) == 1);
        assert_eq!(revocations.replace(vec![of_order("b", 60), of_order("c", 1)], puts, 1), Some(true), "another end");
        assert_eq!(revocations.expire(1), 1, "what is over is not taken");
        revocations.put(of_order("d", 50), 1);
        assert_eq!(revocations.replace(Vec::new(), puts, 1), None);
        assert_eq!(revocations.expire(1), 2);
    }

    #[test]
    fn there_is_a_most_and_what_is_over_makes_room() {
        let revocations = Revocations::new(2, vec![of_order("a", 50), of_order("b", 60)]);
        assert_eq!(revocations.has_room(&of_order("c", 70).revoked, 49), Err(Full));
        assert_eq!(revocations.has_room(&of_order("a", 70).revoked, 49), Ok(()), "it has its place already");
        assert_eq!(revocations.put_within(of_order("c", 70), 49), Err(Full));
        assert_eq!(revocations.expire(49), 2);
        assert_eq!(revocations.has_room(&of_order("c", 70).revoked, 50), Ok(()));
        assert_eq!(revocations.put_within(of_order("c", 70), 50), Ok(()));
        assert_eq!(revocations.put_within(of_order("c", 50), 50), Ok(()), "lifted, though there is no room");
        revocations.put(of_order("b", 10), 50);
        assert!(!revocations.any(), "lifted");
    }
}
