//! The payments that one transaction touches: each read once, merged in memory, written back once if it changed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::absence;
use crate::payment::{Change, Event, Key, Merged, Payment, State};
use crate::store::{Acknowledgement, Error, Outcome};

const SELECT: &str = "SELECT state, acked_version, checksum FROM payments WHERE merchant_id = ?1 AND order_id = ?2";

const SELECT_ANY: &str = "SELECT count(*) FROM (SELECT id FROM payments LIMIT 1)";

const UPSERT: &str = "
    INSERT INTO payments
        (merchant_id, order_id, version, status, final, acked_version, created_ms, changed_ms, state, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        version = excluded.version,
        status = excluded.status,
        final = excluded.final,
        acked_version = excluded.acked_version,
        changed_ms = iif(excluded.version > version, excluded.changed_ms, changed_ms),
        state = excluded.state,
        checksum = excluded.checksum";

const TOUCH: &str = "
    INSERT INTO meta (name, value) VALUES ('checked_ms', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// One payment within the transaction.
struct Row {
    state: State,
    payment: Arc<Payment>,
    acked_version: u64,
    changed: bool,
}

/// The payments of one transaction on `connection`.
pub(super) struct Rows<'c> {
    connection: &'c Connection,
    rows: HashMap<Key, Row>,
}

impl<'c> Rows<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, rows: HashMap::new() }
    }

    /// Merges one event.
    pub(super) fn apply(&mut self, event: &Event) -> Result<Outcome, Error> {
        let Some(row) = self.find(&event.key)? else {
            let state = State::first(event.clone());
            let conflicts = state.conflicts();
            let payment = Arc::new(state.payment());
            let row = Row { state, payment: Arc::clone(&payment), acked_version: 0, changed: true };
            self.rows.insert(event.key.clone(), row);
            return Ok(Outcome { change: Change::Applied, conflicts, payment });
        };
        let Merged { change, conflicts } = row.state.merge(event.clone());
        match change {
            Change::Applied => {
                row.payment = Arc::new(row.state.payment());
                row.changed = true;
            }
            // What was seen of it has to be remembered.
            Change::Stale => row.changed = true,
            Change::Duplicate | Change::IdReused => {}
        }
        Ok(Outcome { change, conflicts, payment: Arc::clone(&row.payment) })
    }

    /// Notes that a page has shown `version`.
    pub(super) fn acknowledge(&mut self, key: &Key, version: u64) -> Result<Acknowledgement, Error> {
        let Some(row) = self.find(key)?.filter(|row| (1..=row.state.version()).contains(&version)) else {
            return Ok(Acknowledgement::NoSuchVersion);
        };
        if version <= row.acked_version {
            return Ok(Acknowledgement::Known);
        }
        row.acked_version = version;
        row.changed = true;
        Ok(Acknowledgement::First)
    }

    /// Writes something that means nothing, to see whether it can be written.
    pub(super) fn touch(&self, now_ms: i64) -> Result<(), Error> {
        self.connection.prepare_cached(TOUCH)?.execute([now_ms])?;
        Ok(())
    }

    /// Writes what changed. Answers how many rows that was.
    pub(super) fn save(self, now_ms: i64) -> Result<usize, Error> {
        let mut upsert = self.connection.prepare_cached(UPSERT)?;
        let mut saved = 0;
        for (key, row) in self.rows.iter().filter(|(_, row)| row.changed) {
            let state = serde_json::to_string(&row.state).map_err(|e| Error::Unavailable(e.to_string()))?;
            saved += upsert.execute(params![
                key.merchant_id.as_str(),
                key.order_id.as_str(),
                integer(row.payment.version)?,
                row.payment.status.as_str(),
                row.payment.is_final(),
                integer(row.acked_version)?,
                now_ms,
                state,
                checksum(key, row.acked_version, &state),
            ])?;
        }
        Ok(saved)
    }

    fn find(&mut self, key: &Key) -> Result<Option<&mut Row>, Error> {
        let vacant = match self.rows.entry(key.clone()) {
            Entry::Occupied(row) => return Ok(Some(row.into_mut())),
            Entry::Vacant(vacant) => vacant,
        };
        let Some((state, acked_version)) = select(self.connection, key)? else {
            return Ok(None);
        };
        let payment = Arc::new(state.payment());
        Ok(Some(vacant.insert(Row { state, payment, acked_version, changed: false })))
    }
}

/// The payment as it stands on `connection`.
pub(super) fn read(connection: &Connection, key: &Key) -> Result<Option<Payment>, Error> {
    Ok(select(connection, key)?.map(|(state, _)| state.payment()))
}

/// What a row says, and the version that was acknowledged, if there is such a row.
fn select(connection: &Connection, key: &Key) -> Result<Option<(State, u64)>, Error> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query(params![key.merchant_id.as_str(), key.order_id.as_str()])?;
    let Some(row) = rows.next()? else {
        absence::prove(connection, key)?;
        return Ok(None);
    };
    let text = row.get_ref(0)?.as_str().map_err(|e| damaged(key, &e.to_string()))?;
    let acked_version = row.get::<_, i64>(1)?;
    let acked_version = u64::try_from(acked_version).map_err(|e| damaged(key, &e.to_string()))?;
    // Rows that a version without checksums wrote have none until they are written again.
    if row.get::<_, Option<u32>>(2)?.is_some_and(|expected| expected != checksum(key, acked_version, text)) {
        return Err(damaged(key, "its checksum does not match"));
    }
    let state: State = serde_json::from_str(text).map_err(|e| damaged(key, &e.to_string()))?;
    if state.key() != key {
        return Err(damaged(key, "the row holds another payment"));
    }
    Ok(Some((state, acked_version)))
}

/// CRC-32 of all that a row is asked for. A digit that a disk has changed is still JSON; only this tells.
fn checksum(key: &Key, acked_version: u64, state: &str) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    for text in [key.merchant_id.as_str(), key.order_id.as_str(), state] {
        checksum.update(text.as_bytes());
        checksum.update(&[0]);
    }
    checksum.update(&acked_version.to_be_bytes());
    checksum.finalize()
}

/// Reads something, to see whether it can be read.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    connection.prepare_cached(SELECT_ANY)?.query_row([], |row| row.get::<_, i64>(0))?;
    Ok(())
}

fn damaged(key: &Key, what: &str) -> Error {
    Error::Corrupt(format!("payment of merchant {} order {}: {what}", key.merchant_id, key.order_id))
}

fn integer(version: u64) -> Result<i64, Error> {
    i64::try_from(version).map_err(|_out_of_range| Error::Corrupt(format!("version {version}")))
}
