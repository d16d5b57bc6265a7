//! The payments that one transaction touches: each read once, merged in memory, written back once if it changed, with
//! what is told of them.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::payments::{self, Kept, Upsert};
use super::timeline::{Lines, Of};
use super::{outbox, watches};
use crate::payment::{Change, Key, Merged, Payment, State};
use crate::store::entries::Told;
use crate::store::escalating::Finality;
use crate::store::outgoing::{Envelope, Message};
use crate::store::{Acknowledgement, Applied, Arrival, Error, Escalation, Outcome, PageRef};

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
    pub(super) settled: Finality,
    pub(super) changed: bool,
}

impl Row {
    fn kept(kept: Kept) -> Self {
        let Kept { id, state, acked_version, settled } = kept;
        let payment = Arc::new(state.payment());
        Self { id: Some(id), state, payment, acked_version, settled, changed: false }
    }

    fn first(state: State) -> Self {
        let payment = Arc::new(state.payment());
        let settled = Finality::default();
        Self { id: None, state, payment, acked_version: 0, settled, changed: true }
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
    places: HashMap<Key, usize>,
    /// In the order in which they were touched.
    rows: Vec<Row>,
    pub(super) messages: Vec<Message>,
    lines: Lines,
    saved: Saved,
}

impl<'c> Rows<'c> {
    pub(super) fn new(connection: &'c Connection, telling: &'c Telling, now_ms: i64) -> Self {
        Self {
            connection,
            telling,
            now_ms,
            places: HashMap::new(),
            rows: Vec::new(),
            messages: Vec::new(),
            lines: Lines::default(),
            saved: Saved::default(),
        }
    }

    /// Merges one event, unless its payment cannot be read.
    ///
    /// # Errors
    /// After one of these nothing of the transaction may be committed.
    pub(super) fn apply(&mut self, arrival: &Arrival) -> Result<Applied, Error> {
        let (event, telling) = (&arrival.event, self.telling);
        let known = match self.find(&event.key)? {
            Ok(known) => known,
            Err(damage) => return Ok(Err(damage)),
        };
        let (place, before, Merged { change, conflicts }) = match known {
            Some(place) => {
                let row = &mut self.rows[place];
                let before = row.payment.status;
                (place, Some(before), row.merge(arrival))
            }
            None => {
                let state = State::first(event.clone());
                let merged = Merged { change: Change::Applied, conflicts: state.conflicts() };
                (self.add(event.key.clone(), Row::first(state)), None, merged)
            }
        };
        let row = &mut self.rows[place];
        if change == Change::Applied {
            let watched = || Ok::<_, Error>(arrival.watched || watches::is_watched(self.connection, &event.key)?);
            row.settled.applied(before, &row.payment, arrival.received_ms, telling.escalation, watched)?;
        }
        let payment = Arc::clone(&row.payment);
        self.tell(Of::Touched(place), arrival.received_ms, || {
            Told::arrived(event, arrival.redelivered, change, payment.version)
        })?;
        if !conflicts.is_empty() {
            let at_ms = arrival.received_ms;
            self.messages.push(self.envelope(at_ms).conflict(&payment, conflicts, &event.event_id)?);
            self.tell(Of::Touched(place), at_ms, || Told::conflict(event, conflicts))?;
        }
        Ok(Ok(Outcome { change, conflicts, payment }))
    }

    /// Notes that a page has shown `version`, unless the payment cannot be read.
    ///
    /// # Errors
    /// As for [`Rows::apply`].
    pub(super) fn acknowledge(
        &mut self,
        key: &Key,
        version: u64,
        by: PageRef,
    ) -> Result<Result<Acknowledgement, Error>, Error> {
        let now_ms = self.now_ms;
        let place = match self.find(key)? {
            Ok(Some(place)) => place,
            Ok(None) => return Ok(Ok(Acknowledgement::NoSuchVersion)),
            Err(damage) => return Ok(Err(damage)),
        };
        let row = &mut self.rows[place];
        if version == 0 || version > row.payment.version {
            return Ok(Ok(Acknowledgement::NoSuchVersion));
        }
        if version <= row.acked_version {
            return Ok(Ok(Acknowledgement::Known));
        }
        let delivered = row.settled.acknowledged(row.acked_version, version);
        row.acked_version = version;
        row.changed = true;
        let Finality { version: final_version, at_ms, .. } = row.settled;
        let is_final = final_version > 0 && version >= final_version;
        let payment = Arc::clone(&row.payment);
        self.tell(Of::Touched(place), now_ms, || {
            Told::acknowledged(by, version, is_final.then(|| now_ms.saturating_sub(at_ms).max(0)))
        })?;
        if delivered {
            self.messages.push(self.envelope(now_ms).delivered(&payment, version, by, at_ms)?);
        }
        Ok(Ok(Acknowledgement::First))
    }

    /// Adds to a timeline, where timelines are kept.
    pub(super) fn tell<'t>(&mut self, of: Of, at_ms: i64, told: impl FnOnce() -> Told<'t>) -> Result<(), Error> {
        if self.telling.timeline { self.lines.add(of, at_ms, &told()) } else { Ok(()) }
    }

    /// Writes something that means nothing, to see whether it can be written.
    pub(super) fn touch(&self) -> Result<(), Error> {
        self.connection.prepare_cached(TOUCH)?.execute([self.now_ms])?;
        Ok(())
    }

    /// Writes what changed, and forgets it. Answers what was written since the transaction began.
    pub(super) fn save(&mut self) -> Result<Saved, Error> {
        let mut upsert = Upsert::new(self.connection)?;
        self.places.clear();
        let mut ids = Vec::with_capacity(self.rows.len());
        for row in self.rows.drain(..) {
            ids.push(match (row.changed, row.id) {
                (false, Some(id)) => id,
                (_, id) => {
                    self.saved.payments += 1;
                    upsert.write(id, &row.payment, &row.state, row.acked_version, row.settled, self.now_ms)?
                }
            });
        }
        self.saved.entries += self.lines.write(self.connection, &self.telling.instance, &ids)?;
        self.saved.messages += outbox::put(self.connection, self.messages.drain(..), self.now_ms)?;
        Ok(self.saved)
    }

    /// Where the payment of `key` is in this transaction, if there is such a payment.
    pub(super) fn place(&mut self, key: &Key) -> Result<Option<usize>, Error> {
        if let Some(place) = self.touched(key) {
            return Ok(Some(place));
        }
        let kept = payments::select(self.connection, key)?;
        Ok(kept.map(|kept| self.add(key.clone(), Row::kept(kept))))
    }

    /// [`Rows::place`]. That this payment cannot be read is an answer, since nothing was changed by the attempt.
    pub(super) fn find(&mut self, key: &Key) -> Result<Result<Option<usize>, Error>, Error> {
        match self.place(key) {
            Err(damage) if damage.may_be_of_one_row() => Ok(Err(damage)),
            place => place.map(Ok),
        }
    }

    /// [`Rows::place`], if this transaction has the payment already.
    pub(super) fn touched(&self, key: &Key) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// The payment at `place`.
    pub(super) fn row(&mut self, place: usize) -> &mut Row {
        &mut self.rows[place]
    }

    fn add(&mut self, key: Key, row: Row) -> usize {
        let place = self.rows.len();
        self.rows.push(row);
        self.places.insert(key, place);
        place
    }

    pub(super) fn envelope(&self, now_ms: i64) -> Envelope<'c> {
        Envelope { instance: &self.telling.instance, now_ms }
    }
}
