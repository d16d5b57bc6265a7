//! What pages and the passing of time do to payments.

use std::sync::Arc;

use super::entry::TimelineEntry;
use super::finality::Finality;
use super::row::{Row, damaged};
use super::{Began, Ledger, unloaded};
use crate::payment::Key;
use crate::store::{Acknowledgement, Error, Inquiry, Note, NoteKind, PageRef};

impl Ledger<'_> {
    /// A page has shown `version` of the order at `place`, unless the payment cannot be understood.
    ///
    /// # Errors
    /// As for [`Ledger::apply`].
    pub(in crate::store) fn acknowledge(
        &mut self,
        place: usize,
        version: u64,
        by: PageRef,
    ) -> Result<Result<Acknowledgement, Error>, Error> {
        let record = match self.rows.get_index_mut(place) {
            Some((_, Row::Read(record))) => record,
            Some((_, Row::Damaged(damage))) => return Ok(Err(damage.clone())),
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
    pub(in crate::store) fn note(&mut self, note: &Note) -> Result<(), Error> {
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
    pub(in crate::store) fn watch(&mut self, key: &Key, at_ms: i64) {
        if let Some(Row::Read(record)) = self.rows.get_mut(key) {
            record.changed |= record.finality.watched(record.acked_version, at_ms, self.rules.escalation);
        }
    }

    /// Whether there is something to ask the provider: the order has no final result, and is not one of which nothing can be
    /// understood.
    pub(in crate::store) fn is_open(&self, key: &Key) -> bool {
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
    pub(in crate::store) fn inquired(&mut self, inquiry: &Inquiry) -> Result<(), Error> {
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
    pub(in crate::store) fn escalate(&mut self, key: &Key, now_ms: i64) -> Result<Result<bool, Error>, Error> {
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
}
