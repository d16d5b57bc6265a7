//! What is set about a store.

use std::sync::atomic::AtomicU64;

use super::leftover::Leftover;
use crate::store::Escalation;
use crate::store::ledger::Rules;

/// What is set about a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// This node, for who looks at the database's connections, and for the timelines.
    pub instance: String,
    /// Connections of this node.
    pub connections_max: usize,
    /// Seconds for a connection, and for one answer.
    pub timeout_s: u64,
    /// Reads that may wait; more are refused as [`Error::Overloaded`](crate::store::Error::Overloaded).
    pub reads_waiting_max: usize,
    /// Whether timelines are kept.
    pub timeline: bool,
    /// Which final results count as undelivered, and when.
    pub escalation: Escalation,
}

/// What transactions go by.
pub(super) struct Settings {
    pub(super) rules: Rules,
    /// Entries of timelines that this node has written.
    pub(super) entries: AtomicU64,
    pub(super) leftover: Leftover,
}
