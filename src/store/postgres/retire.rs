//! Removing what is older than is kept, a little at a time.

use std::sync::{Mutex, PoisonError};

use futures_util::future::join;
use tokio_postgres::Row;

use super::fault::Fault;
use super::pool::{Session, Work};
use super::rows::{BEGIN, COMMIT};
use crate::store::Retired;

/// One node at a time, and the others do not wait for it: "PNpe" in ASCII.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(1347317861)";

/// By the time a row was made, which never changes and so costs an index little: rows that changed long after are looked
/// at more than once.
const LOOK: &str = "
    SELECT created_ms, merchant_id, order_id, changed_ms FROM payments
    WHERE (created_ms, merchant_id, order_id) > ($1, $2, $3) AND created_ms < $4
    ORDER BY created_ms, merchant_id, order_id LIMIT $5";

/// A row that another transaction holds is changing, and so not old.
const REMOVE: &str = "
    DELETE FROM payments USING (
        SELECT payments.merchant_id, payments.order_id
        FROM unnest($1::text[], $2::text[]) AS old (merchant_id, order_id)
        JOIN payments ON payments.merchant_id = old.merchant_id AND payments.order_id = old.order_id
        WHERE changed_ms < $3 FOR UPDATE OF payments SKIP LOCKED) AS old
    WHERE payments.merchant_id = old.merchant_id AND payments.order_id = old.order_id
    RETURNING payments.merchant_id, payments.order_id";

const REMOVE_STORIES: [&str; 3] = [
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

/// What is known of orders that never became payments.
const REMOVE_UNKNOWN: [&str; 2] = [
    "DELETE FROM watched WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM watched WHERE first_ms < $1 AND last_ms < $1 AND NOT EXISTS (
            SELECT FROM payments
            WHERE payments.merchant_id = watched.merchant_id AND payments.order_id = watched.order_id)
        ORDER BY first_ms LIMIT $2 FOR UPDATE SKIP LOCKED))
     RETURNING merchant_id, order_id",
    "DELETE FROM inquired WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM inquired WHERE at_ms < $1 AND NOT EXISTS (
            SELECT FROM payments
            WHERE payments.merchant_id = inquired.merchant_id AND payments.order_id = inquired.order_id)
        ORDER BY at_ms LIMIT $2 FOR UPDATE SKIP LOCKED))
     RETURNING merchant_id, order_id",
];

/// The last row that was looked at: time, merchant, order.
type Place = (i64, String, String);

/// How far the payments were looked through.
#[derive(Default)]
pub(super) struct Progress(Mutex<Option<Place>>);

impl Progress {
    fn get(&self) -> Place {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        place.unwrap_or((i64::MIN, String::new(), String::new()))
    }

    fn set(&self, place: Option<Place>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

/// One step.
pub(super) struct Retire<'a> {
    pub(super) progress: &'a Progress,
    pub(super) payments_before_ms: i64,
    pub(super) entries_before_ms: i64,
    pub(super) rows_max: i64,
}

impl Work for Retire<'_> {
    type Answer = Retired;

    async fn attempt(&self, session: &Session) -> Result<Retired, Fault> {
        let client = session.client()?;
        let (begun, turn) = join(client.batch_execute(BEGIN), client.query_one(TURN, &[])).await;
        begun?;
        if !turn?.try_get::<_, bool>(0)? {
            client.batch_execute("ROLLBACK").await?;
            return Ok(Retired { done: true, ..Retired::default() });
        }
        let (payments, place) = self.payments(session).await?;
        let unknown_done = self.unknown(session).await?;
        let remove = session.prepare(REMOVE_OLD).await?;
        let entries = client.execute(&remove, &[&self.entries_before_ms, &self.rows_max]).await?;
        client.batch_execute(COMMIT).await?;
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        let done = place.is_none() && unknown_done && self.is_last(entries);
        self.progress.set(place);
        Ok(Retired { payments, entries, done })
    }
}

impl Retire<'_> {
    /// How many were removed, and where to go on if there is more.
    async fn payments(&self, session: &Session) -> Result<(usize, Option<Place>), Fault> {
        let client = session.client()?;
        let (look, remove) = (session.prepare(LOOK).await?, session.prepare(REMOVE).await?);
        let before_ms = &self.payments_before_ms;
        let (created_ms, merchant_id, order_id) = self.progress.get();
        let seen = client.query(&look, &[&created_ms, &merchant_id, &order_id, before_ms, &self.rows_max]).await?;
        let (mut merchant_ids, mut order_ids, mut last) = (Vec::new(), Vec::new(), None);
        for row in &seen {
            let place: Place = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if row.try_get::<_, i64>(3)? < *before_ms {
                merchant_ids.push(place.1.clone());
                order_ids.push(place.2.clone());
            }
            last = Some(place);
        }
        let removed = client.query(&remove, &[&merchant_ids, &order_ids, before_ms]).await?;
        remove_stories(session, &removed).await?;
        Ok((removed.len(), last.filter(|_| !self.is_last(seen.len()))))
    }

    /// True if that was all.
    async fn unknown(&self, session: &Session) -> Result<bool, Fault> {
        let mut done = true;
        for sql in REMOVE_UNKNOWN {
            let remove = session.prepare(sql).await?;
            let removed = session.client()?.query(&remove, &[&self.payments_before_ms, &self.rows_max]).await?;
            remove_stories(session, &removed).await?;
            done &= self.is_last(removed.len());
        }
        Ok(done)
    }

    /// Whether a step that came upon so many rows came upon the last.
    fn is_last(&self, rows: usize) -> bool {
        i64::try_from(rows).unwrap_or(i64::MAX) < self.rows_max
    }
}

async fn remove_stories(session: &Session, removed: &[Row]) -> Result<(), Fault> {
    if removed.is_empty() {
        return Ok(());
    }
    let (mut merchant_ids, mut order_ids) = (Vec::<&str>::new(), Vec::<&str>::new());
    for row in removed {
        merchant_ids.push(row.try_get(0)?);
        order_ids.push(row.try_get(1)?);
    }
    for sql in REMOVE_STORIES {
        let remove = session.prepare(sql).await?;
        session.client()?.execute(&remove, &[&merchant_ids, &order_ids]).await?;
    }
    Ok(())
}
