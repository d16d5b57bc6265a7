//! The orders that one socket watches.

use std::sync::Arc;

use tokio::time::Instant;

use crate::bridge::ticket_limit::TicketSlot;
use crate::hub::Subscription;
use crate::payment::Key;
use crate::tickets::{Fingerprint, Refusal};

/// One order, until its ticket runs out.
pub(super) struct Entry {
    pub(super) subscription: Subscription,
    pub(super) ends_at: Instant,
    /// The ticket's slot, shared by all orders of that ticket.
    pub(super) slot: Arc<TicketSlot>,
    /// Whether its page has been given the payment as it stands.
    pub(super) is_read: bool,
}

/// At most `http.subscriptions_per_connection_max`.
#[derive(Default)]
pub(super) struct Subscriptions {
    entries: Vec<Entry>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn add(&mut self, entry: Entry) {
        if self.entries.is_empty() {
            // One is usual, and a list that grows by itself begins with room for four.
            self.entries.reserve_exact(1);
        }
        self.entries.push(entry);
    }

    pub(super) fn by_key(&mut self, key: &Key) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.subscription.key() == key)
    }

    pub(super) fn by_order(&self, order_id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.subscription.key().order_id.as_str() == order_id)
    }

    /// False where the order's ticket has run out, whether that was seen yet or not.
    pub(super) fn may_receive(&self, key: &Key, now: Instant) -> bool {
        self.entries.iter().any(|entry| entry.subscription.key() == key && entry.ends_at > now)
    }

    /// False if it was not watched.
    pub(super) fn remove(&mut self, order_id: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.subscription.key().order_id.as_str() != order_id);
        self.entries.len() < before
    }

    /// Takes out those whose ticket has run out.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<Entry> {
        self.entries.extract_if(.., |entry| entry.ends_at <= now).collect()
    }

    /// Takes out those of whom `why` knows why they may not stay.
    pub(super) fn take_refused(&mut self, why: impl Fn(&Entry) -> Option<Refusal>) -> Vec<(Entry, Refusal)> {
        let mut refused = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.entries.get(at) {
            match why(entry) {
                Some(refusal) => refused.push((self.entries.remove(at), refusal)),
                None => at += 1,
            }
        }
        refused
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.ends_at).min()
    }

    /// The slot of a ticket that is in use here already.
    pub(super) fn slot_of(&self, ticket: Fingerprint) -> Option<Arc<TicketSlot>> {
        self.entries.iter().find(|entry| entry.slot.is_of(ticket)).map(|entry| Arc::clone(&entry.slot))
    }
}
