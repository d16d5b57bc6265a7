//! What one transaction tells: entries of timelines, and messages for the outbox.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use tokio_postgres::Statement;

use super::Settings;
use super::fault::Fault;
use super::keys::Keys;
use super::pool::Session;
use crate::payment::Key;
use crate::store::outgoing::{Envelope, Message};
use crate::store::{ENTRIES_MAX, Error, entries};

const ADD_ENTRIES: &str = "
    INSERT INTO entries (merchant_id, order_id, at_ms, node, what)
    SELECT merchant_id, order_id, at_ms, $5, what
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS told (merchant_id, order_id, at_ms, what)";

const ADD_MESSAGES: &str = "
    INSERT INTO outbox (routing_key, message_id, body)
    SELECT routing_key, message_id, body
    FROM unnest($1::text[], $2::text[], $3::text[]) AS told (routing_key, message_id, body)";

/// Leaves the latest of some orders.
const TRIM: &str = "
    DELETE FROM entries WHERE ctid = ANY (ARRAY(
        SELECT entries.ctid
        FROM unnest($1::text[], $2::text[]) AS long (merchant_id, order_id)
        CROSS JOIN LATERAL (
            SELECT id FROM entries
            WHERE entries.merchant_id = long.merchant_id AND entries.order_id = long.order_id
            ORDER BY id DESC OFFSET $3 LIMIT 1) AS last
        JOIN entries ON entries.merchant_id = long.merchant_id AND entries.order_id = long.order_id
            AND entries.id <= last.id
        FOR UPDATE OF entries SKIP LOCKED))";

/// [`ADD_ENTRIES`], but for those that an attempt before has written, whose answer was lost.
const ADD_MISSING_ENTRIES: &str = "
    INSERT INTO entries (merchant_id, order_id, at_ms, node, what)
    SELECT merchant_id, order_id, at_ms, $5, what
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS told (merchant_id, order_id, at_ms, what)
    WHERE NOT EXISTS (
        SELECT FROM entries
        WHERE entries.merchant_id = told.merchant_id AND entries.order_id = told.order_id
            AND entries.at_ms = told.at_ms AND entries.node = $5 AND entries.what = told.what)";

/// Both, by column.
pub(super) struct Told<'a> {
    pub(super) settings: &'a Settings,
    pub(super) now_ms: i64,
    /// An attempt before may have told some of it.
    again: bool,
    merchant_ids: Vec<String>,
    order_ids: Vec<String>,
    times_ms: Vec<i64>,
    whats: Vec<String>,
    routing_keys: Vec<&'static str>,
    message_ids: Vec<String>,
    bodies: Vec<String>,
}

/// The statements for it.
pub(super) struct Statements {
    entries: Statement,
    trim: Statement,
    messages: Statement,
}

impl<'a> Told<'a> {
    pub(super) fn new(settings: &'a Settings, now_ms: i64) -> Self {
        Self {
            settings,
            now_ms,
            again: false,
            merchant_ids: Vec::new(),
            order_ids: Vec::new(),
            times_ms: Vec::new(),
            whats: Vec::new(),
            routing_keys: Vec::new(),
            message_ids: Vec::new(),
            bodies: Vec::new(),
        }
    }

    /// An attempt before may have written some of the entries.
    pub(super) fn again(&mut self) {
        self.again = true;
    }

    /// One entry, unless timelines are not kept.
    pub(super) fn entry(&mut self, key: &Key, at_ms: i64, told: &entries::Told<'_>) -> Result<(), Error> {
        if self.settings.timeline {
            self.whats.push(told.json()?);
            self.merchant_ids.push(key.merchant_id.as_str().to_owned());
            self.order_ids.push(key.order_id.as_str().to_owned());
            self.times_ms.push(at_ms);
        }
        Ok(())
    }

    /// What all messages of this transaction say.
    pub(super) fn envelope(&self) -> Envelope<'a> {
        Envelope { instance: &self.settings.instance, now_ms: self.now_ms }
    }

    /// One message.
    pub(super) fn message(&mut self, message: Message) {
        self.routing_keys.push(message.routing_key);
        self.message_ids.push(message.message_id);
        self.bodies.push(message.body);
    }

    pub(super) async fn prepare(&self, session: &Session) -> Result<Statements, Fault> {
        let entries = session.prepare(if self.again { ADD_MISSING_ENTRIES } else { ADD_ENTRIES }).await?;
        let (trim, messages) = (session.prepare(TRIM).await?, session.prepare(ADD_MESSAGES).await?);
        Ok(Statements { entries, trim, messages })
    }

    /// Writes both, within the transaction that is open.
    pub(super) async fn save(&self, session: &Session, statements: &Statements) -> Result<(), Fault> {
        let client = session.client()?;
        let entries = async {
            if self.whats.is_empty() {
                return Ok(0);
            }
            let Self { merchant_ids, order_ids, times_ms, whats, .. } = self;
            client
                .execute(&statements.entries, &[merchant_ids, order_ids, times_ms, whats, &self.settings.instance])
                .await
        };
        let trim = async {
            let long = self.long();
            if long.merchant_ids.is_empty() {
                return Ok(0);
            }
            let most = super::most(ENTRIES_MAX);
            client.execute(&statements.trim, &[&long.merchant_ids, &long.order_ids, &most]).await
        };
        let messages = async {
            if self.bodies.is_empty() {
                return Ok(0);
            }
            client.execute(&statements.messages, &[&self.routing_keys, &self.message_ids, &self.bodies]).await
        };
        // In this order: what is removed is counted after what is added.
        let (entries, trim, messages) = futures_util::future::join3(entries, trim, messages).await;
        entries?;
        trim?;
        messages?;
        Ok(())
    }

    /// Orders of which it is looked how many entries they have.
    fn long(&self) -> Keys<'_> {
        let added = u64::try_from(self.whats.len()).unwrap_or(0);
        let before = self.settings.entries.fetch_add(added, Ordering::Relaxed);
        let each = self.merchant_ids.iter().map(String::as_str).zip(self.order_ids.iter().map(String::as_str));
        let looked_at = (before..).zip(each).filter(|(n, _)| entries::trims(*n)).map(|(_, order)| order);
        let orders: BTreeSet<_> = looked_at.collect();
        let (merchant_ids, order_ids) = orders.into_iter().unzip();
        Keys { merchant_ids, order_ids }
    }
}
