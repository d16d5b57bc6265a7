//! What is remembered of one order.

use std::sync::Arc;

use futures_util::future::join3;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::keys::unsigned;
use super::pool::{Session, Work};
use crate::payment::Key;
use crate::store::{ENTRIES_MAX, Entry, Error, Timeline, entries, kept};

const PAYMENT: &str = "SELECT acked_version, state FROM payments WHERE merchant_id = $1 AND order_id = $2";

const ENTRIES: &str = "
    SELECT at_ms, node, what FROM entries WHERE merchant_id = $1 AND order_id = $2
    ORDER BY at_ms DESC, id DESC LIMIT $3";

const WATCHED: &str = "
    SELECT first_ms, node, transport, connection, pages, last_ms FROM watched
    WHERE merchant_id = $1 AND order_id = $2";

/// The timeline of one order.
pub(super) struct Tell<'a> {
    pub(super) key: &'a Key,
}

impl Work for Tell<'_> {
    type Answer = Timeline;

    async fn attempt(&self, session: &Session) -> Result<Timeline, Fault> {
        let client = session.client()?;
        let most = i64::try_from(ENTRIES_MAX).unwrap_or(i64::MAX);
        let (merchant_id, order_id) = (self.key.merchant_id.as_str(), self.key.order_id.as_str());
        let (payment, entries, watched) =
            (session.prepare(PAYMENT).await?, session.prepare(ENTRIES).await?, session.prepare(WATCHED).await?);
        let (payment, entries, watched) = join3(
            client.query_opt(&payment, &[&merchant_id, &order_id]),
            client.query(&entries, &[&merchant_id, &order_id, &most]),
            client.query_opt(&watched, &[&merchant_id, &order_id]),
        )
        .await;
        let mut timeline = Timeline::default();
        if let Some(row) = payment? {
            timeline.acked_version = unsigned(row.try_get(0)?);
            timeline.payment = Some(Arc::new(kept::state(self.key, row.try_get(1)?)?.payment()));
        }
        for row in entries?.iter().rev() {
            timeline.entries.push(Entry {
                at_ms: row.try_get(0)?,
                node: row.try_get(1)?,
                what: object(row.try_get(2)?)?,
            });
        }
        if let Some(row) = watched? {
            let (connection, pages): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
            let told = entries::Told::Watched {
                transport: row.try_get(2)?,
                connection: unsigned(connection),
                pages: unsigned(pages),
                last_ms: row.try_get(5)?,
            };
            let entry = Entry { at_ms: row.try_get(0)?, node: row.try_get(1)?, what: object(&told.json()?)? };
            let place = timeline.entries.partition_point(|other| other.at_ms < entry.at_ms);
            timeline.entries.insert(place, entry);
            let over = timeline.entries.len().saturating_sub(ENTRIES_MAX);
            timeline.entries.drain(..over);
        }
        Ok(timeline)
    }
}

fn object(json: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(json).map_err(|e| Error::Corrupt(format!("an entry of a timeline: {e}")))
}
