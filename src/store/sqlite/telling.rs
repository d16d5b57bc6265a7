//! What is told of orders beside their events: notes, inquiries, results that nobody has shown.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use super::command::Look;
use super::rows::Rows;
use super::timeline::Of;
use super::{limit, payments, watches};
use crate::payment::{Key, MerchantId, OrderId};
use crate::store::entries::Told;
use crate::store::progress::Progress;
use crate::store::{Error, Escalated, EscalatedOrders, Inquiry, Note, NoteKind};

/// Final results whose escalation a page that begins to wait could begin.
const UNESCALATED: &str = "
    SELECT count(*) FROM payments
    WHERE merchant_id = ?1 AND order_id = ?2
        AND final AND acked_version < coalesce(final_version, version) AND escalate_ms IS NULL
        AND NOT coalesce(escalated, false)";

const DUE: &str = "
    SELECT escalate_ms, id, merchant_id, order_id FROM payments
    WHERE escalate_ms <= ?1 AND (escalate_ms, id) > (?2, ?3) ORDER BY escalate_ms, id LIMIT ?4";

/// Payments passed over that one step tells of.
const LOGGED_MAX: usize = 4;

/// A place among what is due: when, and which row.
pub(super) type DuePlace = (i64, i64);

impl Rows<'_> {
    /// Writes what is told.
    pub(super) fn note(&mut self, note: &Note) -> Result<(), Error> {
        let Note { key, at_ms, what } = note;
        match what {
            NoteKind::Watched(page) => {
                watches::watched(self.connection, key, *page, *at_ms, &self.telling.instance)?;
                self.watched(key, *at_ms)
            }
            _ if !self.telling.timeline => Ok(()),
            NoteKind::Pushed { page, version, after_ms } => match self.of(key)? {
                Some(of) => self.tell(of, *at_ms, || Told::pushed(*page, *version, *after_ms)),
                // Removed since.
                None => Ok(()),
            },
            NoteKind::DeadLettered { event_id, reason } => {
                let of = match self.of(key)? {
                    Some(of) => of,
                    None => Of::Order(-watches::row(self.connection, key, *at_ms)?),
                };
                self.tell(of, *at_ms, || Told::DeadLettered { event_id, reason })
            }
        }
    }

    /// A page began to wait: where the result is there already, it may have to be escalated from here on.
    fn watched(&mut self, key: &Key, at_ms: i64) -> Result<(), Error> {
        let escalation = self.telling.escalation;
        if escalation.orders != EscalatedOrders::Watched {
            return Ok(());
        }
        if self.touched(key).is_none() && !is_unescalated(self.connection, key)? {
            return Ok(());
        }
        // Of one that cannot be read it is known that a page waits, and no more.
        if let Ok(Some(place)) = self.find(key)? {
            let row = self.row(place);
            row.changed |= row.settled.watched(row.acked_version, at_ms, escalation);
        }
        Ok(())
    }

    /// Publishes an inquiry, unless there is nothing to ask or it was asked before. True if it did.
    pub(super) fn inquire(&mut self, inquiry: &Inquiry) -> Result<bool, Error> {
        let (key, now_ms) = (&inquiry.key, self.now_ms);
        // Of one that cannot be read nothing can be asked.
        let Ok(known) = self.find(key)? else { return Ok(false) };
        let known = known.map(|place| {
            let row = self.row(place);
            let provider_transaction_id = row.state.provider_transaction_id().map(str::to_owned);
            (Arc::clone(&row.payment), provider_transaction_id)
        });
        if known.as_ref().is_some_and(|(payment, _)| payment.is_final()) {
            return Ok(false);
        }
        let Some(watch_id) = watches::inquired(self.connection, key, inquiry.step, now_ms)? else {
            return Ok(false);
        };
        let (payment, provider_transaction_id) = known.unzip();
        let provider_transaction_id = provider_transaction_id.flatten();
        let message = self.envelope(now_ms).inquiry(inquiry, payment.as_deref(), provider_transaction_id.as_deref())?;
        self.messages.push(message);
        let of = self.touched(key).map_or(Of::Order(-watch_id), Of::Touched);
        self.tell(of, now_ms, || Told::inquired(inquiry))?;
        Ok(true)
    }

    /// Publishes which results no page has shown in time.
    pub(super) fn escalate(&mut self, look: Look, progress: &mut Progress<DuePlace>) -> Result<Escalated, Error> {
        let due = due(self.connection, look, progress.place().copied())?;
        let mut escalated = Escalated { done: due.len() < look.messages_max, ..Escalated::default() };
        let last = due.last().map(|(place, _)| *place);
        for (place, key) in due {
            let why = match key.map(|key| self.find(&key)).transpose()? {
                _ if look.passes => "it cannot be written".to_owned(),
                Some(Ok(Some(place))) => {
                    escalated.messages += usize::from(self.escalate_at(place, look.now_ms)?);
                    continue;
                }
                Some(Err(damage)) => damage.to_string(),
                Some(Ok(None)) => "its row is not found by its order".to_owned(),
                None => "its row names no order".to_owned(),
            };
            if escalated.damaged < LOGGED_MAX {
                tracing::error!(row = place.1, why, "a result that no page has acknowledged is skipped");
            }
            escalated.damaged += 1;
        }
        progress.step(last, escalated.damaged, escalated.done, Instant::now());
        Ok(escalated)
    }

    /// True if it was due: it may have been acknowledged in this very transaction, or be there with a later time.
    fn escalate_at(&mut self, place: usize, now_ms: i64) -> Result<bool, Error> {
        let row = self.row(place);
        if !row.settled.escalate(now_ms) {
            return Ok(false);
        }
        row.changed = true;
        let (payment, arrived_ms) = (Arc::clone(&row.payment), row.settled.at_ms);
        self.messages.push(self.envelope(now_ms).undelivered(&payment, arrived_ms)?);
        self.tell(Of::Touched(place), now_ms, || Told::Undelivered { version: payment.version })?;
        Ok(true)
    }

    /// To what entries of the payment of `key` belong, if there is such a payment.
    fn of(&self, key: &Key) -> Result<Option<Of>, Error> {
        match self.touched(key) {
            Some(place) => Ok(Some(Of::Touched(place))),
            None => Ok(payments::id(self.connection, key)?.map(Of::Order)),
        }
    }
}

fn is_unescalated(connection: &Connection, key: &Key) -> Result<bool, Error> {
    let place = (key.merchant_id.as_str(), key.order_id.as_str());
    Ok(connection.prepare_cached(UNESCALATED)?.query_row(place, |row| row.get(0))?)
}

/// Some of what is due behind `after`. Without a key where the row names none.
fn due(connection: &Connection, look: Look, after: Option<DuePlace>) -> Result<Vec<(DuePlace, Option<Key>)>, Error> {
    let (after_ms, after_id) = after.unwrap_or((i64::MIN, i64::MIN));
    let mut select = connection.prepare_cached(DUE)?;
    let mut rows = select.query((look.now_ms, after_ms, after_id, limit(look.messages_max)))?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let merchant_id = row.get_ref(2)?.as_str().ok().and_then(|text| MerchantId::new(text).ok());
        let order_id = row.get_ref(3)?.as_str().ok().and_then(|text| OrderId::new(text).ok());
        due.push((
            (row.get(0)?, row.get(1)?),
            merchant_id.zip(order_id).map(|(merchant, order)| Key::new(merchant, order)),
        ));
    }
    Ok(due)
}
