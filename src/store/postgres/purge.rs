//! Removing what is older than is kept, a little at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::future::join;
use tokio_postgres::Row;

use super::fault::Fault;
use super::orders::{self, IndexProgress};
use super::pool::Pool;
use super::rows::Place;
use super::session::Session;
use super::unanswered::Unanswered;
use crate::store::columns::sql_limit;
use crate::store::ledger::{Examined, Progress, Swept, examine, purged};
use crate::store::pieces::sweep;
use crate::store::{Error, PurgeBefore, Purged};

/// One node at a time, and the others do not wait for it: "PNpe" in ASCII.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(1347317861)";

/// A table that is looked through by the time its rows were made, which never changes and so costs an index little: rows
/// that changed long after are looked at more than once.
struct Table {
    /// When a row was made, whose it is, and when it last changed: some rows behind a place.
    look: &'static str,
    /// Removes those that are still old. A row that another transaction holds is changing, and so not old.
    remove: &'static str,
}

const PAYMENTS: Table = Table {
    look: "
    SELECT created_ms, merchant_id, order_id, changed_ms FROM payments
    WHERE (created_ms, merchant_id, order_id) > ($1, $2, $3) AND created_ms < $4
    ORDER BY created_ms, merchant_id, order_id LIMIT $5",
    remove: "
    DELETE FROM payments USING (
        SELECT payments.merchant_id, payments.order_id
        FROM unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
        JOIN payments ON payments.merchant_id = old.merchant_id AND payments.order_id = old.order_id
        WHERE changed_ms < $3 FOR UPDATE OF payments SKIP LOCKED) AS old
    WHERE payments.merchant_id = old.merchant_id AND payments.order_id = old.order_id
    RETURNING payments.merchant_id, payments.order_id",
};

/// What is known of orders that never became payments: pages waited,
const WATCHED: Table = Table {
    look: "
    SELECT first_ms, merchant_id, order_id, last_ms FROM watched
    WHERE (first_ms, merchant_id, order_id) > ($1, $2, $3) AND first_ms < $4
    ORDER BY first_ms, merchant_id, order_id LIMIT $5",
    remove: "
    DELETE FROM watched USING (
        SELECT watched.merchant_id, watched.order_id
        FROM unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
        JOIN watched ON watched.merchant_id = old.merchant_id AND watched.order_id = old.order_id
        WHERE last_ms < $3 AND NOT EXISTS (
            SELECT FROM payments
            WHERE payments.merchant_id = old.merchant_id AND payments.order_id = old.order_id)
        FOR UPDATE OF watched SKIP LOCKED) AS old
    WHERE watched.merchant_id = old.merchant_id AND watched.order_id = old.order_id
    RETURNING watched.merchant_id, watched.order_id",
};

/// or something was published of them.
const INQUIRED: Table = Table {
    look: "
    SELECT at_ms, merchant_id, order_id, at_ms FROM inquired
    WHERE (at_ms, merchant_id, order_id) > ($1, $2, $3) AND at_ms < $4
    ORDER BY at_ms, merchant_id, order_id LIMIT $5",
    remove: "
    DELETE FROM inquired USING (
        SELECT inquired.merchant_id, inquired.order_id, step
        FROM unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
        JOIN inquired ON inquired.merchant_id = old.merchant_id AND inquired.order_id = old.order_id
        WHERE at_ms < $3 AND NOT EXISTS (
            SELECT FROM payments
            WHERE payments.merchant_id = old.merchant_id AND payments.order_id = old.order_id)
        AND NOT EXISTS (
            SELECT FROM watched
            WHERE watched.merchant_id = old.merchant_id AND watched.order_id = old.order_id AND last_ms >= $3)
        FOR UPDATE OF inquired SKIP LOCKED) AS old
    WHERE inquired.merchant_id = old.merchant_id AND inquired.order_id = old.order_id AND inquired.step = old.step
    RETURNING inquired.merchant_id, inquired.order_id",
};

const REMOVE_TIMELINES: [&str; 3] = [
    "DELETE FROM entries USING unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
     WHERE entries.merchant_id = old.merchant_id AND entries.order_id = old.order_id",
    "DELETE FROM watched USING unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
     WHERE watched.merchant_id = old.merchant_id AND watched.order_id = old.order_id",
    "DELETE FROM inquired USING unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
     WHERE inquired.merchant_id = old.merchant_id AND inquired.order_id = old.order_id",
];

const REMOVE_OLD: &str = "
    DELETE FROM entries WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM entries WHERE at_ms < $1 ORDER BY at_ms LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// How far each table was looked through, and what steps may have removed whose commit was not answered, by their number.
#[derive(Default)]
pub(super) struct PurgeCursor {
    steps: AtomicU64,
    payments: Looked,
    watched: Looked,
    inquired: Looked,
    entries: Unanswered<u64, usize>,
    index: IndexProgress,
}

#[derive(Default)]
struct Looked {
    progress: Mutex<Progress<Place>>,
    removed: Unanswered<u64, usize>,
}

impl Looked {
    fn progress(&self) -> MutexGuard<'_, Progress<Place>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One step in each table.
pub(super) async fn purge(
    pool: &Pool,
    cursor: &PurgeCursor,
    before: PurgeBefore,
    rows_max: usize,
) -> Result<Purged, Error> {
    let rows_max = rows_max.max(1);
    let table = |table, looked, before_ms| {
        let step = move |rows_max, passes| {
            pool.run(move |session| step(session, table, &cursor.steps, looked, Look { before_ms, rows_max, passes }))
        };
        sweep(rows_max, "an old row cannot be removed and is skipped", step)
    };
    let payments = table(&PAYMENTS, &cursor.payments, before.payments_ms).await?;
    let watched = table(&WATCHED, &cursor.watched, before.unknown_ms).await?;
    let inquired = table(&INQUIRED, &cursor.inquired, before.unknown_ms).await?;
    let entries = match pool.run(|session| remove_entries(session, cursor, before.entries_ms, rows_max)).await {
        Err(error) if error.may_be_of_one_row() => {
            tracing::error!(%error, "old entries of timelines are not removed");
            Swept { rows: 0, damaged: 1, done: true }
        }
        rows => rows.map(|rows| Swept { rows, damaged: 0, done: rows < rows_max })?,
    };
    let indexed = pool.run(|session| orders::index_old(session, &cursor.index, rows_max)).await?;
    Ok(purged(payments, &[watched, inquired, indexed], entries))
}

#[derive(Clone, Copy)]
struct Look {
    before_ms: i64,
    rows_max: usize,
    /// What is come upon is passed over: it cannot be removed.
    passes: bool,
}

async fn step(
    session: Session,
    table: &Table,
    steps: &AtomicU64,
    looked: &Looked,
    Look { before_ms, rows_max, passes }: Look,
) -> Result<Swept, Fault> {
    if !begin(&session).await? {
        return Ok(Swept { done: true, ..Swept::default() });
    }
    let client = session.client()?;
    let (look, remove) = (session.prepare(table.look).await?, session.prepare(table.remove).await?);
    let after = looked.progress().place().cloned();
    let (after_ms, merchant_id, order_id) = after.unwrap_or((i64::MIN, String::new(), String::new()));
    let rows = client.query(&look, &[&after_ms, &merchant_id, &order_id, &before_ms, &sql_limit(rows_max)]).await?;
    let mut times = Vec::with_capacity(rows.len());
    for row in &rows {
        times.push(Some((row.try_get(0)?, row.try_get(3)?)));
    }
    let Examined { old, done, .. } = examine(&times, before_ms, i64::MAX, rows_max);
    let mut swept = Swept { done, ..Swept::default() };
    if passes {
        swept.damaged = rows.len();
    } else if !old.is_empty() {
        let (mut merchant_ids, mut order_ids) = (Vec::<&str>::new(), Vec::<&str>::new());
        for place in old {
            merchant_ids.push(rows[place].try_get(1)?);
            order_ids.push(rows[place].try_get(2)?);
        }
        let removed = client.query(&remove, &[&merchant_ids, &order_ids, &before_ms]).await?;
        remove_timelines(&session, &removed).await?;
        swept.rows = removed.len();
    }
    swept.rows = commit(&session, steps, &looked.removed, swept.rows).await?;
    let last = rows.last().map(|row| Ok::<_, Fault>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
    looked.progress().step(last.transpose()?, swept.damaged, swept.done, Instant::now());
    Ok(swept)
}

async fn remove_entries(
    session: Session,
    cursor: &PurgeCursor,
    before_ms: i64,
    rows_max: usize,
) -> Result<usize, Fault> {
    if !begin(&session).await? {
        return Ok(0);
    }
    let remove = session.prepare(REMOVE_OLD).await?;
    let removed = session.client()?.execute(&remove, &[&before_ms, &sql_limit(rows_max)]).await?;
    commit(&session, &cursor.steps, &cursor.entries, usize::try_from(removed).unwrap_or(usize::MAX)).await
}

/// Commits, and answers how many count as removed, those of `lost` too.
async fn commit(
    session: &Session,
    steps: &AtomicU64,
    lost: &Unanswered<u64, usize>,
    removed: usize,
) -> Result<usize, Fault> {
    let step = steps.fetch_add(1, Ordering::Relaxed);
    lost.during(|| vec![(step, removed)], session.commit(async { Ok(()) })).await?;
    Ok(removed + lost.take().into_iter().map(|(_, removed)| removed).sum::<usize>())
}

/// Begins the transaction. False, and there is none, while another node has the turn.
async fn begin(session: &Session) -> Result<bool, Fault> {
    let client = session.client()?;
    let (begun, turn) = join(session.begin(), client.query_one(TURN, &[])).await;
    begun?;
    let has_turn: bool = turn?.try_get(0)?;
    if !has_turn {
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(has_turn)
}

async fn remove_timelines(session: &Session, removed: &[Row]) -> Result<(), Fault> {
    if removed.is_empty() {
        return Ok(());
    }
    let (mut merchant_ids, mut order_ids) = (Vec::<&str>::new(), Vec::<&str>::new());
    for row in removed {
        merchant_ids.push(row.try_get(0)?);
        order_ids.push(row.try_get(1)?);
    }
    for sql in REMOVE_TIMELINES {
        let remove = session.prepare(sql).await?;
        session.client()?.execute(&remove, &[&merchant_ids, &order_ids]).await?;
    }
    Ok(())
}
