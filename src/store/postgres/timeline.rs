//! All that is kept of one order.

use futures_util::future::join;

use super::fault::Fault;
use super::keys::unsigned;
use super::rows;
use super::session::Session;
use crate::payment::Key;
use crate::store::columns::{key_columns, sql_limit};
use crate::store::ledger::{StoredEntry, Watch, assemble};
use crate::store::{ENTRIES_MAX, Timeline};

const ENTRIES: &str = "
    SELECT at_ms, node, what FROM entries WHERE merchant_id = $1 AND order_id = $2
    ORDER BY id DESC LIMIT $3";

const WATCHED: &str = "
    SELECT first_ms, last_ms, pages, transport, connection, node FROM watched
    WHERE merchant_id = $1 AND order_id = $2";

pub(super) async fn read(session: Session, key: &Key) -> Result<Timeline, Fault> {
    let client = session.client()?;
    let (merchant_id, order_id) = key_columns(key);
    let (entries, watched) = (session.prepare(ENTRIES).await?, session.prepare(WATCHED).await?);
    let record = rows::record(&session, key).await?;
    let (entries, watched) = join(
        client.query(&entries, &[&merchant_id, &order_id, &sql_limit(ENTRIES_MAX)]),
        client.query_opt(&watched, &[&merchant_id, &order_id]),
    )
    .await;
    let mut stored = Vec::new();
    for row in entries?.iter().rev() {
        stored.push(StoredEntry { at_ms: row.try_get(0)?, node: row.try_get(1)?, json: row.try_get(2)? });
    }
    let watch = match watched? {
        None => None,
        Some(row) => Some(Watch {
            first_ms: row.try_get(0)?,
            last_ms: row.try_get(1)?,
            pages: unsigned(row.try_get(2)?),
            transport: row.try_get(3)?,
            connection: unsigned(row.try_get(4)?),
            node: row.try_get(5)?,
        }),
    };
    Ok(assemble(key, record, stored, watch)?)
}
