//! The table of payments: how one row is read and written.

use rusqlite::{CachedStatement, Connection, params};

use super::absence;
use crate::payment::Key;
use crate::store::Error;
use crate::store::columns::key_columns;
use crate::store::ledger::{self, Finality, Record, damaged};

const SELECT: &str = "
    SELECT state, acked_version, checksum, id, settled_version, settled_ms, escalate_ms, escalated, changed_ms
    FROM payments WHERE merchant_id = ?1 AND order_id = ?2";

const SELECT_ID: &str = "SELECT id FROM payments WHERE merchant_id = ?1 AND order_id = ?2";

const SELECT_ANY: &str = "SELECT count(*) FROM (SELECT id FROM payments LIMIT 1)";

const UPSERT: &str = "
    INSERT INTO payments
        (merchant_id, order_id, version, status, final, acked_version, created_ms, changed_ms, state, checksum,
         settled_version, settled_ms, escalate_ms, escalated)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        version = excluded.version,
        status = excluded.status,
        final = excluded.final,
        acked_version = excluded.acked_version,
        changed_ms = iif(excluded.version > version, excluded.changed_ms, changed_ms),
        state = excluded.state,
        checksum = excluded.checksum,
        settled_version = excluded.settled_version,
        settled_ms = excluded.settled_ms,
        escalate_ms = excluded.escalate_ms,
        escalated = excluded.escalated";

/// Final results whose escalation a page that begins to wait could begin.
const UNESCALATED: &str = "
    SELECT count(*) FROM payments
    WHERE merchant_id = ?1 AND order_id = ?2
        AND final AND acked_version < coalesce(settled_version, version) AND escalate_ms IS NULL
        AND NOT coalesce(escalated, false)";

/// What is kept of the payment of `key`, if it is there, with the id of its row.
///
/// # Errors
/// [`Error::Corrupt`] where it cannot be understood, besides the database's own.
pub(super) fn select(connection: &Connection, key: &Key) -> Result<Option<(i64, Record)>, Error> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query(key_columns(key))?;
    let Some(row) = rows.next()? else {
        absence::prove(connection, key)?;
        return Ok(None);
    };
    let text = row.get_ref(0)?.as_str().map_err(|e| damaged(key, &e.to_string()))?;
    let acked_version = unsigned(key, row.get(1)?)?;
    let finality = match row.get::<_, Option<i64>>(4)? {
        None => None,
        Some(version) => Some(Finality {
            version: unsigned(key, version)?,
            at_ms: row.get(5)?,
            escalate_ms: row.get(6)?,
            escalated: row.get(7)?,
        }),
    };
    // Rows that a version without checksums wrote have none until they are written again.
    if row.get::<_, Option<u32>>(2)?.is_some_and(|expected| expected != checksum(key, acked_version, text, finality)) {
        return Err(damaged(key, "its checksum does not match"));
    }
    let state = ledger::state(key, text)?;
    let finality = match finality {
        Some(finality) => finality,
        // A version that did not keep it wrote the row. When it last changed is the nearest to be known.
        None if state.is_final() => Finality { version: state.version(), at_ms: row.get(8)?, ..Finality::default() },
        None => Finality::default(),
    };
    Ok(Some((row.get(3)?, Record::stored(state, acked_version, finality))))
}

/// The id of the row of `key`, if there is one.
pub(super) fn id(connection: &Connection, key: &Key) -> Result<Option<i64>, Error> {
    let mut select = connection.prepare_cached(SELECT_ID)?;
    let mut rows = select.query(key_columns(key))?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Reads something, to see whether it can be read.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    connection.prepare_cached(SELECT_ANY)?.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(())
}

/// True if a page that begins to wait for `key` may begin its escalation.
pub(super) fn is_unescalated(connection: &Connection, key: &Key) -> Result<bool, Error> {
    Ok(connection.prepare_cached(UNESCALATED)?.query_row(key_columns(key), |row| row.get(0))?)
}

/// Writes rows.
pub(super) struct Upsert<'c> {
    connection: &'c Connection,
    statement: CachedStatement<'c>,
}

impl<'c> Upsert<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self, Error> {
        Ok(Self { connection, statement: connection.prepare_cached(UPSERT)? })
    }

    /// Writes one row and answers its id, which `id` is where the row was there before.
    pub(super) fn write(&mut self, id: Option<i64>, record: &Record, now_ms: i64) -> Result<i64, Error> {
        let Record { state, payment, acked_version, finality, .. } = record;
        let state = serde_json::to_string(state).map_err(|e| Error::Unavailable(e.to_string()))?;
        let key = &payment.key;
        let finality = (finality.version > 0).then_some(*finality);
        self.statement.execute(params![
            key.merchant_id.as_str(),
            key.order_id.as_str(),
            integer(payment.version)?,
            payment.status.as_str(),
            payment.is_final(),
            integer(*acked_version)?,
            now_ms,
            state,
            checksum(key, *acked_version, &state, finality),
            finality.map(|finality| integer(finality.version)).transpose()?,
            finality.map(|finality| finality.at_ms),
            finality.and_then(|finality| finality.escalate_ms),
            finality.map(|finality| finality.escalated),
        ])?;
        Ok(id.unwrap_or_else(|| self.connection.last_insert_rowid()))
    }
}

/// CRC-32 of all that a row is asked for. A digit that a disk has changed is still JSON; only this tells.
fn checksum(key: &Key, acked_version: u64, state: &str, finality: Option<Finality>) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    for text in [key.merchant_id.as_str(), key.order_id.as_str(), state] {
        checksum.update(text.as_bytes());
        checksum.update(&[0]);
    }
    checksum.update(&acked_version.to_be_bytes());
    if let Some(Finality { version, at_ms, escalate_ms, escalated }) = finality {
        checksum.update(&version.to_be_bytes());
        checksum.update(&at_ms.to_be_bytes());
        checksum.update(&escalate_ms.unwrap_or(i64::MIN).to_be_bytes());
        checksum.update(&[u8::from(escalated)]);
    }
    checksum.finalize()
}

fn unsigned(key: &Key, version: i64) -> Result<u64, Error> {
    u64::try_from(version).map_err(|e| damaged(key, &e.to_string()))
}

fn integer(version: u64) -> Result<i64, Error> {
    i64::try_from(version).map_err(|_out_of_range| Error::Corrupt(format!("version {version}")))
}
