//! Removing what is older than is kept, a little at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::future::join;
use tokio_postgres::Row;

use super::fault::Fault;
use super::pool::{Pool, Session, Work};
use super::rows::Place;
use super::unanswered::Unanswered;
use crate::store::progress::Progress;
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

/// How far each table was looked through.
pub(super) struct RetentionCursor {
    payments: Mutex<Progress<Place>>,
    watched: Mutex<Progress<Place>>,
    inquired: Mutex<Progress<Place>>,
    removed: Removed,
}

/// What steps may have removed whose commit was not answered, by their number and by table.
#[derive(Default)]
struct Removed {
    steps: AtomicU64,
    payments: Unanswered<u64, usize>,
    watched: Unanswered<u64, usize>,
    inquired: Unanswered<u64, usize>,
    entries: Unanswered<u64, usize>,
}

impl Removed {
    /// Commits, and answers how many count as removed, those of `lost` too.
    async fn commit(&self, session: &Session, lost: &Unanswered<u64, usize>, removed: usize) -> Result<usize, Fault> {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        lost.during(|| vec![(step, removed)], session.commit(async { Ok(()) })).await?;
        Ok(removed + lost.take().into_iter().map(|(_, removed)| removed).sum::<usize>())
    }
}

impl RetentionCursor {
    pub(super) fn new() -> Self {
        let begin = || Mutex::new(Progress::new());
        Self { payments: begin(), watched: begin(), inquired: begin(), removed: Removed::default() }
    }
}

/// One step in one table.
struct Step<'a> {
    table: &'a Table,
    progress: &'a Mutex<Progress<Place>>,
    removed: &'a Removed,
    lost: &'a Unanswered<u64, usize>,
    before_ms: i64,
    rows_max: usize,
    /// What is come upon is passed over: it cannot be removed.
    passes: bool,
}

#[derive(Default)]
struct Stepped {
    removed: usize,
    damaged: usize,
    done: bool,
}

impl Work for Step<'_> {
    type Answer = Stepped;

    async fn attempt(&self, session: &Session) -> Result<Stepped, Fault> {
        if !begin(session).await? {
            return Ok(Stepped { done: true, ..Stepped::default() });
        }
        let client = session.client()?;
        let (look, remove) = (session.prepare(self.table.look).await?, session.prepare(self.table.remove).await?);
        let after = self.progress().place().cloned();
        let (after_ms, merchant_id, order_id) = after.unwrap_or((i64::MIN, String::new(), String::new()));
        let (before_ms, rows_max) = (&self.before_ms, super::most(self.rows_max));
        let seen = client.query(&look, &[&after_ms, &merchant_id, &order_id, before_ms, &rows_max]).await?;
        let (mut merchant_ids, mut order_ids, mut last) = (Vec::new(), Vec::new(), None);
        for row in &seen {
            let place: Place = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if row.try_get::<_, i64>(3)? < *before_ms {
                merchant_ids.push(place.1.clone());
                order_ids.push(place.2.clone());
            }
            last = Some(place);
        }
        let mut stepped = Stepped { done: seen.len() < self.rows_max, ..Stepped::default() };
        if self.passes {
            stepped.damaged = seen.len();
        } else if !merchant_ids.is_empty() {
            let removed = client.query(&remove, &[&merchant_ids, &order_ids, before_ms]).await?;
            remove_timelines(session, &removed).await?;
            stepped.removed = removed.len();
        }
        stepped.removed = self.removed.commit(session, self.lost, stepped.removed).await?;
        self.progress().step(last, stepped.damaged, stepped.done, Instant::now());
        Ok(stepped)
    }
}

impl Step<'_> {
    fn progress(&self) -> MutexGuard<'_, Progress<Place>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step, and where one row stands in the way, one by one: what fails alone is passed over.
    async fn run(self, pool: &Pool) -> Result<Stepped, Error> {
        match pool.run(&self).await {
            Err(error) if error.may_be_of_one_row() => {}
            stepped => return stepped,
        }
        let mut sum = Stepped::default();
        for _ in 0..self.rows_max {
            let one = Step { rows_max: 1, ..self };
            let step = match pool.run(&one).await {
                Err(error) if error.may_be_of_one_row() => {
                    tracing::error!(%error, "an old row cannot be removed and is skipped");
                    pool.run(&Step { passes: true, ..one }).await?
                }
                step => step?,
            };
            sum.removed += step.removed;
            sum.damaged += step.damaged;
            sum.done = step.done;
            if sum.done {
                break;
            }
        }
        Ok(sum)
    }
}

/// Old entries of timelines, some of them.
struct Entries<'a> {
    removed: &'a Removed,
    before_ms: i64,
    rows_max: usize,
}

impl Work for Entries<'_> {
    type Answer = usize;

    async fn attempt(&self, session: &Session) -> Result<usize, Fault> {
        if !begin(session).await? {
            return Ok(0);
        }
        let client = session.client()?;
        let remove = session.prepare(REMOVE_OLD).await?;
        let entries = client.execute(&remove, &[&self.before_ms, &super::most(self.rows_max)]).await?;
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        self.removed.commit(session, &self.removed.entries, entries).await
    }
}

/// One step in each table.
pub(super) async fn purge(
    pool: &Pool,
    walk: &RetentionCursor,
    before: PurgeBefore,
    rows_max: usize,
) -> Result<Purged, Error> {
    let rows_max = rows_max.max(1);
    let removed = &walk.removed;
    let step =
        |table, progress, lost, before_ms| Step { table, progress, removed, lost, before_ms, rows_max, passes: false };
    let payments = step(&PAYMENTS, &walk.payments, &removed.payments, before.payments_ms).run(pool).await?;
    let watched = step(&WATCHED, &walk.watched, &removed.watched, before.unknown_ms).run(pool).await?;
    let inquired = step(&INQUIRED, &walk.inquired, &removed.inquired, before.unknown_ms).run(pool).await?;
    let (mut entries, mut unremoved) = (0, 0);
    match pool.run(&Entries { removed, before_ms: before.entries_ms, rows_max }).await {
        Err(error) if error.may_be_of_one_row() => {
            tracing::error!(%error, "old entries of timelines are not removed");
            unremoved = 1;
        }
        answer => entries = answer?,
    }
    let damaged = payments.damaged + watched.damaged + inquired.damaged + unremoved;
    let done = payments.done && watched.done && inquired.done && entries < rows_max;
    Ok(Purged { payments: payments.removed, entries, damaged, done })
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
