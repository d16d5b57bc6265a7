//! The table of what is known of orders apart from their payments: pages that waited, the last inquiry. And which final
//! results are due to be escalated.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::payment::{Key, MerchantId, OrderId};
use crate::store::Error;
use crate::store::columns::{key_columns, sql_limit};
use crate::store::ledger::{Began, Watch};

const SELECT: &str = "
    SELECT id, first_ms, last_ms, pages, transport, connection, node
    FROM watched WHERE merchant_id = ?1 AND order_id = ?2";

const IS_WATCHED: &str = "SELECT count(*) FROM watched WHERE merchant_id = ?1 AND order_id = ?2 AND pages > 0";

/// A row without a page is of an order of which something else is recorded.
const BEGAN: &str = "
    INSERT INTO watched (merchant_id, order_id, made_ms, first_ms, last_ms, pages, transport, connection, node)
    VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        first_ms = iif(pages > 0, first_ms, excluded.first_ms),
        transport = iif(pages > 0, transport, excluded.transport),
        connection = iif(pages > 0, connection, excluded.connection),
        node = iif(pages > 0, node, excluded.node),
        last_ms = max(last_ms, excluded.last_ms),
        pages = pages + excluded.pages";

const ROW: &str = "
    INSERT INTO watched (merchant_id, order_id, made_ms, first_ms, last_ms)
    VALUES (?1, ?2, ?3, ?3, ?3)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)
    RETURNING id";

const INQUIRED: &str = "
    INSERT INTO watched (merchant_id, order_id, made_ms, first_ms, last_ms, inquired_step)
    VALUES (?1, ?2, ?3, ?3, ?3, ?4)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        last_ms = max(last_ms, excluded.last_ms),
        inquired_step = excluded.inquired_step
    WHERE inquired_step < excluded.inquired_step
    RETURNING id";

const DUE: &str = "
    SELECT escalate_ms, id, merchant_id, order_id FROM payments
    WHERE escalate_ms <= ?1 AND (escalate_ms, id) > (?2, ?3) ORDER BY escalate_ms, id LIMIT ?4";

/// A place among what is due: when, and which row.
pub(super) type DuePlace = (i64, i64);

/// What is known of the waiting for `key`, with the id of its row.
pub(super) fn read(connection: &Connection, key: &Key) -> Result<Option<(i64, Watch)>, Error> {
    let watch = |row: &Row<'_>| {
        let watch = Watch {
            first_ms: row.get(1)?,
            last_ms: row.get(2)?,
            pages: row.get::<_, i64>(3)?.unsigned_abs(),
            transport: row.get(4)?,
            connection: row.get::<_, i64>(5)?.unsigned_abs(),
            node: row.get(6)?,
        };
        Ok((row.get(0)?, watch))
    };
    Ok(connection.prepare_cached(SELECT)?.query_row(key_columns(key), watch).optional()?)
}

/// True if a page has waited for `key`.
pub(super) fn is_watched(connection: &Connection, key: &Key) -> Result<bool, Error> {
    Ok(connection.prepare_cached(IS_WATCHED)?.query_row(key_columns(key), |row| row.get(0))?)
}

/// Pages of `node` began to wait.
pub(super) fn began(connection: &Connection, key: &Key, began: &Began, node: &str) -> Result<(), Error> {
    let (merchant_id, order_id) = key_columns(key);
    let Began { first, pages, first_ms, last_ms } = began;
    let number = i64::try_from(first.connection).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(BEGAN)?;
    statement.execute((merchant_id, order_id, first_ms, last_ms, pages, first.transport.as_str(), number, node))?;
    Ok(())
}

/// The id by which entries of an order without a payment are kept.
pub(super) fn row(connection: &Connection, key: &Key, at_ms: i64) -> Result<i64, Error> {
    let (merchant_id, order_id) = key_columns(key);
    Ok(connection.prepare_cached(ROW)?.query_row((merchant_id, order_id, at_ms), |row| row.get(0))?)
}

/// Keeps that `step` was published and answers the row's id; nothing if it was before, or a later one.
pub(super) fn inquired(connection: &Connection, key: &Key, step: u32, at_ms: i64) -> Result<Option<i64>, Error> {
    let (merchant_id, order_id) = key_columns(key);
    let mut statement = connection.prepare_cached(INQUIRED)?;
    Ok(statement.query_row((merchant_id, order_id, at_ms, step), |row| row.get(0)).optional()?)
}

/// Some of what is due behind `after`. Without a key where the row names none.
pub(super) fn due(
    connection: &Connection,
    now_ms: i64,
    rows_max: usize,
    after: Option<DuePlace>,
) -> Result<Vec<(DuePlace, Option<Key>)>, Error> {
    let (after_ms, after_id) = after.unwrap_or((i64::MIN, i64::MIN));
    let mut select = connection.prepare_cached(DUE)?;
    let mut rows = select.query((now_ms, after_ms, after_id, sql_limit(rows_max)))?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let merchant_id = row.get_ref(2)?.as_str().ok().and_then(|text| MerchantId::new(text).ok());
        let order_id = row.get_ref(3)?.as_str().ok().and_then(|text| OrderId::new(text).ok());
        let key = merchant_id.zip(order_id).map(|(merchant, order)| Key::new(merchant, order));
        due.push(((row.get(0)?, row.get(1)?), key));
    }
    Ok(due)
}
