//! The row of one order's payment, in memory.

use std::sync::Arc;

use super::finality::Finality;
use crate::payment::{Change, Event, Key, Merged, Payment, State};
use crate::store::{Error, is_transaction_id};

/// The row of one order, as far as a transaction has looked at it.
#[expect(clippy::large_enum_variant, reason = "nearly every row is a read one, and a box for each costs")]
#[derive(Debug)]
pub(in crate::store) enum Row {
    /// No event of the order was ever stored.
    Absent,
    /// It was read.
    Read(Record),
    /// It cannot be understood, and why.
    Damaged(Error),
    /// It is there, and was not read.
    Unread,
}

/// What is kept of a payment.
#[derive(Debug)]
pub(in crate::store) struct Record {
    pub(in crate::store) state: State,
    /// What `state` shows to pages.
    pub(in crate::store) payment: Arc<Payment>,
    /// The latest version that a page has shown, 0 for none.
    pub(in crate::store) acked_version: u64,
    pub(in crate::store) finality: Finality,
    /// It has to be saved.
    pub(in crate::store) changed: bool,
    /// The provider's numbers that its index may lack.
    pub(in crate::store) transactions: Vec<Box<str>>,
}

impl Record {
    /// A payment as a store has it.
    pub(in crate::store) fn stored(state: State, acked_version: u64, finality: Finality) -> Self {
        let payment = Arc::new(state.payment());
        Self { state, payment, acked_version, finality, changed: false, transactions: Vec::new() }
    }

    /// A payment after its first event.
    pub(super) fn first(event: Event) -> Self {
        let transactions = findable(&event).map(Box::from).into_iter().collect();
        Self { changed: true, transactions, ..Self::stored(State::first(event), 0, Finality::default()) }
    }

    pub(super) fn merge(&mut self, event: Event) -> Merged {
        let is_known = |id: &str| self.state.transactions().any(|known| known == id);
        let transaction = findable(&event).filter(|id| !is_known(id)).map(Box::from);
        let merged = self.state.merge(event);
        if matches!(merged.change, Change::Applied | Change::Stale) {
            self.transactions.extend(transaction);
        }
        if merged.change == Change::Applied {
            self.payment = Arc::new(self.state.payment());
        }
        // What was seen of a stale one has to be remembered.
        self.changed |= matches!(merged.change, Change::Applied | Change::Stale);
        merged
    }
}

/// The provider's number of an event, if an order can be found by it.
fn findable(event: &Event) -> Option<&str> {
    event.provider_transaction_id.as_deref().filter(|id| is_transaction_id(id))
}

/// The state in the row of `key`.
///
/// # Errors
/// [`Error::Corrupt`] where no state of that payment stands there, which names the order.
pub(in crate::store) fn state(key: &Key, text: &str) -> Result<State, Error> {
    let state: State = serde_json::from_str(text).map_err(|e| damaged(key, &e.to_string()))?;
    if state.key() != key {
        return Err(damaged(key, "the row holds another payment"));
    }
    // A store counts with 63 bits.
    if !(1..i64::MAX.unsigned_abs()).contains(&state.version()) {
        return Err(damaged(key, "its version is out of range"));
    }
    Ok(state)
}

/// What is wrong with the row of `key`.
pub(in crate::store) fn damaged(key: &Key, what: &str) -> Error {
    let Key { merchant_id, order_id } = key;
    Error::Corrupt(format!("payment of merchant {merchant_id} order {order_id}: {what}"))
}
