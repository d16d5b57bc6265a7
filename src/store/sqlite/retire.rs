//! Removes what is older than is kept, a few rows a step. Rows are walked in the order they were made in, so that a step
//! looks at no more than it may and none scans a table. Pages that become free are what later rows are written to.

use rusqlite::Connection;

use super::{limit, payments, timeline};
use crate::payment::{Key, MerchantId, OrderId};
use crate::store::{Error, Retired};

const PAYMENTS: &str = "
    SELECT id, merchant_id, order_id, created_ms, changed_ms FROM payments WHERE id > ?1 ORDER BY id LIMIT ?2";

/// In the shape of `PAYMENTS`.
const WATCHES: &str = "
    SELECT id, merchant_id, order_id, made_ms, last_ms FROM watches WHERE id > ?1 ORDER BY id LIMIT ?2";

const DELETE_PAYMENT: &str = "DELETE FROM payments WHERE id = ?1";
const DELETE_WATCH_OF: &str = "DELETE FROM watches WHERE merchant_id = ?1 AND order_id = ?2 RETURNING id";

/// Where the next step goes on. In memory: a walk that begins anew finds what stayed and nothing else.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Walk {
    payment_id: i64,
    watch_id: i64,
}

/// A row of one of the two tables.
struct Aged {
    id: i64,
    merchant_id: String,
    order_id: String,
    made_ms: i64,
    changed_ms: i64,
}

impl Walk {
    /// One step.
    pub(super) fn step(
        &mut self,
        connection: &Connection,
        payments_before_ms: i64,
        entries_before_ms: i64,
        rows_max: usize,
    ) -> Result<Retired, Error> {
        let rows_max = rows_max.max(1);
        let mut retired = Retired { done: true, ..Retired::default() };
        let mut removed_entries = 0;
        let payments_end = walk(connection, PAYMENTS, &mut self.payment_id, payments_before_ms, rows_max, |aged| {
            removed_entries += timeline::remove(connection, aged.id)?;
            connection.prepare_cached(DELETE_PAYMENT)?.execute([aged.id])?;
            removed_entries += remove_watch(connection, aged)?;
            retired.payments += 1;
            Ok(removed_entries < rows_max)
        })?;
        let mut removed_entries = 0;
        let watches_end = walk(connection, WATCHES, &mut self.watch_id, payments_before_ms, rows_max, |aged| {
            // Where its payment is kept, it goes with that.
            if !has_payment(connection, aged)? {
                removed_entries += remove_watch(connection, aged)?;
            }
            Ok(removed_entries < rows_max)
        })?;
        retired.entries = timeline::remove_oldest(connection, entries_before_ms, rows_max)?;
        retired.done = payments_end && watches_end && retired.entries < rows_max;
        Ok(retired)
    }
}

/// Gives each row that last changed before `before_ms` to `remove`, until that says that it is enough. True if no older
/// row is left behind `after_id`, which then begins anew.
fn walk(
    connection: &Connection,
    select: &str,
    after_id: &mut i64,
    before_ms: i64,
    rows_max: usize,
    mut remove: impl FnMut(&Aged) -> Result<bool, Error>,
) -> Result<bool, Error> {
    let rows = aged(connection, select, *after_id, rows_max)?;
    let mut ended = rows.len() < rows_max;
    for row in rows {
        if row.made_ms >= before_ms {
            ended = true;
            break;
        }
        *after_id = row.id;
        if row.changed_ms < before_ms && !remove(&row)? {
            ended = false;
            break;
        }
    }
    if ended {
        *after_id = 0;
    }
    Ok(ended)
}

fn aged(connection: &Connection, select: &str, after_id: i64, rows_max: usize) -> Result<Vec<Aged>, Error> {
    let mut select = connection.prepare_cached(select)?;
    let rows = select.query_map((after_id, limit(rows_max)), |row| {
        Ok(Aged {
            id: row.get(0)?,
            merchant_id: row.get(1)?,
            order_id: row.get(2)?,
            made_ms: row.get(3)?,
            changed_ms: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn remove_watch(connection: &Connection, aged: &Aged) -> Result<usize, Error> {
    let mut delete = connection.prepare_cached(DELETE_WATCH_OF)?;
    let mut removed = delete.query((&aged.merchant_id, &aged.order_id))?;
    let id: Option<i64> = removed.next()?.map(|row| row.get(0)).transpose()?;
    match id {
        Some(id) => timeline::remove(connection, -id),
        None => Ok(0),
    }
}

fn has_payment(connection: &Connection, aged: &Aged) -> Result<bool, Error> {
    let (Ok(merchant_id), Ok(order_id)) = (MerchantId::new(&aged.merchant_id), OrderId::new(&aged.order_id)) else {
        return Ok(false);
    };
    Ok(payments::id(connection, &Key::new(merchant_id, order_id))?.is_some())
}
