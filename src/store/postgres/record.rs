//! What is recorded of orders behind the events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;

use super::fault::Fault;
use super::keys::{Keys, key, signed};
use super::leftover::Leftover;
use super::options::Settings;
use super::session::Session;
use super::unanswered::Lost;
use super::{rows, save};
use crate::payment::Key;
use crate::runtime::{Backoff, unix_ms};
use crate::store::ledger::{Began, Ledger, Row};
use crate::store::{Note, NoteKind};

/// In the order of the keys, while the payments of these orders are locked: nobody who waits for one of these rows holds
/// another that this waits for.
const WATCH: &str = "
    INSERT INTO watched (merchant_id, order_id, node, transport, connection, pages, first_ms, last_ms)
    SELECT merchant_id, order_id, $8, transport, connection, pages, first_ms, last_ms
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS seen (merchant_id, order_id, transport, connection, pages, first_ms, last_ms)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        pages = watched.pages + CASE WHEN $9 AND watched.last_ms >= excluded.last_ms THEN 0 ELSE excluded.pages END,
        last_ms = greatest(watched.last_ms, excluded.last_ms)";

const KNOWN: &str = "
    SELECT payments.merchant_id, payments.order_id
    FROM unnest($1::text[], $2::text[]) AS wanted (merchant_id, order_id)
    JOIN payments ON payments.merchant_id = wanted.merchant_id AND payments.order_id = wanted.order_id
    WHERE version > 0";

/// By which what is recorded of an order without a payment is removed in time: a step before the first.
const UNKNOWN: &str = "
    INSERT INTO inquired (merchant_id, order_id, step, at_ms)
    SELECT merchant_id, order_id, 0, at_ms
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS unknown (merchant_id, order_id, at_ms)
    ON CONFLICT (merchant_id, order_id, step) DO UPDATE SET at_ms = greatest(inquired.at_ms, excluded.at_ms)";

/// Takes a number, so that what is under way has lower ones: a snapshot tells of none beyond the last that has ended.
const TAKE_NUMBER: &str = "SELECT pg_current_xact_id()";

/// Of every database of the server.
const UNDER_WAY: &str = "SELECT pg_snapshot_xip(pg_current_snapshot())::text::bigint";

/// For transactions that were under way. A node's own take milliseconds; one of somebody else that writes for longer is waited
/// for once.
const WAIT_LIMIT: Duration = Duration::from_secs(5);
const WAIT_FIRST: Duration = Duration::from_millis(1);
const WAIT_LONGEST: Duration = Duration::from_millis(50);

/// Answers the orders that pages wait for and that have no payment, each with when the last page began.
pub(super) async fn record(
    session: Session,
    settings: &Settings,
    lost: &Lost,
    notes: &Vec<Note>,
) -> Result<Vec<(Key, i64)>, Fault> {
    let is_of_page = |note: &&Note| matches!(note.what, NoteKind::Watched(_));
    let keys = Keys::new(notes.iter().filter(is_of_page).map(|note| &note.key));
    let mut ledger = rows::load(&session, settings, &keys, unix_ms(), rows::LOCK).await?;
    ledger.log.may_be_written = lost.notes.get(notes).is_some();
    if settings.rules.timeline {
        let others = Keys::new(notes.iter().filter(|note| !is_of_page(note)).map(|note| &note.key));
        load_known(&session, &mut ledger, &others).await?;
    }
    for note in notes {
        ledger.note(note)?;
    }
    save_watched(&session, settings, ledger.began(), ledger.log.may_be_written).await?;
    save_unknown(&session, &ledger.unknown()).await?;
    let unknown = ledger.began().iter().filter(|(key, _)| matches!(ledger.row(key), Some(Row::Absent)));
    let unknown = unknown.map(|(key, began)| (key.clone(), began.last_ms)).collect();
    lost.notes.during(|| vec![(notes.clone(), ())], save::commit(&session, settings, &ledger)).await?;
    Ok(unknown)
}

/// After pages that wait for orders without a payment were committed. Another node may be storing the first event of one, and
/// may have looked who waits before it could see these: what was under way then is waited for, and looked at.
pub(super) async fn look_again(
    session: Session,
    settings: &Settings,
    limit: Duration,
    unknown: &[(Key, i64)],
) -> Result<(), Fault> {
    wait_for_writers(&session, &settings.leftover, WAIT_LIMIT.min(limit / 2)).await?;
    watch(session, settings, unknown).await
}

/// Tells the payments of these orders, where there are any by now, that pages wait.
pub(super) async fn watch(session: Session, settings: &Settings, unknown: &[(Key, i64)]) -> Result<(), Fault> {
    let keys = Keys::new(unknown.iter().map(|(key, _)| key));
    let mut ledger = rows::load(&session, settings, &keys, unix_ms(), rows::LOCK).await?;
    for (key, last_ms) in unknown {
        ledger.watch(key, *last_ms);
    }
    // Done twice it is done once.
    save::commit(&session, settings, &ledger).await
}

async fn wait_for_writers(session: &Session, leftover: &Leftover, limit: Duration) -> Result<(), Fault> {
    let mut waits = Backoff::new(WAIT_FIRST, WAIT_LONGEST);
    let deadline = Instant::now() + limit;
    let take = session.prepare(TAKE_NUMBER).await?;
    session.client()?.execute(&take, &[]).await?;
    let mut writers = under_way(session).await?;
    leftover.long_writers().retain(|long| writers.contains(long));
    writers.retain(|writer| !leftover.long_writers().contains(writer));
    while !writers.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(waits.wait()).await;
        let now = under_way(session).await?;
        writers.retain(|writer| now.contains(writer));
    }
    leftover.long_writers().extend(writers);
    Ok(())
}

/// The transactions that are writing.
async fn under_way(session: &Session) -> Result<Vec<i64>, Fault> {
    let look = session.prepare(UNDER_WAY).await?;
    let rows = session.client()?.query(&look, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Loads which of these orders have payments.
async fn load_known(session: &Session, ledger: &mut Ledger<'_>, keys: &Keys<'_>) -> Result<(), Fault> {
    if keys.keys.is_empty() {
        return Ok(());
    }
    let select = session.prepare(KNOWN).await?;
    for row in session.client()?.query(&select, &[&keys.merchant_ids, &keys.order_ids]).await? {
        ledger.load(key(row.try_get(0)?, row.try_get(1)?)?, Row::Unread);
    }
    for key in &keys.keys {
        if ledger.row(key).is_none() {
            ledger.load((*key).clone(), Row::Absent);
        }
    }
    Ok(())
}

async fn save_unknown(session: &Session, unknown: &BTreeMap<&Key, i64>) -> Result<(), Fault> {
    if unknown.is_empty() {
        return Ok(());
    }
    let insert = session.prepare(UNKNOWN).await?;
    let Keys { merchant_ids, order_ids, .. } = Keys::new(unknown.keys().copied());
    let times_ms: Vec<_> = unknown.values().copied().collect();
    session.client()?.execute(&insert, &[&merchant_ids, &order_ids, &times_ms]).await?;
    Ok(())
}

/// `again` where an attempt before may have written the same.
async fn save_watched(
    session: &Session,
    settings: &Settings,
    began: &BTreeMap<Key, Began>,
    again: bool,
) -> Result<(), Fault> {
    if began.is_empty() {
        return Ok(());
    }
    let watch = session.prepare(WATCH).await?;
    let Keys { merchant_ids, order_ids, .. } = Keys::new(began.keys());
    let each = || began.values();
    let transports: Vec<_> = each().map(|began| began.first.transport.as_str()).collect();
    let connections = each().map(|began| signed(began.first.connection)).collect::<Result<Vec<_>, _>>()?;
    let pages: Vec<_> = each().map(|began| began.pages).collect();
    let firsts_ms: Vec<_> = each().map(|began| began.first_ms).collect();
    let lasts_ms: Vec<_> = each().map(|began| began.last_ms).collect();
    let node = &settings.rules.instance;
    let columns: [&(dyn ToSql + Sync); 9] =
        [&merchant_ids, &order_ids, &transports, &connections, &pages, &firsts_ms, &lasts_ms, node, &again];
    session.client()?.execute(&watch, &columns).await?;
    Ok(())
}
