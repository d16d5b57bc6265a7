//! What is told of orders behind the events.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::Settings;
use super::fault::Fault;
use super::keys::{Keys, key, signed};
use super::pool::{Session, Work};
use super::rows::Rows;
use super::told::Told;
use super::unanswered::Lost;
use crate::payment::Key;
use crate::runtime::{Backoff, unix_ms};
use crate::store::{Note, NoteKind, PageRef, entries};

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

/// By which what is told of an order without a payment is removed in time: a step before the first.
const UNKNOWN: &str = "
    INSERT INTO inquired (merchant_id, order_id, step, at_ms)
    SELECT merchant_id, order_id, 0, at_ms
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS told (merchant_id, order_id, at_ms)
    ON CONFLICT (merchant_id, order_id, step) DO UPDATE SET at_ms = greatest(inquired.at_ms, excluded.at_ms)";

const UNDER_WAY: &str = "
    SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint
    FROM (SELECT pg_current_snapshot() AS now) AS snapshot";

/// For transactions that were under way. A node's own take milliseconds; one of somebody else that writes for longer is not
/// waited for.
const WAIT_LIMIT: Duration = Duration::from_secs(5);
const WAIT_FIRST: Duration = Duration::from_millis(1);
const WAIT_LONGEST: Duration = Duration::from_millis(50);

/// Some notes.
pub(super) struct Notes<'a> {
    pub(super) settings: &'a Settings,
    pub(super) lost: &'a Lost,
    pub(super) notes: Vec<Note>,
}

/// The pages of one order that began to wait.
struct Pages {
    first: PageRef,
    count: i64,
    first_ms: i64,
    last_ms: i64,
}

impl Work for Notes<'_> {
    /// The orders that pages wait for and that have no payment, each with when the last page began.
    type Answer = Vec<(Key, i64)>;

    async fn attempt(&self, session: &Session) -> Result<Self::Answer, Fault> {
        let mut told = Told::new(self.settings, unix_ms());
        let (pages, lost) = (self.pages(), &self.lost.notes);
        let again = lost.get(&self.notes).is_some();
        if again {
            told.again();
        }
        let mut rows = Rows::lock(session, &Keys::new(pages.keys().copied())).await?;
        watch(session, self.settings, &pages, again).await?;
        for (key, pages) in &pages {
            rows.watch(key, pages.last_ms, &told);
        }
        let known = self.known(session).await?;
        for Note { key, at_ms, what } in &self.notes {
            match what {
                NoteKind::Watched(_) => {}
                // Removed since.
                NoteKind::Pushed { .. } if !known.contains(key) => {}
                NoteKind::Pushed { page, version, after_ms } => {
                    told.entry(key, *at_ms, &entries::Told::pushed(*page, *version, *after_ms))?;
                }
                NoteKind::DeadLettered { event_id, reason } => {
                    told.entry(key, *at_ms, &entries::Told::DeadLettered { event_id, reason })?;
                }
            }
        }
        let unknown = pages.iter().filter(|(key, _)| !rows.has(key));
        let unknown = unknown.map(|(key, pages)| ((*key).clone(), pages.last_ms)).collect();
        lost.during(|| vec![(self.notes.clone(), ())], rows.commit(session, &told)).await?;
        Ok(unknown)
    }
}

/// Pages that wait for orders without a payment, once that is committed. Another node may be storing the first event of one,
/// and may have looked who waits before it could see these: what was under way then is waited for, and looked at.
pub(super) struct Overlapped<'a> {
    pub(super) settings: &'a Settings,
    pub(super) unknown: Vec<(Key, i64)>,
}

impl Work for Overlapped<'_> {
    type Answer = ();

    async fn attempt(&self, session: &Session) -> Result<(), Fault> {
        let mut waits = Backoff::new(WAIT_FIRST, WAIT_LONGEST);
        let deadline = Instant::now() + WAIT_LIMIT;
        let [_, next] = under_way(session).await?;
        while under_way(session).await?[0] < next && Instant::now() < deadline {
            tokio::time::sleep(waits.wait()).await;
        }
        let told = Told::new(self.settings, unix_ms());
        let mut rows = Rows::lock(session, &Keys::new(self.unknown.iter().map(|(key, _)| key))).await?;
        for (key, last_ms) in &self.unknown {
            rows.watch(key, *last_ms, &told);
        }
        // Done twice it is done once.
        rows.commit(session, &told).await
    }
}

/// The number of the oldest transaction that is under way, and of the next that begins.
async fn under_way(session: &Session) -> Result<[i64; 2], Fault> {
    let look = session.prepare(UNDER_WAY).await?;
    let row = session.client()?.query_one(&look, &[]).await?;
    Ok([row.try_get(0)?, row.try_get(1)?])
}

impl Notes<'_> {
    /// Of which orders there are payments. Those that have none and are told of all the same are noted.
    async fn known(&self, session: &Session) -> Result<HashSet<Key>, Fault> {
        let client = session.client()?;
        let told = self.notes.iter().filter(|note| !matches!(note.what, NoteKind::Watched(_)));
        let Keys { merchant_ids, order_ids } = Keys::new(told.map(|note| &note.key));
        let mut known = HashSet::new();
        if self.settings.timeline && !merchant_ids.is_empty() {
            let select = session.prepare(KNOWN).await?;
            for row in client.query(&select, &[&merchant_ids, &order_ids]).await? {
                known.insert(key(row.try_get(0)?, row.try_get(1)?)?);
            }
            let dead = self.notes.iter().filter(|note| matches!(note.what, NoteKind::DeadLettered { .. }));
            let mut unknown: BTreeMap<&Key, i64> = BTreeMap::new();
            for Note { key, at_ms, .. } in dead.filter(|note| !known.contains(&note.key)) {
                let latest_ms = unknown.entry(key).or_insert(*at_ms);
                *latest_ms = (*latest_ms).max(*at_ms);
            }
            if !unknown.is_empty() {
                let insert = session.prepare(UNKNOWN).await?;
                let Keys { merchant_ids, order_ids } = Keys::new(unknown.keys().copied());
                let times_ms: Vec<_> = unknown.values().copied().collect();
                client.execute(&insert, &[&merchant_ids, &order_ids, &times_ms]).await?;
            }
        }
        Ok(known)
    }

    fn pages(&self) -> BTreeMap<&Key, Pages> {
        let mut pages: BTreeMap<&Key, Pages> = BTreeMap::new();
        for Note { key, at_ms, what } in &self.notes {
            let NoteKind::Watched(page) = what else { continue };
            let of_order =
                pages.entry(key).or_insert(Pages { first: *page, count: 0, first_ms: *at_ms, last_ms: *at_ms });
            of_order.count += 1;
            of_order.last_ms = of_order.last_ms.max(*at_ms);
        }
        pages
    }
}

/// `again` where an attempt before may have written the same.
async fn watch(
    session: &Session,
    settings: &Settings,
    pages: &BTreeMap<&Key, Pages>,
    again: bool,
) -> Result<(), Fault> {
    if pages.is_empty() {
        return Ok(());
    }
    let watch = session.prepare(WATCH).await?;
    let keys = Keys::new(pages.keys().copied());
    let each = || pages.values();
    let transports: Vec<_> = each().map(|pages| pages.first.transport.as_str()).collect();
    let connections = each().map(|pages| signed(pages.first.connection)).collect::<Result<Vec<_>, _>>()?;
    let counts: Vec<_> = each().map(|pages| pages.count).collect();
    let firsts: Vec<_> = each().map(|pages| pages.first_ms).collect();
    let lasts: Vec<_> = each().map(|pages| pages.last_ms).collect();
    let Keys { merchant_ids, order_ids } = &keys;
    let instance = &settings.instance;
    let columns: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
        [merchant_ids, order_ids, &transports, &connections, &counts, &firsts, &lasts, instance, &again];
    session.client()?.execute(&watch, &columns).await?;
    Ok(())
}
