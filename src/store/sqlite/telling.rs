//! What is told of orders beside their events: notes, inquiries, results that nobody has shown.

use std::sync::Arc;

use rusqlite::Connection;

use super::rows::Rows;
use super::timeline::Of;
use super::{limit, payments, watches};
use crate::payment::{Key, MerchantId, OrderId};
use crate::store::entries::Told;
use crate::store::{Error, EscalatedOrders, Inquiry, Note, Noted};

/// Final results whose escalation a page that begins to wait could begin.
const UNESCALATED: &str = "
    SELECT count(*) FROM payments
    WHERE merchant_id = ?1 AND order_id = ?2
        AND final AND acked_version < coalesce(final_version, version) AND escalate_ms IS NULL
        AND NOT coalesce(escalated, false)";

const DUE: &str = "
    SELECT id, merchant_id, order_id FROM payments WHERE escalate_ms <= ?1 ORDER BY escalate_ms LIMIT ?2";

const FORGET: &str = "UPDATE payments SET escalate_ms = NULL WHERE id = ?1";

impl Rows<'_> {
    /// Writes what is told.
    pub(super) fn note(&mut self, note: &Note) -> Result<(), Error> {
        let Note { key, at_ms, what } = note;
        match what {
            Noted::Watched(page) => {
                watches::watched(self.connection, key, *page, *at_ms, &self.telling.instance)?;
                self.watched(key, *at_ms)
            }
            _ if !self.telling.timeline => Ok(()),
            Noted::Pushed { page, version, after_ms } => match self.of(key)? {
                Some(of) => self.tell(of, *at_ms, || Told::pushed(*page, *version, *after_ms)),
                // Removed since.
                None => Ok(()),
            },
            Noted::DeadLettered { event_id, reason } => {
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

    /// Publishes which results no page has shown in time, and answers how many.
    pub(super) fn escalate(&mut self, now_ms: i64, messages_max: usize) -> Result<usize, Error> {
        let mut escalated = 0;
        for (id, key) in due(self.connection, now_ms, messages_max)? {
            let place = match self.place(&key) {
                Ok(Some(place)) => place,
                Ok(None) => continue,
                Err(Error::Corrupt(why)) => {
                    // It must not stand in the way of others, again and again.
                    tracing::error!(%why, "a result that nobody has shown is not escalated");
                    self.connection.prepare_cached(FORGET)?.execute([id])?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let row = self.row(place);
            // Acknowledged in this very transaction, or there with a later time.
            if !row.settled.escalate(now_ms) {
                continue;
            }
            row.changed = true;
            let (payment, arrived_ms) = (Arc::clone(&row.payment), row.settled.at_ms);
            self.messages.push(self.envelope(now_ms).undelivered(&payment, arrived_ms)?);
            self.tell(Of::Touched(place), now_ms, || Told::Undelivered { version: payment.version })?;
            escalated += 1;
        }
        Ok(escalated)
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

fn due(connection: &Connection, now_ms: i64, messages_max: usize) -> Result<Vec<(i64, Key)>, Error> {
    let mut select = connection.prepare_cached(DUE)?;
    let mut rows = select.query((now_ms, limit(messages_max)))?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let damaged = |what: &str| Error::Corrupt(format!("{what} of a payment that is due"));
        let merchant_id = MerchantId::new(row.get_ref(1)?.as_str().unwrap_or_default());
        let order_id = OrderId::new(row.get_ref(2)?.as_str().unwrap_or_default());
        let merchant_id = merchant_id.map_err(|_rule| damaged("merchant_id"))?;
        due.push((row.get(0)?, Key::new(merchant_id, order_id.map_err(|_rule| damaged("order_id"))?)));
    }
    Ok(due)
}
