//! A timeline as it is shown, from the rows that a store keeps of it.

use super::entry::TimelineEntry;
use super::row::Record;
use crate::payment::Key;
use crate::store::{ENTRIES_MAX, Entry, Error, Timeline};

/// An entry as it is stored.
pub(in crate::store) struct StoredEntry {
    /// Milliseconds since 1970.
    pub(in crate::store) at_ms: i64,
    pub(in crate::store) node: String,
    pub(in crate::store) json: String,
}

/// What is kept of the pages that waited for one order.
pub(in crate::store) struct Watch {
    /// When the first began, and the latest: milliseconds since 1970.
    pub(in crate::store) first_ms: i64,
    pub(in crate::store) last_ms: i64,
    pub(in crate::store) pages: u64,
    /// Those of the first page.
    pub(in crate::store) transport: String,
    pub(in crate::store) connection: u64,
    pub(in crate::store) node: String,
}

/// The timeline of `key` from what was stored: at most the latest [`ENTRIES_MAX`] entries, in the order of their writing.
///
/// # Errors
/// [`Error::Corrupt`] for an entry that is no JSON object.
pub(in crate::store) fn assemble(
    key: &Key,
    record: Option<Record>,
    stored: Vec<StoredEntry>,
    watch: Option<Watch>,
) -> Result<Timeline, Error> {
    let mut entries = Vec::with_capacity(stored.len() + 1);
    if let Some(Watch { first_ms, last_ms, pages, transport, connection, node }) = watch.filter(|watch| watch.pages > 0)
    {
        let watched = TimelineEntry::Watched { transport: &transport, connection, pages, last_ms };
        entries.push(entry(key, StoredEntry { at_ms: first_ms, node, json: watched.json()? })?);
    }
    for one in stored {
        entries.push(entry(key, one)?);
    }
    entries.sort_by_key(|entry| entry.at_ms);
    let surplus = entries.len().saturating_sub(ENTRIES_MAX);
    entries.drain(..surplus);
    let (payment, acked_version) = record.map(|record| (record.payment, record.acked_version)).unzip();
    Ok(Timeline { payment, acked_version: acked_version.unwrap_or(0), entries })
}

fn entry(key: &Key, StoredEntry { at_ms, node, json }: StoredEntry) -> Result<Entry, Error> {
    let Key { merchant_id, order_id } = key;
    let what = serde_json::from_str(&json)
        .map_err(|e| Error::Corrupt(format!("timeline of merchant {merchant_id} order {order_id}: {e}")))?;
    Ok(Entry { at_ms, node, what })
}
