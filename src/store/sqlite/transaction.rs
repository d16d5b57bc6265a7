//! One transaction of the writer: each row is read once, the ledger works on it in memory, and what changed is written back
//! once, with what goes with it.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::known::Known;
use super::outbox::{self, Leases};
use super::purge::PurgeCursor;
use super::watched::{self, DuePlace};
use super::{entries, orders, payments, revocations};
use crate::payment::{Key, Payment};
use crate::store::ledger::{Ledger, Progress, Row, Rules, Swept};
use crate::store::{
    Acknowledgement, Applied, Arrival, Error, EscalatedOrders, Inquiry, Note, NoteKind, Outgoing, PageRef, PurgeBefore,
    Purged, Revocation,
};

const TOUCH: &str = "
    INSERT INTO meta (name, value) VALUES ('checked_ms', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Payments passed over that one step tells of.
const LOGGED_MAX: usize = 4;
/// Entries that are as much to copy as one payment.
const ENTRIES_A_PAYMENT: usize = 8;

/// What outlives a transaction and no process. A transaction changes a copy, which counts once it is committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) leases: Leases,
    pub(super) due: Progress<DuePlace>,
    pub(super) purge: PurgeCursor,
    /// Entries of timelines that were written.
    pub(super) entries: u64,
}

/// What was written and removed, and what is to be remembered of it.
pub(super) struct Saved {
    /// Rows to copy from the log.
    pub(super) rows: usize,
    /// Messages put into the outbox.
    pub(super) messages: usize,
    /// Messages taken out of it.
    pub(super) removed: u64,
    pub(super) memory: Memory,
    /// As they stand after it.
    pub(super) payments: Vec<Arc<Payment>>,
    /// Payments were removed.
    pub(super) purged: bool,
}

/// The orders of one transaction on `connection`.
pub(super) struct Transaction<'c> {
    pub(super) connection: &'c Connection,
    ledger: Ledger<'c>,
    /// By place in the ledger: the id by which entries of the order are kept, that of its payment or, negative, of its row
    /// in `watched`. Not set where it is not known.
    ids: Vec<Option<i64>>,
    now: Instant,
    known: &'c Known,
    saved: Saved,
}

impl<'c> Transaction<'c> {
    /// `now_ms` is the time, milliseconds since 1970.
    pub(super) fn new(
        connection: &'c Connection,
        rules: &'c Rules,
        memory: Memory,
        known: &'c Known,
        now_ms: i64,
    ) -> Self {
        let saved = Saved { rows: 0, messages: 0, removed: 0, memory, payments: Vec::new(), purged: false };
        Self { connection, ledger: Ledger::new(rules, now_ms), ids: Vec::new(), now: Instant::now(), known, saved }
    }

    /// Merges one event, unless its payment cannot be read.
    ///
    /// # Errors
    /// After one of these nothing of the transaction may be committed. So it is with all that follow.
    pub(super) fn apply(&mut self, arrival: &Arrival) -> Result<Applied, Error> {
        let key = &arrival.event.key;
        let place = self.load(key)?;
        let watched = self.ledger.asks_watched(place, arrival) && watched::is_watched(self.connection, key)?;
        self.ledger.apply(place, arrival, watched)
    }

    /// [`Transaction::apply`] for each of `arrivals`.
    ///
    /// # Errors
    /// As for [`Transaction::apply`].
    pub(super) fn apply_all(&mut self, arrivals: &[Arrival]) -> Result<Vec<Applied>, Error> {
        arrivals.iter().map(|arrival| self.apply(arrival)).collect()
    }

    /// A page has shown `version`, unless the payment cannot be read.
    pub(super) fn acknowledge(
        &mut self,
        key: &Key,
        version: u64,
        by: PageRef,
    ) -> Result<Result<Acknowledgement, Error>, Error> {
        let place = self.load(key)?;
        self.ledger.acknowledge(place, version, by)
    }

    /// Takes what is recorded behind the events.
    pub(super) fn note(&mut self, note: &Note) -> Result<(), Error> {
        let (key, rules) = (&note.key, self.ledger.rules());
        let is_unread = self.ledger.row(key).is_none();
        match note.what {
            NoteKind::Watched(_) => {
                let matters = rules.escalation.orders == EscalatedOrders::Watched && self.ledger.place(key).is_none();
                if matters && payments::is_unescalated(self.connection, key)? {
                    self.load(key)?;
                }
            }
            _ if !rules.timeline => return Ok(()),
            NoteKind::Pushed { .. } | NoteKind::DeadLettered { .. } if is_unread => {
                match payments::id(self.connection, key)? {
                    Some(id) => {
                        self.put(key, Row::Unread, Some(id));
                    }
                    None if matches!(note.what, NoteKind::DeadLettered { .. }) => {
                        self.load(key)?;
                    }
                    None => {}
                }
            }
            NoteKind::Pushed { .. } | NoteKind::DeadLettered { .. } => {}
        }
        self.ledger.note(note)
    }

    /// Publishes an inquiry, unless there is nothing to ask or it was asked before. True if it did.
    pub(super) fn inquire(&mut self, inquiry: &Inquiry) -> Result<bool, Error> {
        let key = &inquiry.key;
        self.load(key)?;
        if !self.ledger.is_open(key) {
            return Ok(false);
        }
        let Some(id) = watched::inquired(self.connection, key, inquiry.step, self.ledger.now_ms())? else {
            return Ok(false);
        };
        if let Some(Row::Absent) = self.ledger.row(key) {
            self.put(key, Row::Absent, Some(-id));
        }
        self.ledger.inquired(inquiry)?;
        Ok(true)
    }

    /// Publishes which results no page has shown in time. `passes` over what it comes upon where that cannot be written.
    pub(super) fn escalate(&mut self, now_ms: i64, messages_max: usize, passes: bool) -> Result<Swept, Error> {
        let after = self.saved.memory.due.place().copied();
        let due = watched::due(self.connection, now_ms, messages_max, after)?;
        let mut swept = Swept { done: due.len() < messages_max, ..Swept::default() };
        let last = due.last().map(|(place, _)| *place);
        for (place, key) in due {
            let why = match key {
                _ if passes => "it cannot be written".to_owned(),
                None => "its row names no order".to_owned(),
                Some(key) => {
                    self.load(&key)?;
                    match self.ledger.escalate(&key, now_ms)? {
                        Ok(escalated) => {
                            swept.rows += usize::from(escalated);
                            continue;
                        }
                        Err(damage) => damage.to_string(),
                    }
                }
            };
            if swept.damaged < LOGGED_MAX {
                tracing::error!(row = place.1, why, "a result that no page has acknowledged is skipped");
            }
            swept.damaged += 1;
        }
        self.saved.memory.due.step(last, swept.damaged, swept.done, self.now);
        Ok(swept)
    }

    /// Removes some of what is older than is kept.
    pub(super) fn purge(&mut self, before: PurgeBefore, rows_max: usize) -> Result<Purged, Error> {
        // What this transaction has changed is too young to be removed, once it is written.
        self.write()?;
        let purged = self.saved.memory.purge.step(self.connection, before, rows_max, self.now)?;
        self.saved.purged |= purged.payments > 0;
        self.saved.rows += purged.payments + purged.entries;
        Ok(purged)
    }

    /// Leases some messages of the outbox.
    pub(super) fn outbox_lease(&mut self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        self.saved.memory.leases.take(self.connection, messages_max, self.now, lease_ms)
    }

    /// Removes messages of the outbox.
    pub(super) fn outbox_remove(&mut self, ids: &[i64]) -> Result<(), Error> {
        self.saved.removed += outbox::remove(self.connection, ids)?;
        self.saved.memory.leases.end(ids);
        Ok(())
    }

    /// Leaves messages in the outbox for `by`.
    pub(super) fn outbox_postpone(&mut self, ids: &[i64], by: Duration) {
        self.saved.memory.leases.postpone(ids, self.now, by);
    }

    /// Takes a revocation, and forgets what is over at `now_s`.
    pub(super) fn revoke(&mut self, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
        revocations::save(self.connection, revocation, now_s)
    }

    /// Writes something that means nothing, to see whether it can be written.
    pub(super) fn touch(&mut self) -> Result<(), Error> {
        self.connection.prepare_cached(TOUCH)?.execute([self.ledger.now_ms()])?;
        Ok(())
    }

    /// Writes what changed, and answers what was written since the transaction began.
    pub(super) fn save(mut self) -> Result<Saved, Error> {
        self.write()?;
        Ok(self.saved)
    }

    /// Writes what changed, and forgets it.
    fn write(&mut self) -> Result<(), Error> {
        let (rules, now_ms) = (self.ledger.rules(), self.ledger.now_ms());
        let ledger = mem::replace(&mut self.ledger, Ledger::new(rules, now_ms));
        let mut ids = mem::take(&mut self.ids);
        let mut upsert = payments::Upsert::new(self.connection)?;
        for ((_, row), id) in ledger.rows().zip(&mut ids) {
            if let Row::Read(record) = row
                && record.changed
            {
                let known_id = id.filter(|id| *id > 0);
                if known_id.is_none() {
                    // Before it can be seen by anybody else.
                    self.known.insert(&record.payment.key);
                }
                let row_id = upsert.write(known_id, record, now_ms)?;
                self.saved.payments.push(Arc::clone(&record.payment));
                orders::index(self.connection, row_id, record)?;
                *id = Some(row_id);
                self.saved.rows += 1;
            }
        }
        for (key, began) in ledger.began() {
            watched::began(self.connection, key, began, &rules.instance)?;
        }
        entries::write(self.connection, &ledger, &mut ids, self.saved.memory.entries)?;
        let log = ledger.log;
        self.saved.memory.entries += u64::try_from(log.len()).unwrap_or(0);
        let put = outbox::put(self.connection, &log.messages, now_ms)?;
        self.saved.rows += put + log.len() / ENTRIES_A_PAYMENT;
        self.saved.messages += put;
        Ok(())
    }

    /// Reads the payment of `key`, unless this transaction has it already, and answers its place. That it cannot be read is a fact too, since nothing
    /// was changed by the attempt.
    fn load(&mut self, key: &Key) -> Result<usize, Error> {
        if let Some(place) = self.ledger.place(key) {
            return Ok(place);
        }
        if self.known.is_absent(key) {
            return Ok(self.put(key, Row::Absent, None));
        }
        match payments::select(self.connection, key) {
            Ok(Some((id, record))) => Ok(self.put(key, Row::Read(record), Some(id))),
            Ok(None) => Ok(self.put(key, Row::Absent, None)),
            Err(damage) if damage.may_be_of_one_row() => Ok(self.put(key, Row::Damaged(damage), None)),
            Err(error) => Err(error),
        }
    }

    fn put(&mut self, key: &Key, row: Row, id: Option<i64>) -> usize {
        let place = self.ledger.load(key.clone(), row);
        if place >= self.ids.len() {
            self.ids.resize(place + 1, None);
        }
        if id.is_some() {
            self.ids[place] = id;
        }
        place
    }
}
