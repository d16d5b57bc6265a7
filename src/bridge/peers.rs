//! What the pages of several nodes have in common: revocations, and how many pages wait by one ticket.

use std::time::{Duration, Instant};

use super::context::Context;
use crate::payment::Key;
use crate::runtime::unix_s;
use crate::store::{self, Revocation};
use crate::tickets::{Fingerprint, Full};

/// Tries to take what the store holds while revocations are put in force at the same time.
const READS_MAX: usize = 8;

/// Tickets and how many pages wait by each, on one node.
pub type HeldByNode = Vec<(Fingerprint, u32)>;

impl Context {
    /// Puts a revocation in force for the pages to come and for those that wait for `keys`, here and on the other nodes.
    pub fn revoke(&self, revocation: Revocation, keys: Vec<Key>) {
        self.revocations.put(revocation.clone(), unix_s());
        self.interrupt(&keys);
        if let Some(tell_peers) = &self.tell_peers {
            tell_peers(revocation, keys);
        }
    }

    /// Another node has revoked something, durably. Pages that wait for `keys` look whether it concerns them.
    ///
    /// # Errors
    /// [`Full`], and it is not in force here before [`Context::read_revocations`].
    pub fn revoked_by_peer(&self, revocation: Revocation, keys: &[Key]) -> Result<(), Full> {
        self.revocations.put_within(revocation, unix_s())?;
        self.interrupt(keys);
        Ok(())
    }

    fn interrupt(&self, keys: &[Key]) {
        keys.iter().for_each(|key| self.hub.interrupt(key));
    }

    /// Takes what the store holds as what is revoked. Where there is something new, every page looks whether it concerns
    /// it.
    ///
    /// # Errors
    /// The store's.
    pub async fn read_revocations(&self) -> Result<(), store::Error> {
        for _ in 0..READS_MAX {
            let puts = self.revocations.puts();
            let stored = self.store.revocations(unix_s()).await?;
            match self.revocations.replace(stored, puts, unix_s()) {
                Some(true) => self.hub.interrupt_all(),
                Some(false) => {}
                None => continue,
            }
            return Ok(());
        }
        Err(store::Error::Overloaded)
    }

    /// Tickets that hold more than a small share of the pages that they may, the most pages first.
    #[must_use]
    pub fn held_tickets(&self, tickets_max: usize) -> HeldByNode {
        self.limiter.held(tickets_max)
    }

    /// The same of another node, for as long as `valid`, in place of what that node reported before.
    pub fn held_by_peer(&self, node: u64, held: HeldByNode, valid: Duration) {
        self.limiter.held_by(node, held, Instant::now() + valid);
    }
}
