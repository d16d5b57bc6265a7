//! The index of the provider's numbers, and how orders are found by it or by their number alone.

use rusqlite::{Connection, params};

use crate::payment::{MerchantId, OrderId};
use crate::store::columns::sql_limit;
use crate::store::ledger::Record;
use crate::store::orders::{RECENT_ENTRIES_MAX, ROWS_MAX, SummaryRow, found, remembered, summary};
use crate::store::{Error, FoundOrders, MERCHANTS_MAX, ORDERS_MAX, OrderSummary, TRANSACTIONS_MAX};

const ADD: &str = "INSERT OR IGNORE INTO transactions (payment_id, transaction_id) VALUES (?1, ?2)";

const COUNT: &str = "SELECT count(*) FROM transactions WHERE payment_id = ?1";

/// Leaves those that a JSON array names.
const TRIM: &str = "
    DELETE FROM transactions WHERE payment_id = ?1 AND transaction_id NOT IN (SELECT value FROM json_each(?2))";

const OF_TRANSACTION: &str = "
    SELECT merchant_id, order_id, status, changed_ms
    FROM (SELECT payment_id FROM transactions WHERE transaction_id = ?1 LIMIT ?2)
    JOIN payments ON payments.id = payment_id";

/// From one merchant to the next by the index, and the order of each.
const OF_NUMBER: &str = "
    WITH RECURSIVE merchants (id) AS (
        SELECT min(merchant_id) FROM payments
        UNION ALL
        SELECT (SELECT min(merchant_id) FROM payments WHERE merchant_id > merchants.id)
        FROM merchants WHERE merchants.id IS NOT NULL
        LIMIT ?2)
    SELECT merchants.id, ?1, status, changed_ms, last_ms
    FROM merchants
    LEFT JOIN payments ON payments.merchant_id = merchants.id AND payments.order_id = ?1
    LEFT JOIN watched ON watched.merchant_id = merchants.id AND watched.order_id = ?1
    WHERE merchants.id IS NOT NULL";

const RECENT: &str = "
    SELECT merchant_id, order_id, status, at_ms
    FROM (
        SELECT payment_id, max(at_ms) AS at_ms, max(id) AS last
        FROM (SELECT id, payment_id, at_ms FROM entries ORDER BY id DESC LIMIT ?1)
        WHERE payment_id > 0 GROUP BY payment_id ORDER BY last DESC LIMIT ?2) AS recent
    JOIN payments ON payments.id = recent.payment_id
    ORDER BY last DESC";

const MADE_LAST: &str = "
    SELECT merchant_id, order_id, status, changed_ms FROM payments ORDER BY id DESC LIMIT ?1";

/// Adds what a payment's row may lack of the provider's numbers.
pub(super) fn index(connection: &Connection, payment_id: i64, record: &Record) -> Result<(), Error> {
    if record.transactions.is_empty() {
        return Ok(());
    }
    let mut add = connection.prepare_cached(ADD)?;
    for transaction_id in &record.transactions {
        add.execute(params![payment_id, transaction_id])?;
    }
    // Each number came with an event.
    if record.state.events() <= TRANSACTIONS_MAX {
        return Ok(());
    }
    let count: i64 = connection.prepare_cached(COUNT)?.query_row([payment_id], |row| row.get(0))?;
    if count > sql_limit(TRANSACTIONS_MAX) {
        let mut kept = remembered(&record.state);
        kept.extend(record.transactions.last().map(|id| &**id));
        let kept = serde_json::to_string(&kept).map_err(|e| Error::Unavailable(e.to_string()))?;
        connection.prepare_cached(TRIM)?.execute(params![payment_id, kept])?;
    }
    Ok(())
}

pub(super) fn of_transaction(
    connection: &Connection,
    transaction_id: &str,
    merchant_id: Option<&MerchantId>,
) -> Result<FoundOrders, Error> {
    let mut select = connection.prepare_cached(OF_TRANSACTION)?;
    let rows = select.query_map(params![transaction_id, sql_limit(ROWS_MAX)], summary_row)?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() >= ROWS_MAX;
    Ok(found(rows, merchant_id, more))
}

pub(super) fn of_number(connection: &Connection, order_id: &OrderId) -> Result<FoundOrders, Error> {
    let mut select = connection.prepare_cached(OF_NUMBER)?;
    let mut found_rows = select.query(params![order_id.as_str(), sql_limit(MERCHANTS_MAX + 1)])?;
    let (mut rows, mut merchants) = (Vec::new(), 0);
    while let Some(row) = found_rows.next()? {
        merchants += 1;
        let changed_ms = row.get::<_, Option<i64>>(3)?.or(row.get(4)?);
        if let Some(changed_ms) = changed_ms {
            rows.push((row.get(0)?, row.get(1)?, row.get(2)?, changed_ms));
        }
    }
    Ok(found(rows, None, merchants > MERCHANTS_MAX))
}

pub(super) fn recent(connection: &Connection) -> Result<Vec<OrderSummary>, Error> {
    let mut select = connection.prepare_cached(RECENT)?;
    let rows = select.query_map([sql_limit(RECENT_ENTRIES_MAX), sql_limit(ORDERS_MAX)], summary_row)?;
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    if rows.is_empty() {
        let mut select = connection.prepare_cached(MADE_LAST)?;
        rows = select.query_map([sql_limit(ORDERS_MAX)], summary_row)?.collect::<Result<_, _>>()?;
    }
    Ok(rows.into_iter().filter_map(summary).collect())
}

fn summary_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<SummaryRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}
