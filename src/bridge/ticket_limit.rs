//! How many pages wait by one ticket, on this node and, a little late and without small numbers, on the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::tickets::Fingerprint;

/// A ticket that holds less than this part of what it may is not reported: that is every page that behaves.
const UNREPORTED_SHARE: usize = 8;
/// Far more than there are nodes. What more of them say does not count.
const NODES_MAX: usize = 4096;

/// How many waiting pages each ticket holds. Clones share the count.
#[derive(Clone, Debug)]
pub(super) struct TicketLimiter {
    counts: Arc<Mutex<Counts>>,
    each_max: usize,
}

#[derive(Debug, Default)]
struct Counts {
    here: HashMap<Fingerprint, usize>,
    /// By the number of the node.
    elsewhere: HashMap<u64, Node>,
}

/// What a node reported last.
#[derive(Debug)]
struct Node {
    held: HashMap<Fingerprint, u32>,
    until: Instant,
}

/// One waiting page of a ticket, given back when dropped.
#[derive(Debug)]
pub(super) struct TicketSlot {
    limiter: TicketLimiter,
    ticket: Fingerprint,
}

impl TicketLimiter {
    pub(super) fn new(each_max: usize) -> Self {
        Self { counts: Arc::default(), each_max }
    }

    /// Not set if the ticket holds all it may.
    pub(super) fn take(&self, ticket: Fingerprint) -> Option<TicketSlot> {
        let mut counts = self.lock();
        let elsewhere = if counts.elsewhere.is_empty() { 0 } else { counts.elsewhere(ticket, Instant::now()) };
        let here = counts.here.get(&ticket).copied().unwrap_or(0);
        if here.saturating_add(elsewhere) >= self.each_max {
            return None;
        }
        counts.here.insert(ticket, here + 1);
        Some(TicketSlot { limiter: self.clone(), ticket })
    }

    /// Tickets that hold more than a small share, at most `tickets_max`, the most pages first.
    pub(super) fn held(&self, tickets_max: usize) -> Vec<(Fingerprint, u32)> {
        let share = self.each_max.div_ceil(UNREPORTED_SHARE);
        let reported = |(ticket, pages): (&Fingerprint, &usize)| {
            (*pages >= share).then(|| (*ticket, u32::try_from(*pages).unwrap_or(u32::MAX)))
        };
        let mut held: Vec<_> = self.lock().here.iter().filter_map(reported).collect();
        held.sort_unstable_by_key(|(_, pages)| std::cmp::Reverse(*pages));
        held.truncate(tickets_max);
        held
    }

    /// What another node reports, in slot of its report before.
    pub(super) fn held_by(&self, node: u64, held: Vec<(Fingerprint, u32)>, until: Instant) {
        let mut counts = self.lock();
        let now = Instant::now();
        counts.elsewhere.retain(|_, other| other.until > now);
        if held.is_empty() {
            counts.elsewhere.remove(&node);
        } else if counts.elsewhere.len() < NODES_MAX || counts.elsewhere.contains_key(&node) {
            counts.elsewhere.insert(node, Node { held: held.into_iter().collect(), until });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn elsewhere(&self, ticket: Fingerprint, now: Instant) -> usize {
        let in_force = self.elsewhere.values().filter(|node| node.until > now);
        let pages = in_force.filter_map(|node| node.held.get(&ticket)).fold(0_u32, |sum, n| sum.saturating_add(*n));
        usize::try_from(pages).unwrap_or(usize::MAX)
    }
}

impl TicketSlot {
    pub(super) fn ticket(&self) -> Fingerprint {
        self.ticket
    }

    pub(super) fn is_of(&self, ticket: Fingerprint) -> bool {
        self.ticket == ticket
    }
}

impl Drop for TicketSlot {
    fn drop(&mut self) {
        let mut counts = self.limiter.lock();
        if let Some(count) = counts.here.get_mut(&self.ticket) {
            *count -= 1;
            if *count == 0 {
                counts.here.remove(&self.ticket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ticket_holds_no_more_than_it_may_and_leaves_nothing_behind() {
        let limiter = TicketLimiter::new(2);
        let (a, b) = (limiter.take([1; 16]).unwrap(), limiter.take([1; 16]).unwrap());
        assert!(limiter.take([1; 16]).is_none());
        assert!(limiter.take([2; 16]).is_some());
        drop(a);
        assert!(limiter.take([1; 16]).is_some());
        drop(b);
        assert!(limiter.lock().here.is_empty());
    }

    #[test]
    fn pages_on_other_nodes_count_until_those_say_otherwise_or_nothing() {
        let (limiter, long) = (TicketLimiter::new(32), Instant::now() + Duration::from_secs(3600));
        limiter.held_by(1, vec![([1; 16], 20)], long);
        limiter.held_by(2, vec![([1; 16], 11), ([2; 16], 31)], long);
        let slot = limiter.take([1; 16]).unwrap();
        assert!(limiter.take([1; 16]).is_none());
        assert!(limiter.take([2; 16]).is_some() && limiter.take([3; 16]).is_some());
        limiter.held_by(1, vec![([1; 16], 19)], long);
        let other = limiter.take([1; 16]).unwrap();
        drop((slot, other));
        limiter.held_by(2, Vec::new(), long);
        assert_eq!(limiter.lock().elsewhere.len(), 1);
        limiter.held_by(1, vec![([1; 16], 32)], Instant::now());
        assert!(limiter.take([1; 16]).is_some(), "the report has expired");
    }

    #[test]
    fn only_tickets_that_hold_much_are_reported_and_the_most_first() {
        let limiter = TicketLimiter::new(32);
        let slots =
            |ticket: u8, pages: usize| -> Vec<_> { (0..pages).map(|_| limiter.take([ticket; 16]).unwrap()).collect() };
        let _held = (slots(1, 3), slots(2, 4), slots(3, 9), slots(4, 6));
        assert_eq!(limiter.held(9), [([3; 16], 9), ([4; 16], 6), ([2; 16], 4)]);
        assert_eq!(limiter.held(1), [([3; 16], 9)]);
    }
}
