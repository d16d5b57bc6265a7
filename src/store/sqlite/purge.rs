//! Removes what is older than is kept, a few rows a step. Rows are looked at in the order they were made in, so that a step
//! looks at no more than it may and none scans a table. Pages that become free are what later rows are written to.

use std::time::Instant;

use rusqlite::Connection;

use super::{entries, payments};
use crate::payment::{Key, MerchantId, OrderId};
use crate::runtime::unix_ms;
use crate::store::columns::sql_limit;
use crate::store::ledger::{Examined, Progress, Swept, examine, purged};
use crate::store::{Error, PurgeBefore, Purged};

/// A table that is looked through: its columns are those of [`ExpiredRow`].
struct Table {
    select: &'static str,
    last: &'static str,
}

const PAYMENTS: Table = Table {
    select: "SELECT id, merchant_id, order_id, created_ms, changed_ms FROM payments WHERE id > ?1 ORDER BY id LIMIT ?2",
    last: "SELECT coalesce(max(id), 0) FROM payments",
};

const WATCHED: Table = Table {
    select: "SELECT id, merchant_id, order_id, made_ms, last_ms FROM watched WHERE id > ?1 ORDER BY id LIMIT ?2",
    last: "SELECT coalesce(max(id), 0) FROM watched",
};

const DELETE_PAYMENT: &str = "DELETE FROM payments WHERE id = ?1";
const DELETE_WATCH_OF: &str = "DELETE FROM watched WHERE merchant_id = ?1 AND order_id = ?2 RETURNING id";

/// How far each table was looked through: where the next step goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct PurgeCursor {
    payments: Progress<i64>,
    watched: Progress<i64>,
    entries: Progress<i64>,
}

/// A row of one of the two tables.
struct ExpiredRow {
    id: i64,
    merchant_id: String,
    order_id: String,
    made_ms: i64,
    changed_ms: i64,
}

impl PurgeCursor {
    /// One step.
    pub(super) fn step(
        &mut self,
        connection: &Connection,
        before: PurgeBefore,
        rows_max: usize,
        now: Instant,
    ) -> Result<Purged, Error> {
        let rows_max = rows_max.max(1);
        let step = Step { connection, rows_max, now };
        let payments = step.sweep(&PAYMENTS, &mut self.payments, before.payments_ms, |row| {
            let removed = entries::remove(connection, row.id)?;
            connection.prepare_cached(DELETE_PAYMENT)?.execute([row.id])?;
            Ok(removed + remove_watch(connection, row)?)
        })?;
        let watched = step.sweep(&WATCHED, &mut self.watched, before.unknown_ms, |row| {
            // Where its payment is kept, it goes with that.
            if has_payment(connection, row)? { Ok(0) } else { remove_watch(connection, row) }
        })?;
        let progress = &mut self.entries;
        let entries =
            apart(connection, || entries::remove_oldest(connection, progress, before.entries_ms, rows_max, now))?;
        let entries = match entries {
            Ok(swept) => swept,
            Err(error) => {
                tracing::error!(%error, "old entries of timelines are not removed");
                Swept { rows: 0, damaged: 1, done: true }
            }
        };
        Ok(purged(payments, &[watched], entries))
    }
}

/// One step through one table.
#[derive(Clone, Copy)]
struct Step<'c> {
    connection: &'c Connection,
    rows_max: usize,
    now: Instant,
}

impl Step<'_> {
    /// Gives each row that last changed before `before_ms` to `remove`, which answers how many entries went with it, until
    /// that is enough.
    fn sweep(
        self,
        table: &Table,
        progress: &mut Progress<i64>,
        before_ms: i64,
        remove: impl Fn(&ExpiredRow) -> Result<usize, Error>,
    ) -> Result<Swept, Error> {
        let after_id = progress.place().copied().unwrap_or(0);
        let rows = match select(self.connection, table, after_id, self.rows_max) {
            Err(error) if error.may_be_of_one_row() => return Ok(self.pass(table, progress, &error)),
            rows => rows?,
        };
        let times: Vec<_> =
            rows.iter().map(|(_, row)| row.as_ref().ok().map(|row| (row.made_ms, row.changed_ms))).collect();
        let Examined { mut looked_at, old, done } = examine(&times, before_ms, unix_ms(), self.rows_max);
        let (mut swept, mut removed_entries) = (Swept { done, ..Swept::default() }, 0);
        for (place, (id, row)) in rows.iter().enumerate().take(looked_at) {
            let removed = match row {
                Ok(row) if old.binary_search(&place).is_ok() => apart(self.connection, || remove(row).map(Some))?,
                Ok(_) => Ok(None),
                Err(error) => Err(error.clone()),
            };
            match removed {
                Ok(None) => {}
                Ok(Some(entries)) => {
                    swept.rows += 1;
                    removed_entries += entries;
                }
                Err(error) => {
                    swept.damaged += 1;
                    tracing::error!(row = id, %error, "an old row cannot be removed and is skipped");
                }
            }
            if removed_entries >= self.rows_max {
                (looked_at, swept.done) = (place + 1, false);
                break;
            }
        }
        let last = looked_at.checked_sub(1).map(|place| rows[place].0);
        progress.step(last, swept.damaged, swept.done, self.now);
        Ok(swept)
    }

    /// Goes past a place that cannot be read.
    fn pass(self, table: &Table, progress: &mut Progress<i64>, why: &Error) -> Swept {
        let after_id = progress.place().copied().unwrap_or(0);
        tracing::error!(after_id, error = %why, "old rows cannot be read and are skipped");
        let next_id = after_id.saturating_add(sql_limit(self.rows_max));
        let last: Result<i64, _> = self.connection.query_row(table.last, [], |row| row.get(0));
        let done = last.map_or(true, |last| next_id >= last);
        progress.step(Some(next_id), 1, done, self.now);
        Swept { rows: 0, damaged: 1, done }
    }
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

fn select(connection: &Connection, table: &Table, after_id: i64, rows_max: usize) -> Result<Vec<Found>, Error> {
    let mut select = connection.prepare_cached(table.select)?;
    let mut found = select.query((after_id, sql_limit(rows_max)))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let id = row.get(0)?;
        let whole = || -> rusqlite::Result<ExpiredRow> {
            let (merchant_id, order_id) = (row.get(1)?, row.get(2)?);
            Ok(ExpiredRow { id, merchant_id, order_id, made_ms: row.get(3)?, changed_ms: row.get(4)? })
        };
        rows.push((id, whole().map_err(Error::from)));
    }
    Ok(rows)
}

fn remove_watch(connection: &Connection, row: &ExpiredRow) -> Result<usize, Error> {
    let mut delete = connection.prepare_cached(DELETE_WATCH_OF)?;
    let mut removed = delete.query((&row.merchant_id, &row.order_id))?;
    let id: Option<i64> = removed.next()?.map(|row| row.get(0)).transpose()?;
    match id {
        Some(id) => entries::remove(connection, -id),
        None => Ok(0),
    }
}

fn has_payment(connection: &Connection, row: &ExpiredRow) -> Result<bool, Error> {
    let (Ok(merchant_id), Ok(order_id)) = (MerchantId::new(&row.merchant_id), OrderId::new(&row.order_id)) else {
        return Ok(false);
    };
    Ok(payments::id(connection, &Key::new(merchant_id, order_id))?.is_some())
}
