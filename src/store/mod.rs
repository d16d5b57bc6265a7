//! Where payments are kept: the truth that pages are shown and that acknowledgements wait for.
//!
//! [`PaymentStore`] is all that the rest of the program knows; its rules are the contract tests in `store/contract/`,
//! which every implementation passes.

#[cfg(test)]
mod contract;
mod error;
mod outcome;
mod revocation;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;

use crate::payment::{Event, Key, Payment};

pub use error::Error;
pub use outcome::{Acknowledgement, Outcome};
pub use revocation::{Revocation, Revoked};
pub use sqlite::{Options, Sqlite};

/// A durable store of payments.
#[async_trait]
pub trait PaymentStore: Send + Sync + 'static {
    /// Merges `batch` and commits it as one: when this answers, each event is durable, and the outcomes stand in the
    /// order of the events. Events of one order within a batch are merged in their order.
    ///
    /// # Errors
    /// Nothing of the batch may be taken as stored; the same batch can be given again, since merging twice changes
    /// nothing.
    async fn apply(&self, batch: Vec<Event>) -> Result<Vec<Outcome>, Error>;

    /// The payment as it stands, not set if no event of it was ever stored.
    ///
    /// # Errors
    /// [`Error::Overloaded`] where too many reads wait, [`Error::Unavailable`] where the store cannot be read.
    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error>;

    /// Notes durably that a page has shown `version` of a payment.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`], and [`Error::Overloaded`] where too much waits to be written.
    async fn acknowledge(&self, key: &Key, version: u64) -> Result<Acknowledgement, Error>;

    /// Takes a revocation durably, in place of an earlier one of the same thing. Those that are over at `now_s`, seconds
    /// since 1970, are forgotten.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn revoke(&self, revocation: &Revocation, now_s: i64) -> Result<(), Error>;

    /// Every revocation that is in force at `now_s`, in no particular order.
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn revocations(&self, now_s: i64) -> Result<Vec<Revocation>, Error>;

    /// Proves that the store can be read and written.
    ///
    /// # Errors
    /// Why it cannot.
    async fn check(&self) -> Result<(), Error>;

    /// Finishes what was begun and releases files and connections. Later calls answer [`Error::Closed`].
    async fn close(&self);
}
