//! The table of orders that pages waited for, also before anything was heard of them.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::payment::Key;
use crate::store::entries::Told;
use crate::store::{Error, PageRef};

const SELECT: &str = "
    SELECT id, first_ms, last_ms, pages, transport, connection, node
    FROM watches WHERE merchant_id = ?1 AND order_id = ?2";

const IS_WATCHED: &str = "SELECT count(*) FROM watches WHERE merchant_id = ?1 AND order_id = ?2 AND pages > 0";

/// A row without a page is of an order that something else was told of.
const WATCHED: &str = "
    INSERT INTO watches (merchant_id, order_id, made_ms, first_ms, last_ms, pages, transport, connection, node)
    VALUES (?1, ?2, ?3, ?3, ?3, 1, ?4, ?5, ?6)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        first_ms = iif(pages > 0, first_ms, excluded.first_ms),
        transport = iif(pages > 0, transport, excluded.transport),
        connection = iif(pages > 0, connection, excluded.connection),
        node = iif(pages > 0, node, excluded.node),
        last_ms = max(last_ms, excluded.last_ms),
        pages = pages + 1";

const ROW: &str = "
    INSERT INTO watches (merchant_id, order_id, made_ms, first_ms, last_ms)
    VALUES (?1, ?2, ?3, ?3, ?3)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)
    RETURNING id";

const INQUIRED: &str = "
    INSERT INTO watches (merchant_id, order_id, made_ms, first_ms, last_ms, inquired_step)
    VALUES (?1, ?2, ?3, ?3, ?3, ?4)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        last_ms = max(last_ms, excluded.last_ms),
        inquired_step = excluded.inquired_step
    WHERE inquired_step < excluded.inquired_step
    RETURNING id";

/// What is known of the waiting for one order.
pub(super) struct Watch {
    pub(super) id: i64,
    pub(super) first_ms: i64,
    last_ms: i64,
    pub(super) pages: u64,
    transport: String,
    connection: u64,
    pub(super) node: String,
}

impl Watch {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            first_ms: row.get(1)?,
            last_ms: row.get(2)?,
            pages: row.get::<_, i64>(3)?.unsigned_abs(),
            transport: row.get(4)?,
            connection: row.get::<_, i64>(5)?.unsigned_abs(),
            node: row.get(6)?,
        })
    }

    pub(super) fn told(&self) -> Told<'_> {
        Told::Watched {
            transport: &self.transport,
            connection: self.connection,
            pages: self.pages,
            last_ms: self.last_ms,
        }
    }
}

/// What is known of the waiting for `key`.
pub(super) fn read(connection: &Connection, key: &Key) -> Result<Option<Watch>, Error> {
    Ok(connection.prepare_cached(SELECT)?.query_row(place(key), Watch::of).optional()?)
}

/// True if a page has waited for `key`.
pub(super) fn is_watched(connection: &Connection, key: &Key) -> Result<bool, Error> {
    Ok(connection.prepare_cached(IS_WATCHED)?.query_row(place(key), |row| row.get(0))?)
}

/// A page of `node` began to wait.
pub(super) fn watched(connection: &Connection, key: &Key, page: PageRef, at_ms: i64, node: &str) -> Result<(), Error> {
    let (merchant_id, order_id) = place(key);
    let number = i64::try_from(page.connection).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(WATCHED)?;
    statement.execute((merchant_id, order_id, at_ms, page.transport.as_str(), number, node))?;
    Ok(())
}

/// The id by which entries of an order without a payment are kept.
pub(super) fn row(connection: &Connection, key: &Key, at_ms: i64) -> Result<i64, Error> {
    let (merchant_id, order_id) = place(key);
    Ok(connection.prepare_cached(ROW)?.query_row((merchant_id, order_id, at_ms), |row| row.get(0))?)
}

/// Notes that `step` was published and answers the row's id; nothing if it was before, or a later one.
pub(super) fn inquired(connection: &Connection, key: &Key, step: u32, at_ms: i64) -> Result<Option<i64>, Error> {
    let (merchant_id, order_id) = place(key);
    let mut statement = connection.prepare_cached(INQUIRED)?;
    Ok(statement.query_row((merchant_id, order_id, at_ms, step), |row| row.get(0)).optional()?)
}

fn place(key: &Key) -> (&str, &str) {
    (key.merchant_id.as_str(), key.order_id.as_str())
}
