//! Removes what is older than is kept, a few rows a step. Rows are walked in the order they were made in, so that a step
//! looks at no more than it may and none scans a table. Pages that become free are what later rows are written to.

use std::time::Instant;

use rusqlite::Connection;

use super::{limit, payments, timeline};
use crate::payment::{Key, MerchantId, OrderId};
use crate::store::progress::Progress;
use crate::store::{Error, PurgeBefore, Purged};

/// A table whose rows are walked: their shape is that of `ExpiredRow`.
struct Table {
    select: &'static str,
    last: &'static str,
}

const PAYMENTS: Table = Table {
    select: "SELECT id, merchant_id, order_id, created_ms, changed_ms FROM payments WHERE id > ?1 ORDER BY id LIMIT ?2",
    last: "SELECT coalesce(max(id), 0) FROM payments",
};

const WATCHES: Table = Table {
    select: "SELECT id, merchant_id, order_id, made_ms, last_ms FROM watches WHERE id > ?1 ORDER BY id LIMIT ?2",
    last: "SELECT coalesce(max(id), 0) FROM watches",
};

const DELETE_PAYMENT: &str = "DELETE FROM payments WHERE id = ?1";
const DELETE_WATCH_OF: &str = "DELETE FROM watches WHERE merchant_id = ?1 AND order_id = ?2 RETURNING id";

/// Where the next step goes on.
#[derive(Debug, Clone)]
pub(super) struct RetentionCursor {
    payments: Progress<i64>,
    watches: Progress<i64>,
}

/// A row of one of the two tables.
struct ExpiredRow {
    id: i64,
    merchant_id: String,
    order_id: String,
    made_ms: i64,
    changed_ms: i64,
}

/// What one step in one table came to.
#[derive(Default)]
struct Walked {
    removed: usize,
    damaged: usize,
    done: bool,
}

impl RetentionCursor {
    pub(super) fn new() -> Self {
        Self { payments: Progress::new(), watches: Progress::new() }
    }

    /// One step.
    pub(super) fn step(
        &mut self,
        connection: &Connection,
        before: PurgeBefore,
        rows_max: usize,
    ) -> Result<Purged, Error> {
        let rows_max = rows_max.max(1);
        let payments = walk(connection, &PAYMENTS, &mut self.payments, before.payments_ms, rows_max, |aged| {
            let removed = timeline::remove(connection, aged.id)?;
            connection.prepare_cached(DELETE_PAYMENT)?.execute([aged.id])?;
            Ok(removed + remove_watch(connection, aged)?)
        })?;
        let watches = walk(connection, &WATCHES, &mut self.watches, before.unknown_ms, rows_max, |aged| {
            // Where its payment is kept, it goes with that.
            if has_payment(connection, aged)? { Ok(0) } else { remove_watch(connection, aged) }
        })?;
        let entries = apart(connection, || timeline::remove_oldest(connection, before.entries_ms, rows_max))?;
        let unremoved = entries.as_ref().err();
        if let Some(error) = unremoved {
            tracing::error!(%error, "old entries of timelines are not removed");
        }
        let damaged = payments.damaged + watches.damaged + usize::from(unremoved.is_some());
        let entries = entries.unwrap_or(0);
        let done = payments.done && watches.done && entries < rows_max;
        Ok(Purged { payments: payments.removed, entries, damaged, done })
    }
}

/// Gives each row that last changed before `before_ms` to `remove`, which answers how many entries went with it, until that
/// is enough.
fn walk(
    connection: &Connection,
    table: &Table,
    progress: &mut Progress<i64>,
    before_ms: i64,
    rows_max: usize,
    mut remove: impl FnMut(&ExpiredRow) -> Result<usize, Error>,
) -> Result<Walked, Error> {
    let after_id = progress.place().copied().unwrap_or(0);
    let rows = match aged(connection, table, after_id, rows_max) {
        Err(error) if error.may_be_of_one_row() => return Ok(pass(connection, table, progress, rows_max, &error)),
        rows => rows?,
    };
    let mut walked = Walked { done: rows.len() < rows_max, ..Walked::default() };
    let (mut last, mut removed_entries) = (None, 0);
    for (id, row) in rows {
        let removed = match &row {
            Ok(aged) if aged.made_ms >= before_ms => {
                walked.done = true;
                break;
            }
            Ok(aged) if aged.changed_ms >= before_ms => Ok(None),
            Ok(aged) => apart(connection, || remove(aged).map(Some))?,
            Err(error) => Err(error.clone()),
        };
        last = Some(id);
        match removed {
            Ok(None) => {}
            Ok(Some(entries)) => {
                walked.removed += 1;
                removed_entries += entries;
            }
            Err(error) => {
                walked.damaged += 1;
                tracing::error!(row = id, %error, "an old row cannot be removed and is skipped");
            }
        }
        if removed_entries >= rows_max {
            walked.done = false;
            break;
        }
    }
    progress.step(last, walked.damaged, walked.done, Instant::now());
    Ok(walked)
}

/// Goes past a place that cannot be read.
fn pass(connection: &Connection, table: &Table, progress: &mut Progress<i64>, rows_max: usize, why: &Error) -> Walked {
    let after_id = progress.place().copied().unwrap_or(0);
    tracing::error!(after_id, error = %why, "old rows cannot be read and are skipped");
    let next_id = after_id.saturating_add(limit(rows_max));
    let last: Result<i64, _> = connection.query_row(table.last, [], |row| row.get(0));
    let done = last.map_or(true, |last| next_id >= last);
    progress.step(Some(next_id), 1, done, Instant::now());
    Walked { removed: 0, damaged: 1, done }
}

/// Does something wholly or not at all. That it cannot be done to this row is an answer.
fn apart<T>(connection: &Connection, work: impl FnOnce() -> Result<T, Error>) -> Result<Result<T, Error>, Error> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    run("SAVEPOINT one")?;
    let done = work();
    match &done {
        Ok(_) => {}
        // A rule of an operator's own may have ended the whole transaction.
        Err(error) if error.may_be_of_one_row() && !connection.is_autocommit() => run("ROLLBACK TO one")?,
        Err(error) => return Err(error.clone()),
    }
    run("RELEASE one")?;
    Ok(done)
}

/// A row's id, and the row where it is not damaged.
type Found = (i64, Result<ExpiredRow, Error>);

fn aged(connection: &Connection, table: &Table, after_id: i64, rows_max: usize) -> Result<Vec<Found>, Error> {
    let mut select = connection.prepare_cached(table.select)?;
    let mut found = select.query((after_id, limit(rows_max)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let id = row.get(0)?;
        let aged = || -> rusqlite::Result<ExpiredRow> {
            let (merchant_id, order_id) = (row.get(1)?, row.get(2)?);
            Ok(ExpiredRow { id, merchant_id, order_id, made_ms: row.get(3)?, changed_ms: row.get(4)? })
        };
        rows.push((id, aged().map_err(Error::from)));
    }
    Ok(rows)
}

fn remove_watch(connection: &Connection, aged: &ExpiredRow) -> Result<usize, Error> {
    let mut delete = connection.prepare_cached(DELETE_WATCH_OF)?;
    let mut removed = delete.query((&aged.merchant_id, &aged.order_id))?;
    let id: Option<i64> = removed.next()?.map(|row| row.get(0)).transpose()?;
    match id {
        Some(id) => timeline::remove(connection, -id),
        None => Ok(0),
    }
}

fn has_payment(connection: &Connection, aged: &ExpiredRow) -> Result<bool, Error> {
    let (Ok(merchant_id), Ok(order_id)) = (MerchantId::new(&aged.merchant_id), OrderId::new(&aged.order_id)) else {
        return Ok(false);
    };
    Ok(payments::id(connection, &Key::new(merchant_id, order_id))?.is_some())
}
