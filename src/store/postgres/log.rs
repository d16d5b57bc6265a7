//! What one transaction writes beside payments: entries of timelines, and messages for the outbox, each kind by one
//! statement.

use std::sync::atomic::Ordering;

use futures_util::future::join3;
use tokio_postgres::Statement;

use super::Settings;
use super::fault::Fault;
use super::keys::{columns, sql_limit};
use super::session::Session;
use crate::store::ENTRIES_MAX;
use crate::store::ledger::Ledger;

const ADD_ENTRIES: &str = "
    INSERT INTO entries (merchant_id, order_id, at_ms, node, what)
    SELECT merchant_id, order_id, at_ms, $5, what
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS logged (merchant_id, order_id, at_ms, what)";

/// [`ADD_ENTRIES`], but for those that an attempt before has written, whose answer was lost.
const ADD_MISSING_ENTRIES: &str = "
    INSERT INTO entries (merchant_id, order_id, at_ms, node, what)
    SELECT merchant_id, order_id, at_ms, $5, what
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS logged (merchant_id, order_id, at_ms, what)
    WHERE NOT EXISTS (
        SELECT FROM entries
        WHERE entries.merchant_id = logged.merchant_id AND entries.order_id = logged.order_id
            AND entries.at_ms = logged.at_ms AND entries.node = $5 AND entries.what = logged.what)";

const ADD_MESSAGES: &str = "
    INSERT INTO outbox (routing_key, message_id, body)
    SELECT routing_key, message_id, body
    FROM unnest($1::text[], $2::text[], $3::text[]) AS logged (routing_key, message_id, body)";

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

/// Both, by column.
pub(super) struct Columns<'a> {
    ledger: &'a Ledger<'a>,
    merchant_ids: Vec<&'a str>,
    order_ids: Vec<&'a str>,
    times_ms: Vec<i64>,
    whats: Vec<&'a str>,
    routing_keys: Vec<&'static str>,
    message_ids: Vec<&'a str>,
    bodies: Vec<&'a str>,
}

/// The statements for both.
pub(super) struct Statements {
    entries: Statement,
    trim: Statement,
    messages: Statement,
}

impl Statements {
    pub(super) async fn prepare(session: &Session, ledger: &Ledger<'_>) -> Result<Self, Fault> {
        let add = if ledger.log.may_be_written { ADD_MISSING_ENTRIES } else { ADD_ENTRIES };
        let entries = session.prepare(add).await?;
        let (trim, messages) = (session.prepare(TRIM).await?, session.prepare(ADD_MESSAGES).await?);
        Ok(Self { entries, trim, messages })
    }
}

impl<'a> Columns<'a> {
    pub(super) fn of(ledger: &'a Ledger<'a>) -> Result<Self, Fault> {
        let (mut merchant_ids, mut order_ids) = (Vec::new(), Vec::new());
        let (mut times_ms, mut whats) = (Vec::new(), Vec::new());
        for entry in ledger.log.entries() {
            let (place, at_ms, what) = entry?;
            let Some((key, _)) = ledger.at(place) else { continue };
            merchant_ids.push(key.merchant_id.as_str());
            order_ids.push(key.order_id.as_str());
            times_ms.push(at_ms);
            whats.push(what);
        }
        let messages = &ledger.log.messages;
        Ok(Self {
            ledger,
            merchant_ids,
            order_ids,
            times_ms,
            whats,
            routing_keys: messages.iter().map(|message| message.routing_key).collect(),
            message_ids: messages.iter().map(|message| message.message_id.as_str()).collect(),
            bodies: messages.iter().map(|message| message.body.as_str()).collect(),
        })
    }

    /// Writes both, within the transaction that is open.
    pub(super) async fn save(
        &self,
        session: &Session,
        settings: &Settings,
        statements: &Statements,
    ) -> Result<(), Fault> {
        let client = session.client()?;
        let entries = async {
            if self.whats.is_empty() {
                return Ok(0);
            }
            let Self { merchant_ids, order_ids, times_ms, whats, .. } = self;
            let node = &settings.rules.instance;
            client.execute(&statements.entries, &[merchant_ids, order_ids, times_ms, whats, node]).await
        };
        let trim = async {
            let (merchant_ids, order_ids) = self.trimmed(settings);
            if merchant_ids.is_empty() {
                return Ok(0);
            }
            client.execute(&statements.trim, &[&merchant_ids, &order_ids, &sql_limit(ENTRIES_MAX)]).await
        };
        let messages = async {
            if self.bodies.is_empty() {
                return Ok(0);
            }
            client.execute(&statements.messages, &[&self.routing_keys, &self.message_ids, &self.bodies]).await
        };
        // In this order: what is removed is counted after what is added.
        let (entries, trim, messages) = join3(entries, trim, messages).await;
        entries?;
        trim?;
        messages?;
        Ok(())
    }

    /// Orders of which it is looked how many entries they have.
    fn trimmed(&self, settings: &Settings) -> (Vec<&str>, Vec<&str>) {
        let added = u64::try_from(self.whats.len()).unwrap_or(0);
        let written = settings.entries.fetch_add(added, Ordering::Relaxed);
        let places = self.ledger.log.trimmed(written).into_iter();
        places.filter_map(|place| self.ledger.at(place)).map(|(key, _)| columns(key)).unzip()
    }
}
