//! What becomes of payments and of what belongs to them: pure functions over rows in memory. No I/O, no SQL, no clock.
//!
//! A store locks, loads the rows of the orders that a transaction is about, calls these, and saves what changed. It adds no
//! rule of its own.

mod entry;
mod finality;
mod log;
mod message;
mod progress;
mod purge;
mod row;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Acknowledgement, Applied, Arrival, Error, EscalatedOrders, Escalation, Inquiry, Note, NoteKind};
use super::{Outcome, PageRef};
use crate::payment::{Change, Conflicts, EventId, Key, Merged};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Did {
    pub(super) change: Change,
    pub(super) conflicts: Conflicts,
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
    /// What an attempt before did whose answer was lost: told once more of an event that is a duplicate by that.
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
    pub(super) fn read(&self, key: &Key) -> Option<usize> {
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

    /// Whether it matters to `arrival` if a page has waited for its order.
    pub(super) fn asks_watched(&self, arrival: &Arrival) -> bool {
        let status = match self.rows.get(&arrival.event.key) {
            Some(Row::Read(record)) => Some(record.payment.status),
            _ => None,
        };
        self.rules.escalation.orders == EscalatedOrders::Watched
            && !arrival.watched
            && !self.began.contains_key(&arrival.event.key)
            && arrival.event.status.is_final()
            && status != Some(arrival.event.status)
    }

    /// Merges one event, unless its payment cannot be understood. `watched` says whether a page has waited for the order.
    ///
    /// # Errors
    /// After one of these nothing of the transaction may be committed.
    pub(super) fn apply(&mut self, arrival: &Arrival, watched: bool) -> Result<Applied, Error> {
        let (event, at_ms) = (&arrival.event, arrival.received_ms);
        let Some((place, _, row)) = self.rows.get_full_mut(&event.key) else { return Err(unloaded(&event.key)) };
        let (before, Merged { change, conflicts }) = match row {
            Row::Damaged(damage) => return Ok(Err(damage.clone())),
            Row::Unread => return Err(unloaded(&event.key)),
            Row::Read(record) => (Some(record.payment.status), record.merge(event.clone())),
            Row::Absent => {
                let first = Record::first(event.clone());
                let merged = Merged { change: Change::Applied, conflicts: first.state.conflicts() };
                *row = Row::Read(first);
                (None, merged)
            }
        };
        let Row::Read(record) = row else { return Err(unloaded(&event.key)) };
        if change == Change::Applied {
            let watched = arrival.watched || watched || self.began.contains_key(&event.key);
            record.finality.applied(before, &record.payment, at_ms, self.rules.escalation, watched);
        }
        let payment = Arc::clone(&record.payment);
        if !conflicts.is_empty() {
            let message = self.envelope(at_ms).conflict(&payment, conflicts, &event.event_id)?;
            self.log.messages.push(message);
        }
        let mut did = Did { change, conflicts, version: payment.version };
        if change == Change::Duplicate
            && !self.earlier.is_empty()
            && let Some(earlier) = self.earlier.remove(&(event.key.clone(), event.event_id.clone()))
        {
            did = earlier;
            self.log.may_be_written = true;
        }
        let Did { change, conflicts, version } = did;
        self.record(place, at_ms, || TimelineEntry::arrived(event, arrival.redelivered, change, version))?;
        if !conflicts.is_empty() {
            self.record(place, at_ms, || TimelineEntry::conflict(event, conflicts))?;
        }
        Ok(Ok(Outcome { change, conflicts, payment }))
    }

    /// A page has shown `version`, unless the payment cannot be understood.
    ///
    /// # Errors
    /// As for [`Ledger::apply`].
    pub(super) fn acknowledge(
        &mut self,
        key: &Key,
        version: u64,
        by: PageRef,
    ) -> Result<Result<Acknowledgement, Error>, Error> {
        let (place, record) = match self.rows.get_full_mut(key) {
            Some((place, _, Row::Read(record))) => (place, record),
            Some((_, _, Row::Damaged(damage))) => return Ok(Err(damage.clone())),
            _ => return Ok(Ok(Acknowledgement::NoSuchVersion)),
        };
        if !(1..=record.payment.version).contains(&version) {
            return Ok(Ok(Acknowledgement::NoSuchVersion));
        }
        if version <= record.acked_version {
            return Ok(Ok(Acknowledgement::Known));
        }
        let delivers = record.finality.acknowledged(record.acked_version, version);
        record.acked_version = version;
        record.changed = true;
        let Finality { version: final_version, at_ms, .. } = record.finality;
        let payment = Arc::clone(&record.payment);
        let now_ms = self.now_ms;
        let is_of_result = final_version > 0 && version >= final_version;
        let ms_since_arrival = is_of_result.then(|| now_ms.saturating_sub(at_ms).max(0));
        self.record(place, now_ms, || TimelineEntry::acknowledged(by, version, ms_since_arrival))?;
        if delivers {
            let message = self.envelope(now_ms).delivered(&payment, version, by, at_ms)?;
            self.log.messages.push(message);
        }
        Ok(Ok(Acknowledgement::First))
    }

    /// Takes a note. The row of its order is loaded, but for [`NoteKind::Watched`] where no escalation can begin by it.
    ///
    /// # Errors
    /// As for [`Ledger::apply`].
    pub(super) fn note(&mut self, note: &Note) -> Result<(), Error> {
        let Note { key, at_ms, what } = note;
        match what {
            NoteKind::Watched(page) => {
                let new = Began { first: *page, pages: 0, first_ms: *at_ms, last_ms: *at_ms };
                let began = self.began.entry(key.clone()).or_insert(new);
                began.pages += 1;
                began.last_ms = began.last_ms.max(*at_ms);
                self.watch(key, *at_ms);
                Ok(())
            }
            _ if !self.rules.timeline => Ok(()),
            NoteKind::Pushed { page, version, after_ms } => match self.rows.get_full(key) {
                // Removed since.
                None | Some((_, _, Row::Absent)) => Ok(()),
                Some((place, ..)) => self.record(place, *at_ms, || TimelineEntry::pushed(*page, *version, *after_ms)),
            },
            NoteKind::DeadLettered { event_id, reason } => {
                let place = self.rows.get_index_of(key).ok_or_else(|| unloaded(key))?;
                self.record(place, *at_ms, || TimelineEntry::DeadLettered { event_id, reason })
            }
        }
    }

    /// A page began to wait: where the result is there already, it may have to be escalated from here on. Of a payment that
    /// cannot be understood it is known that a page waits, and no more.
    pub(super) fn watch(&mut self, key: &Key, at_ms: i64) {
        if let Some(Row::Read(record)) = self.rows.get_mut(key) {
            record.changed |= record.finality.watched(record.acked_version, at_ms, self.rules.escalation);
        }
    }

    /// Whether there is something to ask the provider: the order has no final result, and is not one of which nothing can be
    /// understood.
    pub(super) fn is_open(&self, key: &Key) -> bool {
        match self.rows.get(key) {
            None | Some(Row::Absent) => true,
            Some(Row::Read(record)) => !record.payment.is_final(),
            Some(Row::Damaged(_) | Row::Unread) => false,
        }
    }

    /// Publishes an inquiry of an order that [`Ledger::is_open`], once the store has seen to it that nobody else does.
    ///
    /// # Errors
    /// As for [`Ledger::apply`].
    pub(super) fn inquired(&mut self, inquiry: &Inquiry) -> Result<(), Error> {
        let now_ms = self.now_ms;
        let place = self.rows.get_index_of(&inquiry.key).ok_or_else(|| unloaded(&inquiry.key))?;
        let (payment, transaction_id) = match &self.rows[place] {
            Row::Read(record) => (Some(&*record.payment), record.state.provider_transaction_id()),
            _ => (None, None),
        };
        let message = self.envelope(now_ms).inquiry(inquiry, payment, transaction_id)?;
        self.log.messages.push(message);
        self.record(place, now_ms, || TimelineEntry::inquired(inquiry))
    }

    /// Publishes that no page has shown the result of `key`, if that is due at `now_ms`. True if it was: it may have been
    /// acknowledged in this very transaction. The inner error says why the payment has to be passed over.
    ///
    /// # Errors
    /// As for [`Ledger::apply`].
    pub(super) fn escalate(&mut self, key: &Key, now_ms: i64) -> Result<Result<bool, Error>, Error> {
        let (place, record) = match self.rows.get_full_mut(key) {
            Some((place, _, Row::Read(record))) => (place, record),
            Some((_, _, Row::Damaged(damage))) => return Ok(Err(damage.clone())),
            _ => return Ok(Err(damaged(key, "its row is not found by its order"))),
        };
        if !record.finality.escalate(now_ms) {
            return Ok(Ok(false));
        }
        record.changed = true;
        let (payment, arrived_ms) = (Arc::clone(&record.payment), record.finality.at_ms);
        let message = self.envelope(now_ms).undelivered(&payment, arrived_ms)?;
        self.log.messages.push(message);
        self.record(place, now_ms, || TimelineEntry::Undelivered { version: payment.version })?;
        Ok(Ok(true))
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
