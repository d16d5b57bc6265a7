//! The table of what is told of orders: a log, written at its end and removed from its beginning.
//!
//! An entry belongs to a payment by the id of its row, or, where nothing but waiting is known of an order, to its row
//! in `watches` by that row's id, negative.

use rusqlite::Connection;

use super::{limit, payments, watches};
use crate::payment::Key;
use crate::store::entries::{Told, trims};
use crate::store::{ENTRIES_MAX, Entry, Error, Timeline};

const INSERT: &str = "INSERT INTO timeline (order_id, at_ms, node, entry) VALUES (?1, ?2, ?3, ?4)";

/// Leaves the latest of one order.
const TRIM: &str = "
    DELETE FROM timeline WHERE order_id = ?1 AND id <= (
        SELECT id FROM timeline WHERE order_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";

const SELECT: &str = "
    SELECT at_ms, node, entry FROM timeline WHERE order_id IN (?1, ?2) ORDER BY id DESC LIMIT ?3";

const DELETE: &str = "DELETE FROM timeline WHERE order_id = ?1";

/// Looks at the oldest and removes what is too old of them.
const DELETE_OLDEST: &str = "
    DELETE FROM timeline WHERE at_ms < ?1 AND id IN (SELECT id FROM timeline ORDER BY id LIMIT ?2)";

/// Whose timeline an entry belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// A payment of this transaction, by its place there: its id is known once it is written.
    Touched(usize),
    /// An order by its id in the table.
    Order(i64),
}

/// Entries that wait to be written, their JSON one behind the other.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    of: Of,
    at_ms: i64,
    /// Where its JSON ends. It begins where that of the line before ends.
    end: usize,
}

impl Lines {
    pub(super) fn add(&mut self, of: Of, at_ms: i64, told: &Told<'_>) -> Result<(), Error> {
        told.write(&mut self.text)?;
        self.lines.push(Line { of, at_ms, end: self.text.len() });
        Ok(())
    }

    /// Writes all, and answers how many. `ids` are those of the transaction's payments.
    pub(super) fn write(&mut self, connection: &Connection, node: &str, ids: &[i64]) -> Result<usize, Error> {
        let mut insert = connection.prepare_cached(INSERT)?;
        let mut begin = 0;
        for Line { of, at_ms, end } in &self.lines {
            let order_id = match of {
                Of::Touched(place) => ids[*place],
                Of::Order(order_id) => *order_id,
            };
            let entry = str::from_utf8(&self.text[begin..*end]).map_err(|e| Error::Unavailable(e.to_string()))?;
            begin = *end;
            let id = insert.insert((order_id, at_ms, node, entry))?;
            if trims(id.unsigned_abs()) {
                connection.prepare_cached(TRIM)?.execute((order_id, limit(ENTRIES_MAX)))?;
            }
        }
        let written = self.lines.len();
        self.lines.clear();
        self.text.clear();
        Ok(written)
    }
}

/// Removes all of one order.
pub(super) fn remove(connection: &Connection, order_id: i64) -> Result<usize, Error> {
    Ok(connection.prepare_cached(DELETE)?.execute([order_id])?)
}

/// Removes those from before `before_ms` among the oldest `rows_max`.
pub(super) fn remove_oldest(connection: &Connection, before_ms: i64, rows_max: usize) -> Result<usize, Error> {
    Ok(connection.prepare_cached(DELETE_OLDEST)?.execute((before_ms, limit(rows_max)))?)
}

/// All that is remembered of one order.
pub(super) fn read(connection: &Connection, key: &Key) -> Result<Timeline, Error> {
    let kept = payments::select(connection, key)?;
    let watch = watches::read(connection, key)?;
    let payment_id = kept.as_ref().map(|kept| kept.id);
    let watch_id = watch.as_ref().map(|watch| -watch.id);
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query((payment_id, watch_id, limit(ENTRIES_MAX)))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str().map_err(|e| damaged(key, &e))?, key)?);
    }
    entries.reverse();
    if let Some(watched) = watch.filter(|watch| watch.pages > 0) {
        let told = watched.told().json()?;
        entries.push(entry(watched.first_ms, watched.node, &told, key)?);
    }
    entries.sort_by_key(|entry| entry.at_ms);
    let surplus = entries.len().saturating_sub(ENTRIES_MAX);
    entries.drain(..surplus);
    let (payment, acked_version) = match kept {
        Some(kept) => (Some(kept.state.payment().into()), kept.acked_version),
        None => (None, 0),
    };
    Ok(Timeline { payment, acked_version, entries })
}

fn entry(at_ms: i64, node: String, json: &str, key: &Key) -> Result<Entry, Error> {
    Ok(Entry { at_ms, node, what: serde_json::from_str(json).map_err(|e| damaged(key, &e))? })
}

fn damaged(key: &Key, why: &dyn std::error::Error) -> Error {
    Error::Corrupt(format!("timeline of merchant {} order {}: {why}", key.merchant_id, key.order_id))
}
