//! The payments that one transaction touches: each read once, merged in memory, written back once if it changed, with
//! what is told of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::Connection;

use super::payments::{self, Kept, Upsert};
use super::{outbox, timeline, watches};
use crate::payment::{Change, Conflicts, Key, Merged, Payment, State, Status};
use crate::store::entries::Told;
use crate::store::escalating::Settled;
use crate::store::outgoing::{Envelope, Message};
use crate::store::{Acknowledgement, Arrival, Error, Escalation, Outcome, PageRef};

const TOUCH: &str = "
    INSERT INTO meta (name, value) VALUES ('checked_ms', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// What is told, and when.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) instance: String,
    pub(super) timeline: bool,
    pub(super) escalation: Escalation,
}

/// One payment within the transaction.
pub(super) struct Row {
    /// Not set where the payment is new.
    id: Option<i64>,
    pub(super) state: State,
    pub(super) payment: Arc<Payment>,
    pub(super) acked_version: u64,
    pub(super) settled: Settled,
    pub(super) changed: bool,
    /// Entries for its story, with their times.
    pub(super) told: Vec<(i64, String)>,
}

impl Row {
    fn kept(kept: Kept) -> Self {
        let Kept { id, state, acked_version, settled } = kept;
        let payment = Arc::new(state.payment());
        Self { id: Some(id), state, payment, acked_version, settled, changed: false, told: Vec::new() }
    }

    fn first(state: State) -> Self {
        let payment = Arc::new(state.payment());
        let settled = Settled::default();
        Self { id: None, state, payment, acked_version: 0, settled, changed: true, told: Vec::new() }
    }

    fn merge(&mut self, arrival: &Arrival) -> Merged {
        let merged = self.state.merge(arrival.event.clone());
        match merged.change {
            Change::Applied => {
                self.payment = Arc::new(self.state.payment());
                self.changed = true;
            }
            // What was seen of it has to be remembered.
            Change::Stale => self.changed = true,
            Change::Duplicate | Change::IdReused => {}
        }
        merged
    }
}

/// What was written, for who copies the log.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Saved {
    pub(super) payments: usize,
    pub(super) entries: usize,
    pub(super) messages: usize,
}

/// The payments of one transaction on `connection`.
pub(super) struct Rows<'c> {
    pub(super) connection: &'c Connection,
    pub(super) telling: &'c Telling,
    pub(super) now_ms: i64,
    rows: HashMap<Key, Row>,
    pub(super) messages: Vec<Message>,
    /// Entries of orders whose payment this transaction does not touch, or that have none.
    pub(super) told: Vec<timeline::Line>,
    saved: Saved,
}

impl<'c> Rows<'c> {
    pub(super) fn new(connection: &'c Connection, telling: &'c Telling, now_ms: i64) -> Self {
        let (rows, messages, told) = (HashMap::new(), Vec::new(), Vec::new());
        Self { connection, telling, now_ms, rows, messages, told, saved: Saved::default() }
    }

    /// Merges one event.
    pub(super) fn apply(&mut self, arrival: &Arrival) -> Result<Outcome, Error> {
        let (event, telling) = (&arrival.event, self.telling);
        let (row, before, merged) = match self.rows.entry(event.key.clone()) {
            Entry::Occupied(row) => known(row.into_mut(), arrival),
            Entry::Vacant(vacant) => match payments::select(self.connection, &event.key)? {
                Some(kept) => known(vacant.insert(Row::kept(kept)), arrival),
                None => {
                    let state = State::first(event.clone());
                    let merged = Merged { change: Change::Applied, conflicts: state.conflicts() };
                    (vacant.insert(Row::first(state)), None, merged)
                }
            },
        };
        let Merged { change, conflicts } = merged;
        if change == Change::Applied {
            let watched = || Ok::<_, Error>(arrival.watched || watches::is_watched(self.connection, &event.key)?);
            row.settled.applied(before, &row.payment, arrival.received_ms, telling.escalation, watched)?;
        }
        let payment = Arc::clone(&row.payment);
        if telling.timeline {
            let arrived = Told::arrived(event, arrival.redelivered, change, &payment);
            row.told.push((arrival.received_ms, arrived.json()?));
        }
        if !conflicts.is_empty() {
            self.conflict(arrival, conflicts, &payment)?;
        }
        Ok(Outcome { change, conflicts, payment })
    }

    fn conflict(&mut self, arrival: &Arrival, conflicts: Conflicts, payment: &Payment) -> Result<(), Error> {
        let (event, at_ms) = (&arrival.event, arrival.received_ms);
        self.messages.push(self.envelope(at_ms).conflict(payment, conflicts, &event.event_id)?);
        if self.telling.timeline
            && let Some(row) = self.rows.get_mut(&event.key)
        {
            row.told.push((at_ms, Told::conflict(event, conflicts).json()?));
        }
        Ok(())
    }

    /// Notes that a page has shown `version`.
    pub(super) fn acknowledge(&mut self, key: &Key, version: u64, by: PageRef) -> Result<Acknowledgement, Error> {
        let (now_ms, telling) = (self.now_ms, self.telling);
        let Some(row) = self.find(key)? else {
            return Ok(Acknowledgement::NoSuchVersion);
        };
        if version == 0 || version > row.payment.version {
            return Ok(Acknowledgement::NoSuchVersion);
        }
        if version <= row.acked_version {
            return Ok(Acknowledgement::Known);
        }
        let delivered = row.settled.acknowledged(row.acked_version, version);
        row.acked_version = version;
        row.changed = true;
        let Settled { version: final_version, at_ms, .. } = row.settled;
        if telling.timeline {
            let is_final = final_version > 0 && version >= final_version;
            let since_ms = is_final.then(|| now_ms.saturating_sub(at_ms).max(0));
            row.told.push((now_ms, Told::acknowledged(by, version, since_ms).json()?));
        }
        if delivered {
            let payment = Arc::clone(&row.payment);
            self.messages.push(self.envelope(now_ms).delivered(&payment, version, by, at_ms)?);
        }
        Ok(Acknowledgement::First)
    }

    /// Writes something that means nothing, to see whether it can be written.
    pub(super) fn touch(&self) -> Result<(), Error> {
        self.connection.prepare_cached(TOUCH)?.execute([self.now_ms])?;
        Ok(())
    }

    /// Writes what changed, and forgets it. Answers what was written since the transaction began.
    pub(super) fn save(&mut self) -> Result<Saved, Error> {
        let mut upsert = Upsert::new(self.connection)?;
        let mut timeline = timeline::Writer::new(self.connection, &self.telling.instance)?;
        for (_, row) in self.rows.drain() {
            let id = match (row.changed, row.id) {
                (false, Some(id)) => id,
                (_, id) => {
                    self.saved.payments += 1;
                    upsert.write(id, &row.payment, &row.state, row.acked_version, row.settled, self.now_ms)?
                }
            };
            for (at_ms, entry) in &row.told {
                timeline.write(id, *at_ms, entry)?;
            }
            self.saved.entries += row.told.len();
        }
        for line in self.told.drain(..) {
            timeline.write(line.order_id, line.at_ms, &line.entry)?;
            self.saved.entries += 1;
        }
        self.saved.messages += outbox::put(self.connection, self.messages.drain(..), self.now_ms)?;
        Ok(self.saved)
    }

    /// The payment of `key`, if there is one.
    pub(super) fn find(&mut self, key: &Key) -> Result<Option<&mut Row>, Error> {
        let vacant = match self.rows.entry(key.clone()) {
            Entry::Occupied(row) => return Ok(Some(row.into_mut())),
            Entry::Vacant(vacant) => vacant,
        };
        let kept = payments::select(self.connection, key)?;
        Ok(kept.map(|kept| vacant.insert(Row::kept(kept))))
    }

    /// The payment of `key` if this transaction has it already.
    pub(super) fn touched(&mut self, key: &Key) -> Option<&mut Row> {
        self.rows.get_mut(key)
    }

    pub(super) fn envelope(&self, now_ms: i64) -> Envelope<'c> {
        Envelope { instance: &self.telling.instance, now_ms }
    }
}

fn known<'r>(row: &'r mut Row, arrival: &Arrival) -> (&'r mut Row, Option<Status>, Merged) {
    let before = row.payment.status;
    let merged = row.merge(arrival);
    (row, Some(before), merged)
}
