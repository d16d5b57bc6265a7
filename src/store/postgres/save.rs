//! What one transaction writes: payments, entries of timelines, messages for the outbox, each kind by one statement.

use std::sync::atomic::Ordering;

use futures_util::future::join3;
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::fault::Fault;
use super::keys::signed;
use super::options::Settings;
use super::orders::Index;
use super::session::Session;
use crate::payment::Key;
use crate::store::columns::{key_columns, sql_limit};
use crate::store::ledger::{Ledger, Record, Row};
use crate::store::{ENTRIES_MAX, Error};

const SAVE: &str = "
    UPDATE payments SET
        version = changed.version,
        status = changed.status,
        final = changed.final,
        acked_version = changed.acked_version,
        settled_version = changed.settled_version,
        settled_ms = changed.settled_ms,
        escalate_ms = changed.escalate_ms,
        escalated = changed.escalated,
        changed_ms = CASE WHEN changed.version > payments.version THEN $12 ELSE payments.changed_ms END,
        state = changed.state
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::boolean[], $11::text[])
        AS changed (merchant_id, order_id, version, status, final, acked_version, settled_version,
            settled_ms, escalate_ms, escalated, state)
    WHERE payments.merchant_id = changed.merchant_id AND payments.order_id = changed.order_id";

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

/// Writes what changed and what belongs to it, and commits.
pub(super) async fn commit(session: &Session, settings: &Settings, ledger: &Ledger<'_>) -> Result<(), Fault> {
    let (changed, save) = (Changed::of(ledger)?, session.prepare(SAVE).await?);
    let index = Index::of(session, ledger).await?;
    let (log, statements) = (Logged::of(ledger)?, Statements::prepare(session, ledger).await?);
    let now_ms = ledger.now_ms();
    let last = async {
        let (saved, indexed, logged) =
            join3(changed.save(session, &save, now_ms), index.save(session), log.save(session, settings, &statements))
                .await;
        saved.and(indexed).and(logged)
    };
    session.commit(Box::pin(last)).await
}

/// The rows that changed, by column, so that any number of them is one statement.
#[derive(Default)]
struct Changed<'a> {
    merchant_ids: Vec<&'a str>,
    order_ids: Vec<&'a str>,
    versions: Vec<i64>,
    statuses: Vec<&'a str>,
    finals: Vec<bool>,
    acked_versions: Vec<i64>,
    settled_versions: Vec<i64>,
    settled_ms: Vec<i64>,
    escalate_ms: Vec<Option<i64>>,
    escalated: Vec<bool>,
    states: Vec<String>,
}

impl<'a> Changed<'a> {
    fn of(ledger: &'a Ledger<'_>) -> Result<Self, Fault> {
        let mut changed = Self::default();
        for (key, row) in ledger.rows() {
            if let Row::Read(record) = row
                && record.changed
            {
                changed.push(key, record)?;
            }
        }
        Ok(changed)
    }

    fn push(&mut self, key: &'a Key, record: &'a Record) -> Result<(), Fault> {
        let Record { state, payment, acked_version, finality, .. } = record;
        self.merchant_ids.push(key.merchant_id.as_str());
        self.order_ids.push(key.order_id.as_str());
        self.versions.push(signed(payment.version)?);
        self.statuses.push(payment.status.as_str());
        self.finals.push(payment.is_final());
        self.acked_versions.push(signed(*acked_version)?);
        self.settled_versions.push(signed(finality.version)?);
        self.settled_ms.push(finality.at_ms);
        self.escalate_ms.push(finality.escalate_ms);
        self.escalated.push(finality.escalated);
        self.states.push(serde_json::to_string(state).map_err(|e| Error::Unavailable(e.to_string()))?);
        Ok(())
    }

    async fn save(&self, session: &Session, save: &Statement, now_ms: i64) -> Result<(), Fault> {
        if self.states.is_empty() {
            return Ok(());
        }
        let columns: [&(dyn ToSql + Sync); 12] = [
            &self.merchant_ids,
            &self.order_ids,
            &self.versions,
            &self.statuses,
            &self.finals,
            &self.acked_versions,
            &self.settled_versions,
            &self.settled_ms,
            &self.escalate_ms,
            &self.escalated,
            &self.states,
            &now_ms,
        ];
        session.client()?.execute(save, &columns).await?;
        Ok(())
    }
}

/// What is written beside payments, by column.
struct Logged<'a> {
    ledger: &'a Ledger<'a>,
    merchant_ids: Vec<&'a str>,
    order_ids: Vec<&'a str>,
    times_ms: Vec<i64>,
    whats: Vec<&'a str>,
    routing_keys: Vec<&'static str>,
    message_ids: Vec<&'a str>,
    bodies: Vec<&'a str>,
}

/// The statements for it.
struct Statements {
    entries: Statement,
    trim: Statement,
    messages: Statement,
}

impl Statements {
    async fn prepare(session: &Session, ledger: &Ledger<'_>) -> Result<Self, Fault> {
        let add = if ledger.log.may_be_written { ADD_MISSING_ENTRIES } else { ADD_ENTRIES };
        let entries = session.prepare(add).await?;
        let (trim, messages) = (session.prepare(TRIM).await?, session.prepare(ADD_MESSAGES).await?);
        Ok(Self { entries, trim, messages })
    }
}

impl<'a> Logged<'a> {
    fn of(ledger: &'a Ledger<'a>) -> Result<Self, Fault> {
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

    /// Writes it, within the transaction that is open.
    async fn save(&self, session: &Session, settings: &Settings, statements: &Statements) -> Result<(), Fault> {
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
        places.filter_map(|place| self.ledger.at(place)).map(|(key, _)| key_columns(key)).unzip()
    }
}
