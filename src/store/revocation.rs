//! What is revoked, until when.

use crate::payment::Key;

/// What pages may no longer be let in by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One ticket, by what tells it from others.
    Ticket([u8; 16]),
    /// One order, by whatever ticket.
    Order(Key),
}

/// A revocation. Of several of one thing the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What.
    pub revoked: Revoked,
    /// When it is over, seconds since 1970. One that is over already lifts those before it.
    pub until_s: i64,
}
