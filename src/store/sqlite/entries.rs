//! The table of timelines: a log, written at its end and removed from its beginning.
//!
//! An entry belongs to a payment by the id of its row, or, where no payment of an order is known, to its row in `watched` by
//! that row's id, negative.

use std::time::Instant;

use rusqlite::Connection;

use super::{payments, watched};
use crate::payment::Key;
use crate::runtime::unix_ms;
use crate::store::columns::sql_limit;
use crate::store::ledger::{Examined, Ledger, Progress, Row, StoredEntry, Swept, assemble, damaged, examine};
use crate::store::{ENTRIES_MAX, Error, Timeline};

const INSERT: &str = "INSERT INTO entries (payment_id, at_ms, node, what) VALUES (?1, ?2, ?3, ?4)";

/// Leaves the latest of one order.
const TRIM: &str = "
    DELETE FROM entries WHERE payment_id = ?1 AND id <= (
        SELECT id FROM entries WHERE payment_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";

const SELECT: &str = "
    SELECT at_ms, node, what FROM entries WHERE payment_id IN (?1, ?2) ORDER BY id DESC LIMIT ?3";

const DELETE: &str = "DELETE FROM entries WHERE payment_id = ?1";

const OLDEST: &str = "SELECT id, at_ms FROM entries WHERE id > ?1 ORDER BY id LIMIT ?2";

const DELETE_ONE: &str = "DELETE FROM entries WHERE id = ?1";

/// Writes all entries of a transaction whose payments are written. `ids` are those that are known, by place; `written` entries
/// were written before by this process.
pub(super) fn write(
    connection: &Connection,
    ledger: &Ledger<'_>,
    ids: &mut [Option<i64>],
    written: u64,
) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(INSERT)?;
    let node = &ledger.rules().instance;
    for entry in ledger.log.entries() {
        let (place, at_ms, json) = entry?;
        let id = match ids[place] {
            Some(id) => id,
            None => *ids[place].insert(owner(connection, ledger, place, at_ms)?),
        };
        insert.execute((id, at_ms, node, json))?;
    }
    for place in ledger.log.trimmed(written) {
        connection.prepare_cached(TRIM)?.execute((ids[place], sql_limit(ENTRIES_MAX)))?;
    }
    Ok(())
}

/// By what the entries of an order are kept of which the transaction does not know it.
fn owner(connection: &Connection, ledger: &Ledger<'_>, place: usize, at_ms: i64) -> Result<i64, Error> {
    let Some((key, row)) = ledger.at(place) else {
        return Err(Error::Unavailable("an entry of no order".to_owned()));
    };
    let payment_id = if matches!(row, Row::Absent) { None } else { payments::id(connection, key)? };
    match payment_id {
        Some(id) => Ok(id),
        None => Ok(-watched::row(connection, key, at_ms)?),
    }
}

/// Removes all of one order.
pub(super) fn remove(connection: &Connection, payment_id: i64) -> Result<usize, Error> {
    Ok(connection.prepare_cached(DELETE)?.execute([payment_id])?)
}

/// Removes those from before `before_ms` among the oldest `rows_max`.
pub(super) fn remove_oldest(
    connection: &Connection,
    progress: &mut Progress<i64>,
    before_ms: i64,
    rows_max: usize,
    now: Instant,
) -> Result<Swept, Error> {
    let after_id = progress.place().copied().unwrap_or(i64::MIN);
    let mut select = connection.prepare_cached(OLDEST)?;
    let found = select.query_map((after_id, sql_limit(rows_max)), |row| Ok((row.get(0)?, row.get(1).ok())))?;
    let rows = found.collect::<Result<Vec<(i64, Option<i64>)>, _>>()?;
    let times: Vec<_> = rows.iter().map(|(_, at_ms)| at_ms.map(|at_ms| (at_ms, at_ms))).collect();
    let Examined { looked_at, old, done } = examine(&times, before_ms, unix_ms(), rows_max);
    let mut delete = connection.prepare_cached(DELETE_ONE)?;
    for place in &old {
        delete.execute([rows[*place].0])?;
    }
    progress.step(looked_at.checked_sub(1).map(|place| rows[place].0), 0, done, now);
    Ok(Swept { rows: old.len(), damaged: 0, done })
}

/// All that is kept of one order.
pub(super) fn read(connection: &Connection, key: &Key) -> Result<Timeline, Error> {
    let (payment_id, record) = payments::select(connection, key)?.unzip();
    let (watch_id, watch) = watched::read(connection, key)?.unzip();
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query((payment_id, watch_id.map(|id: i64| -id), sql_limit(ENTRIES_MAX)))?;
    let mut stored = Vec::new();
    while let Some(row) = rows.next()? {
        let json = row.get_ref(2)?.as_str().map_err(|e| damaged(key, &format!("its timeline: {e}")))?.to_owned();
        stored.push(StoredEntry { at_ms: row.get(0)?, node: row.get(1)?, json });
    }
    stored.reverse();
    assemble(key, record, stored, watch)
}
