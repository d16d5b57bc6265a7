//! What this side needs of the side of the pages. `app` joins the two.

use std::time::Duration;

use async_trait::async_trait;

use crate::payment::Key;
use crate::store::{Error, Revocation};

/// A ticket, by its fingerprint, and how many pages wait by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldTicket {
    /// As in [`crate::store::Revoked::Ticket`].
    pub fingerprint: [u8; 16],
    /// On one node.
    pub pages: u32,
}

/// What nodes send each other beside payments.
#[async_trait]
pub trait Pages: Send + Sync + 'static {
    /// Another node has revoked something. Pages that wait for `keys` have to look whether it concerns them. False where
    /// there is no room for it, and what the store holds has to be read.
    fn revoked(&self, revocation: Revocation, keys: &[Key]) -> bool;

    /// Takes what the store holds as what is revoked, whatever was received.
    ///
    /// # Errors
    /// The store's.
    async fn read_revocations(&self) -> Result<(), Error>;

    /// Tickets that hold more than a small share of the pages they may have, at most `tickets_max`, those with the most
    /// pages first.
    fn held_tickets(&self, tickets_max: usize) -> Vec<HeldTicket>;

    /// All of the same kind that another node holds, for as long as `valid`, in place of what that node sent before.
    fn held_by(&self, node: u64, tickets: Vec<HeldTicket>, valid: Duration);
}
