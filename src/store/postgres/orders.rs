//! The index of the provider's numbers, and how orders are found by it or by their number alone.

use std::sync::{Mutex, PoisonError};

use futures_util::future::join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as SqlRow, Statement};

use super::fault::Fault;
use super::keys::key;
use super::rows::Place;
use super::session::Session;
use crate::payment::{Key, MerchantId, OrderId};
use crate::runtime::unix_ms;
use crate::store::columns::sql_limit;
use crate::store::ledger::{self, Ledger, Row, Swept};
use crate::store::orders::{RECENT_ENTRIES_MAX, ROWS_MAX, SummaryRow, found, remembered, summary};
use crate::store::{FoundOrders, MERCHANTS_MAX, ORDERS_MAX, OrderSummary, TRANSACTIONS_MAX};

/// Their orders' payments are locked, so that nobody else writes of the same.
const ADD: &str = "
    INSERT INTO transactions (merchant_id, order_id, transaction_id)
    SELECT merchant_id, order_id, transaction_id
    FROM unnest($1::text[], $2::text[], $3::text[]) AS seen (merchant_id, order_id, transaction_id)
    ON CONFLICT (merchant_id, order_id, transaction_id) DO NOTHING";

/// Leaves those that are to be kept of orders that have too many.
const TRIM: &str = "
    DELETE FROM transactions USING unnest($1::text[], $2::text[]) AS long (merchant_id, order_id)
    WHERE transactions.merchant_id = long.merchant_id AND transactions.order_id = long.order_id
        AND $6 < (
            SELECT count(*) FROM transactions AS every
            WHERE every.merchant_id = long.merchant_id AND every.order_id = long.order_id)
        AND NOT EXISTS (
            SELECT FROM unnest($3::text[], $4::text[], $5::text[]) AS kept (merchant_id, order_id, transaction_id)
            WHERE kept.merchant_id = long.merchant_id AND kept.order_id = long.order_id
                AND kept.transaction_id = transactions.transaction_id)";

const OF_TRANSACTION: &str = "
    SELECT payments.merchant_id, payments.order_id, status, changed_ms
    FROM (SELECT merchant_id, order_id FROM transactions WHERE transaction_id = $1 LIMIT $2) AS bore
    JOIN payments ON payments.merchant_id = bore.merchant_id AND payments.order_id = bore.order_id
    WHERE version > 0";

/// From one merchant to the next by the index, and the order of each.
const OF_NUMBER: &str = r#"
    WITH RECURSIVE merchants (id) AS (
        (SELECT merchant_id FROM payments ORDER BY merchant_id LIMIT 1)
        UNION ALL
        (SELECT next.merchant_id FROM merchants CROSS JOIN LATERAL (
            SELECT merchant_id FROM payments WHERE merchant_id > merchants.id ORDER BY merchant_id LIMIT 1) AS next)
    ), looked AS (SELECT id FROM merchants LIMIT $2)
    SELECT looked.id, $1, payments.status, coalesce(payments.changed_ms, watched.last_ms, inquired.at_ms)
    FROM looked
    LEFT JOIN payments ON payments.merchant_id = looked.id AND payments.order_id = $1 AND version > 0
    LEFT JOIN watched ON watched.merchant_id = looked.id AND watched.order_id = $1
    LEFT JOIN LATERAL (
        SELECT at_ms FROM inquired WHERE inquired.merchant_id = looked.id AND inquired.order_id = $1
        ORDER BY at_ms DESC LIMIT 1) AS inquired ON true"#;

const RECENT: &str = "
    SELECT payments.merchant_id, payments.order_id, status, recent.at_ms
    FROM (
        SELECT merchant_id, order_id, max(at_ms) AS at_ms
        FROM (SELECT merchant_id, order_id, at_ms FROM entries ORDER BY at_ms DESC LIMIT $1) AS latest
        GROUP BY merchant_id, order_id ORDER BY at_ms DESC LIMIT $2) AS recent
    JOIN payments ON payments.merchant_id = recent.merchant_id AND payments.order_id = recent.order_id
    WHERE version > 0
    ORDER BY recent.at_ms DESC, payments.merchant_id, payments.order_id";

const MADE_LAST: &str = "
    SELECT merchant_id, order_id, status, changed_ms FROM payments
    WHERE version > 0 ORDER BY created_ms DESC LIMIT $1";

/// Set while payments from before the table may be missing from it: those made until then are.
const UNTIL: &str = "SELECT value FROM meta WHERE name = 'index_transactions_until_ms'";
const ALL_DONE: &str = "DELETE FROM meta WHERE name = 'index_transactions_until_ms'";

const OLD: &str = "
    SELECT created_ms, merchant_id, order_id, state FROM payments
    WHERE (created_ms, merchant_id, order_id) > ($1, $2, $3) AND created_ms <= $4 AND version > 0
    ORDER BY created_ms, merchant_id, order_id LIMIT $5";

/// Numbers of orders, by column.
#[derive(Default)]
struct Numbers<'a> {
    merchant_ids: Vec<&'a str>,
    order_ids: Vec<&'a str>,
    transaction_ids: Vec<&'a str>,
}

impl<'a> Numbers<'a> {
    fn push(&mut self, key: &'a Key, transaction_id: &'a str) {
        self.merchant_ids.push(key.merchant_id.as_str());
        self.order_ids.push(key.order_id.as_str());
        self.transaction_ids.push(transaction_id);
    }

    async fn add(&self, session: &Session, add: &Statement) -> Result<(), Fault> {
        let Self { merchant_ids, order_ids, transaction_ids } = self;
        session.client()?.execute(add, &[merchant_ids, order_ids, transaction_ids]).await?;
        Ok(())
    }
}

/// What a transaction writes into the index: the provider's numbers that came with it, and of orders that may have too many
/// those to keep.
#[derive(Default)]
pub(super) struct Index<'a> {
    new: Numbers<'a>,
    long: (Vec<&'a str>, Vec<&'a str>),
    kept: Numbers<'a>,
    statements: Option<(Statement, Statement)>,
}

impl<'a> Index<'a> {
    /// Prepares the statements, where there is something to write.
    pub(super) async fn of(session: &Session, ledger: &'a Ledger<'a>) -> Result<Self, Fault> {
        let mut index = Self::default();
        for (key, row) in ledger.rows() {
            let Row::Read(record) = row else { continue };
            let Some(latest) = record.transactions.last() else { continue };
            record.transactions.iter().for_each(|transaction_id| index.new.push(key, transaction_id));
            // Each number came with an event.
            if record.state.events() > TRANSACTIONS_MAX {
                index.long.0.push(key.merchant_id.as_str());
                index.long.1.push(key.order_id.as_str());
                let kept = remembered(&record.state).into_iter().chain([&**latest]);
                kept.for_each(|transaction_id| index.kept.push(key, transaction_id));
            }
        }
        if !index.new.transaction_ids.is_empty() {
            index.statements = Some((session.prepare(ADD).await?, session.prepare(TRIM).await?));
        }
        Ok(index)
    }

    /// Writes it, within the transaction that is open.
    pub(super) async fn save(&self, session: &Session) -> Result<(), Fault> {
        let Some((add, trim)) = &self.statements else { return Ok(()) };
        let add = self.new.add(session, add);
        let trim = async {
            if self.long.0.is_empty() {
                return Ok(());
            }
            let Numbers { merchant_ids, order_ids, transaction_ids } = &self.kept;
            let count_max = sql_limit(TRANSACTIONS_MAX);
            let columns: [&(dyn ToSql + Sync); 6] =
                [&self.long.0, &self.long.1, merchant_ids, order_ids, transaction_ids, &count_max];
            session.client()?.execute(trim, &columns).await?;
            Ok(())
        };
        // In this order: what is removed is counted after what is added.
        let (added, trimmed) = join(add, trim).await;
        added.and(trimmed)
    }
}

pub(super) async fn of_transaction(
    session: Session,
    transaction_id: &str,
    merchant_id: Option<&MerchantId>,
) -> Result<FoundOrders, Fault> {
    let select = session.prepare(OF_TRANSACTION).await?;
    let rows = session.client()?.query(&select, &[&transaction_id, &sql_limit(ROWS_MAX)]).await?;
    let rows = rows.iter().map(summary_row).collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() >= ROWS_MAX;
    Ok(found(rows, merchant_id, more))
}

pub(super) async fn of_number(session: Session, order_id: &OrderId) -> Result<FoundOrders, Fault> {
    let select = session.prepare(OF_NUMBER).await?;
    let found_rows = session.client()?.query(&select, &[&order_id.as_str(), &sql_limit(MERCHANTS_MAX + 1)]).await?;
    let mut rows = Vec::new();
    for row in &found_rows {
        if row.try_get::<_, Option<i64>>(3)?.is_some() {
            rows.push(summary_row(row)?);
        }
    }
    Ok(found(rows, None, found_rows.len() > MERCHANTS_MAX))
}

pub(super) async fn recent(session: Session) -> Result<Vec<OrderSummary>, Fault> {
    let (client, orders_max) = (session.client()?, sql_limit(ORDERS_MAX));
    let select = session.prepare(RECENT).await?;
    let mut rows = client.query(&select, &[&sql_limit(RECENT_ENTRIES_MAX), &orders_max]).await?;
    if rows.is_empty() {
        let select = session.prepare(MADE_LAST).await?;
        rows = client.query(&select, &[&orders_max]).await?;
    }
    let rows = rows.iter().map(summary_row).collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter_map(summary).collect())
}

fn summary_row(row: &SqlRow) -> Result<SummaryRow, Fault> {
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
}

/// How far payments from before the table were looked through.
#[derive(Default)]
pub(super) struct IndexProgress(Mutex<Option<Place>>);

/// Puts some payments from before the table into it.
pub(super) async fn index_old(session: Session, progress: &IndexProgress, rows_max: usize) -> Result<Swept, Fault> {
    let client = session.client()?;
    let until = session.prepare(UNTIL).await?;
    let Some(until) = client.query_opt(&until, &[]).await? else { return Ok(Swept { done: true, ..Swept::default() }) };
    let until_ms: i64 = until.try_get(0)?;
    let place = progress.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (after_ms, merchant_id, order_id) = place.unwrap_or((i64::MIN, String::new(), String::new()));
    let old = session.prepare(OLD).await?;
    let columns: [&(dyn ToSql + Sync); 5] = [&after_ms, &merchant_id, &order_id, &until_ms, &sql_limit(rows_max)];
    let rows = client.query(&old, &columns).await?;
    let mut states = Vec::with_capacity(rows.len());
    let mut swept = Swept { done: rows.len() < rows_max, ..Swept::default() };
    for row in &rows {
        match key(row.try_get(1)?, row.try_get(2)?).and_then(|key| ledger::state(&key, row.try_get(3).unwrap_or(""))) {
            Ok(state) => states.push(state),
            Err(_damage) => swept.damaged += 1,
        }
    }
    let mut numbers = Numbers::default();
    for state in &states {
        remembered(state).into_iter().for_each(|transaction_id| numbers.push(state.key(), transaction_id));
    }
    if !numbers.transaction_ids.is_empty() {
        numbers.add(&session, &session.prepare(ADD).await?).await?;
    }
    if let Some(last) = rows.last() {
        let last = (last.try_get(0)?, last.try_get(1)?, last.try_get(2)?);
        *progress.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }
    if swept.done && unix_ms() > until_ms {
        client.execute(ALL_DONE, &[]).await?;
    }
    Ok(swept)
}
