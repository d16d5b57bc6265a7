//! What is told of orders behind the events.

use std::collections::BTreeMap;

use super::Settings;
use super::fault::Fault;
use super::keys::{Keys, signed};
use super::pool::{Session, Work};
use super::rows::Rows;
use super::told::Told;
use crate::payment::Key;
use crate::runtime::unix_ms;
use crate::store::{Note, Noted, PageRef, entries};

/// In the order of the keys, while the payments of these orders are locked: nobody who waits for one of these rows holds
/// another that this waits for.
const WATCH: &str = "
    INSERT INTO watched (merchant_id, order_id, node, transport, connection, pages, first_ms, last_ms)
    SELECT merchant_id, order_id, $8, transport, connection, pages, first_ms, last_ms
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS seen (merchant_id, order_id, transport, connection, pages, first_ms, last_ms)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        pages = watched.pages + excluded.pages,
        last_ms = greatest(watched.last_ms, excluded.last_ms)";

/// Some notes.
pub(super) struct Notes<'a> {
    pub(super) settings: &'a Settings,
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
    type Answer = ();

    async fn attempt(&self, session: &Session) -> Result<(), Fault> {
        let mut told = Told::new(self.settings, unix_ms());
        let pages = self.pages();
        let mut rows = Rows::lock(session, &Keys::new(pages.keys().copied())).await?;
        watch(session, self.settings, &pages).await?;
        for (key, pages) in &pages {
            rows.watch(key, pages.last_ms, &told);
        }
        for Note { key, at_ms, what } in &self.notes {
            match what {
                Noted::Watched(_) => {}
                Noted::Pushed { page, version, after_ms } => {
                    told.entry(key, *at_ms, &entries::Told::pushed(*page, *version, *after_ms))?;
                }
                Noted::DeadLettered { event_id, reason } => {
                    told.entry(key, *at_ms, &entries::Told::DeadLettered { event_id, reason })?;
                }
            }
        }
        rows.commit(session, &told).await
    }
}

impl Notes<'_> {
    fn pages(&self) -> BTreeMap<&Key, Pages> {
        let mut pages: BTreeMap<&Key, Pages> = BTreeMap::new();
        for Note { key, at_ms, what } in &self.notes {
            let Noted::Watched(page) = what else { continue };
            let of_order =
                pages.entry(key).or_insert(Pages { first: *page, count: 0, first_ms: *at_ms, last_ms: *at_ms });
            of_order.count += 1;
            of_order.last_ms = of_order.last_ms.max(*at_ms);
        }
        pages
    }
}

async fn watch(session: &Session, settings: &Settings, pages: &BTreeMap<&Key, Pages>) -> Result<(), Fault> {
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
    let columns: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
        [merchant_ids, order_ids, &transports, &connections, &counts, &firsts, &lasts, instance];
    session.client()?.execute(&watch, &columns).await?;
    Ok(())
}
