//! The rows that one transaction is about: locked and read in one round trip, worked on in memory by the ledger, and written
//! back in another by `save`.
//!
//! Rows that are not there yet are made, empty, in the order of their keys; then all are locked in that order. Who makes
//! rows waits only for others that make rows or hold locks, who locks waits only for others that lock: no two wait for
//! each other.

use std::collections::HashSet;

use futures_util::future::{OptionFuture, join, join4};
use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::ToSql;

use super::fault::Fault;
use super::keys::{Keys, key, unsigned};
use super::options::Settings;
use super::session::Session;
use crate::payment::Key;
use crate::store::EscalatedOrders;
use crate::store::columns::{key_columns, sql_limit};
use crate::store::ledger::{self, Finality, Ledger, Record, Row, damaged};

const MAKE: &str = "
    INSERT INTO payments (merchant_id, order_id, version, status, final, created_ms, changed_ms, state)
    SELECT merchant_id, order_id, 0, '', false, $3, $3, ''
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    ON CONFLICT (merchant_id, order_id) DO NOTHING";

/// Reads rows.
pub(super) const READ: &str = "
    SELECT payments.merchant_id, payments.order_id, version, acked_version, settled_version, settled_ms, escalate_ms,
        escalated, state
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN payments ON payments.merchant_id = wanted.merchant_id AND payments.order_id = wanted.order_id";

/// [`READ`], in the order of keys, and held until the transaction ends.
pub(super) const LOCK: &str = "
    SELECT payments.merchant_id, payments.order_id, version, acked_version, settled_version, settled_ms, escalate_ms,
        escalated, state
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN payments ON payments.merchant_id = wanted.merchant_id AND payments.order_id = wanted.order_id
    ORDER BY payments.merchant_id, payments.order_id
    FOR UPDATE OF payments";

/// Takes what is due and waits for nobody: what another transaction holds, another node is about to decide.
const LOCK_DUE: &str = "
    SELECT merchant_id, order_id, version, acked_version, settled_version, settled_ms, escalate_ms, escalated, state
    FROM payments WHERE escalate_ms <= $1 AND (escalate_ms, merchant_id, order_id) > ($3, $4, $5)
    ORDER BY escalate_ms, merchant_id, order_id LIMIT $2
    FOR UPDATE SKIP LOCKED";

const WATCHED: &str = "
    SELECT watched.merchant_id, watched.order_id
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN watched ON watched.merchant_id = wanted.merchant_id AND watched.order_id = wanted.order_id";

/// A place among rows: a time, merchant, order.
pub(super) type Place = (i64, String, String);

/// Begins the transaction, makes the rows that are missing, and locks all. Answers for which orders a page has waited too,
/// where that matters.
pub(super) async fn make<'s>(
    session: &Session,
    settings: &'s Settings,
    keys: &Keys<'_>,
    now_ms: i64,
) -> Result<(Ledger<'s>, HashSet<Key>), Fault> {
    let client = session.client()?;
    let (make, lock, watched) =
        (session.prepare(MAKE).await?, session.prepare(LOCK).await?, session.prepare(WATCHED).await?);
    let watches = settings.rules.escalation.orders == EscalatedOrders::Watched;
    let Keys { merchant_ids, order_ids, .. } = keys;
    let columns: [&(dyn ToSql + Sync); 2] = [merchant_ids, order_ids];
    // In this order: what is read of the watched is read after the locks were had.
    let (begun, made, locked, watched) = join4(
        session.begin(),
        client.execute(&make, &[merchant_ids, order_ids, &now_ms]),
        client.query(&lock, &columns),
        OptionFuture::from(watches.then(|| client.query(&watched, &columns))),
    )
    .await;
    begun?;
    made?;
    let locked = locked?;
    // Removed between the two statements for its age: it is made in the next attempt.
    if locked.len() < merchant_ids.len() {
        return Err(Fault::Overtaken);
    }
    let mut ledger = Ledger::new(&settings.rules, now_ms);
    fill(&mut ledger, &locked)?;
    let watched = watched.transpose()?.unwrap_or_default();
    let watched = watched.iter().map(|row| Ok(key(row.try_get(0)?, row.try_get(1)?)?)).collect::<Result<_, Fault>>()?;
    Ok((ledger, watched))
}

/// Begins the transaction and loads those that are there by `sql`: [`READ`] or [`LOCK`].
pub(super) async fn load<'s>(
    session: &Session,
    settings: &'s Settings,
    keys: &Keys<'_>,
    now_ms: i64,
    sql: &str,
) -> Result<Ledger<'s>, Fault> {
    let client = session.client()?;
    let select = session.prepare(sql).await?;
    let (begun, found) = join(session.begin(), client.query(&select, &[&keys.merchant_ids, &keys.order_ids])).await;
    begun?;
    let mut ledger = Ledger::new(&settings.rules, now_ms);
    fill(&mut ledger, &found?)?;
    for key in &keys.keys {
        if ledger.row(key).is_none() {
            ledger.load((*key).clone(), Row::Absent);
        }
    }
    Ok(ledger)
}

/// The payment of one order outside of a transaction.
pub(super) async fn record(session: &Session, key: &Key) -> Result<Option<Record>, Fault> {
    let (merchant_id, order_id) = key_columns(key);
    let select = session.prepare(READ).await?;
    match session.client()?.query_opt(&select, &[&[merchant_id].as_slice(), &[order_id].as_slice()]).await? {
        None => Ok(None),
        Some(found) => match decode(key, &found)? {
            Row::Read(record) => Ok(Some(record)),
            Row::Damaged(damage) => Err(damage.into()),
            Row::Absent | Row::Unread => Ok(None),
        },
    }
}

/// What is due to be escalated.
pub(super) struct Due<'s> {
    pub(super) ledger: Ledger<'s>,
    /// Rows that were come upon.
    pub(super) rows: usize,
    /// Of these, those that name no order.
    pub(super) nameless: usize,
    pub(super) last: Option<Place>,
}

/// Begins the transaction and locks at most `rows_max` of those behind `after` that count as undelivered at `now_ms`.
pub(super) async fn lock_due<'s>(
    session: &Session,
    settings: &'s Settings,
    now_ms: i64,
    rows_max: usize,
    after: Option<Place>,
) -> Result<Due<'s>, Fault> {
    let client = session.client()?;
    let lock = session.prepare(LOCK_DUE).await?;
    let (after_ms, merchant_id, order_id) = after.unwrap_or((i64::MIN, String::new(), String::new()));
    let rows_max = sql_limit(rows_max);
    let columns: [&(dyn ToSql + Sync); 5] = [&now_ms, &rows_max, &after_ms, &merchant_id, &order_id];
    let (begun, locked) = join(session.begin(), client.query(&lock, &columns)).await;
    begun?;
    let locked = locked?;
    let place = |row: &SqlRow| -> Result<Place, Fault> { Ok((row.try_get(6)?, row.try_get(0)?, row.try_get(1)?)) };
    let mut ledger = Ledger::new(&settings.rules, now_ms);
    let nameless = fill(&mut ledger, &locked)?;
    Ok(Due { ledger, rows: locked.len(), nameless, last: locked.last().map(place).transpose()? })
}

/// Answers how many rows name no order.
fn fill(ledger: &mut Ledger<'_>, found: &[SqlRow]) -> Result<usize, Fault> {
    let mut nameless = 0;
    for row in found {
        match key(row.try_get(0)?, row.try_get(1)?) {
            Ok(key) => {
                let row = decode(&key, row)?;
                ledger.load(key, row);
            }
            Err(_nameless) => nameless += 1,
        }
    }
    Ok(nameless)
}

fn decode(key: &Key, row: &SqlRow) -> Result<Row, Fault> {
    let (version, text) = (row.try_get::<_, i64>(2)?, row.try_get(8)?);
    // Made by this transaction, or left by one that came to nothing.
    if (version, text) == (0, "") {
        return Ok(Row::Absent);
    }
    let state = match ledger::state(key, text) {
        Ok(state) if state.version() == unsigned(version) => state,
        Ok(_) => return Ok(Row::Damaged(damaged(key, "two versions stand in its row"))),
        Err(damage) => return Ok(Row::Damaged(damage)),
    };
    let finality = Finality {
        version: unsigned(row.try_get(4)?),
        at_ms: row.try_get(5)?,
        escalate_ms: row.try_get(6)?,
        escalated: row.try_get(7)?,
    };
    Ok(Row::Read(Record::stored(state, unsigned(row.try_get(3)?), finality)))
}
