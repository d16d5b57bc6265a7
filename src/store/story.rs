//! What happened to one order, for people.

use std::sync::Arc;

use super::PageRef;
use crate::payment::{Key, Payment};

/// Something to be told of an order that is not part of a commit: written soon, in batches, and lost where the process is
/// killed before that.
#[derive(Debug, Clone)]
pub struct Note {
    /// Of which order. It need not be known yet.
    pub key: Key,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub what: Noted,
}

/// What a [`Note`] tells.
#[derive(Debug, Clone)]
pub enum Noted {
    /// A page began to wait. From here on the order counts as watched.
    Watched(PageRef),
    /// A version was written to a page's socket.
    Pushed {
        /// Whose.
        page: PageRef,
        /// Which.
        version: u64,
        /// Milliseconds since this node received the event; not set for a snapshot.
        after_ms: Option<u64>,
    },
    /// A message of this order was published to the dead-letter exchange and confirmed.
    DeadLettered {
        /// Its id.
        event_id: String,
        /// The stable code, e.g. `id_reused`.
        reason: &'static str,
    },
}

/// All that is remembered of one order.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The payment as it stands.
    pub payment: Option<Arc<Payment>>,
    /// The latest version that a page acknowledged, 0 for none.
    pub acked_version: u64,
    /// What happened, in order of time; at most [`ENTRIES_MAX`], the latest.
    pub entries: Vec<Entry>,
}

/// Entries of one order that are kept.
pub const ENTRIES_MAX: usize = 500;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, milliseconds since 1970, by the clock of `node`.
    pub at_ms: i64,
    /// The node that wrote it (setting `instance`).
    pub node: String,
    /// What.
    pub what: serde_json::Map<String, serde_json::Value>,
}
