//! What happened to one order, for people.

use std::sync::Arc;

use super::PageRef;
use crate::payment::{Key, Payment};

/// Something for the timeline of an order that is not part of a commit: written soon, in batches, and lost where the process is
/// killed before that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// Of which order. It need not be known yet.
    pub key: Key,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub what: NoteKind,
}

/// What a [`Note`] says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NoteKind {
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
///
/// Each entry is a JSON object; `type` says what happened. Neither payers nor tickets stand in one, and amounts only in a
/// conflict.
///
/// | `type` | fields | what happened |
/// |---|---|---|
/// | `arrived` | `event_id`, `status`, `occurred_at` (as the publisher wrote it), `redelivered`, `outcome` (`applied`, `duplicate`, `stale` or `id_reused`), `version` (after it) | an event came and was merged |
/// | `conflict` | `kinds` (stable codes), `event_id`, `claims` (what contradicts each other, as in `payment.conflict`) | the event brought a conflict to light; `payment.conflict` went out |
/// | `watched` | `transport`, `connection` (those of the first page), `pages` (in all), `last_ms` (when the latest began) | pages began to wait |
/// | `pushed` | `transport`, `connection`, `version`, `ms` (since the event arrived; absent for a snapshot) | a page was written the payment |
/// | `acknowledged` | `transport`, `connection`, `version`, `ms_since_arrival` (of the final result; absent for a version that is not final) | a page has shown it |
/// | `undelivered` | `version` | no page acknowledged the result in time; `payment.undelivered` went out |
/// | `inquired` | `step` (of `inquiry.after`, from 1), `waited_s` | a page has waited so long; `payment.inquiry` went out |
/// | `dead_lettered` | `event_id`, `reason` (stable code) | a message of this order went to the dead-letter exchange |
#[derive(Debug, Clone, Default)]
pub struct Timeline {
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
