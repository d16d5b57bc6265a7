//! What becomes of payments and of what belongs to them: pure functions over rows in memory. No I/O, no SQL, no clock.
//!
//! A store locks, loads the rows of the orders that a transaction is about, calls these, and saves what changed. It adds no
//! rule of its own.

mod entry;
mod finality;
mod log;
mod message;
mod pages;
mod progress;
mod purge;
mod row;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Applied, Arrival, Error, EscalatedOrders, Escalation, Outcome, PageRef};
use crate::payment::{Change, Claim, Conflicts, EventId, Key, Merged};
use entry::TimelineEntry;
use message::Envelope;

pub(super) use finality::Finality;
pub(super) use log::TransactionLog;
pub(super) use message::Message;
pub(super) use progress::Progress;
pub(super) use purge::{Examined, Swept, examine, purged};
pub(super) use row::{Record, Row, damaged, state};
pub(super) use timeline::{StoredEntry, Watch, assemble};

/// What the transactions of one store go by. Set when it is opened.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The node's name.
    pub(super) instance: String,
    /// Timelines are kept.
    pub(super) timeline: bool,
    pub(super) escalation: Escalation,
}

/// What an event did, and the version after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Did {
    pub(super) change: Change,
    pub(super) conflicts: Conflicts,
    /// What contradicts each other by those.
    pub(super) claims: Vec<Claim>,
    pub(super) version: u64,
}

/// The pages of one order that began to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began {
    pub(super) first: PageRef,
    pub(super) pages: i64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
}

/// The orders of one transaction.
#[derive(Debug)]
pub(super) struct Ledger<'r> {
    rules: &'r Rules,
    now_ms: i64,
    rows: IndexMap<Key, Row>,
    began: BTreeMap<Key, Began>,
    /// What an attempt before did whose answer was lost: answered once, of an event that is a duplicate by that.
    earlier: HashMap<(Key, EventId), Did>,
    pub(super) log: TransactionLog,
}

impl<'r> Ledger<'r> {
    /// `now_ms` is the time of the transaction, milliseconds since 1970.
    pub(super) fn new(rules: &'r Rules, now_ms: i64) -> Self {
        Self {
            rules,
            now_ms,
            rows: IndexMap::new(),
            began: BTreeMap::new(),
            earlier: HashMap::new(),
            log: TransactionLog::default(),
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(super) fn rules(&self) -> &'r Rules {
        self.rules
    }

    /// Takes what the database says of `key`, and answers its place. What is there already stays, unless it was not read.
    pub(super) fn load(&mut self, key: Key, row: Row) -> usize {
        let entry = self.rows.entry(key);
        let place = entry.index();
        let there = entry.or_insert(Row::Unread);
        if matches!(there, Row::Unread) {
            *there = row;
        }
        place
    }

    /// What events did of which an attempt before was not answered.
    pub(super) fn repeat(&mut self, earlier: impl IntoIterator<Item = ((Key, EventId), Did)>) {
        self.earlier.extend(earlier);
    }

    /// The row of `key`, if something was loaded of it.
    pub(super) fn row(&self, key: &Key) -> Option<&Row> {
        self.rows.get(key)
    }

    /// The place of `key`, if its row was read or is known to be absent or damaged.
    pub(super) fn place(&self, key: &Key) -> Option<usize> {
        self.rows.get_full(key).filter(|(_, _, row)| !matches!(row, Row::Unread)).map(|(place, ..)| place)
    }

    /// Orders and their rows, in the order in which they were loaded: by place.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = (&Key, &Row)> {
        self.rows.iter()
    }

    /// The order at `place`, and its row.
    pub(super) fn at(&self, place: usize) -> Option<(&Key, &Row)> {
        self.rows.get_index(place)
    }

    /// Pages that began to wait, by order.
    pub(super) fn began(&self) -> &BTreeMap<Key, Began> {
        &self.began
    }

    /// Orders of which something is recorded and no payment is known, each with when the latest of it happened.
    pub(super) fn unknown(&self) -> BTreeMap<&Key, i64> {
        let mut unknown = BTreeMap::new();
        for (place, at_ms, _) in self.log.entries().flatten() {
            if let Some((key, Row::Absent)) = self.rows.get_index(place) {
                let latest_ms = unknown.entry(key).or_insert(at_ms);
                *latest_ms = at_ms.max(*latest_ms);
            }
        }
        unknown
    }

    /// Whether it matters to `arrival`, of the order at `place`, if a page has waited for that order.
    pub(super) fn asks_watched(&self, place: usize, arrival: &Arrival) -> bool {
        let is_known = match self.rows.get_index(place) {
            Some((_, Row::Read(record))) => record.payment.status == arrival.event.status,
            _ => false,
        };
        self.rules.escalation.orders == EscalatedOrders::Watched
            && arrival.event.status.is_final()
            && !is_known
            && !arrival.watched
            && !self.began.contains_key(&arrival.event.key)
    }

    /// Merges one event of the order at `place`, unless its payment cannot be understood. `watched` says whether a page has
    /// waited for the order.
    ///
    /// # Errors
    /// After one of these nothing of the transaction may be committed.
    pub(super) fn apply(&mut self, place: usize, arrival: &Arrival, watched: bool) -> Result<Applied, Error> {
        let (event, at_ms) = (&arrival.event, arrival.received_ms);
        let Some((_, row)) = self.rows.get_index_mut(place) else { return Err(unloaded(&event.key)) };
        let (before, Merged { change, conflicts, claims }) = match row {
            Row::Damaged(damage) => return Ok(Err(damage.clone())),
            Row::Unread => return Err(unloaded(&event.key)),
            Row::Read(record) => (Some(record.payment.status), record.merge(event.clone())),
            Row::Absent => {
                let first = Record::first(event.clone());
                *row = Row::Read(first);
                (None, Merged::FIRST)
            }
        };
        let Row::Read(record) = row else { return Err(unloaded(&event.key)) };
        if change == Change::Applied {
            let watched = arrival.watched || watched || self.began.contains_key(&event.key);
            record.finality.applied(before, &record.payment, at_ms, self.rules.escalation, watched);
        }
        let payment = Arc::clone(&record.payment);
        if !conflicts.is_empty() {
            let message = self.envelope(at_ms).conflict(&payment, conflicts, &claims, &event.event_id)?;
            self.log.messages.push(message);
        }
        let mut did = Did { change, conflicts, claims, version: payment.version };
        if change == Change::Duplicate
            && !self.earlier.is_empty()
            && let Some(earlier) = self.earlier.remove(&(event.key.clone(), event.event_id.clone()))
        {
            did = earlier;
            self.log.may_be_written = true;
        }
        let Did { change, conflicts, claims, version } = did;
        self.record(place, at_ms, || TimelineEntry::arrived(event, arrival.redelivered, change, version))?;
        if !conflicts.is_empty() {
            self.record(place, at_ms, || TimelineEntry::conflict(event, conflicts, &claims))?;
        }
        Ok(Ok(Outcome { change, conflicts, claims, payment }))
    }

    /// Adds to a timeline, where timelines are kept.
    fn record<'e>(&mut self, place: usize, at_ms: i64, entry: impl FnOnce() -> TimelineEntry<'e>) -> Result<(), Error> {
        if self.rules.timeline { self.log.record(place, at_ms, &entry()) } else { Ok(()) }
    }

    fn envelope(&self, now_ms: i64) -> Envelope<'r> {
        Envelope { instance: &self.rules.instance, now_ms }
    }
}

/// A fault of a store: it asks of a row that it has not loaded.
fn unloaded(key: &Key) -> Error {
    damaged(key, "its row was not loaded")
}
