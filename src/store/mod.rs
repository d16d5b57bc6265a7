//! Where payments are kept: the truth that pages are shown and that acknowledgements wait for.
//!
//! [`PaymentStore`] is all that the rest of the program knows; its rules are the contract tests in `store/contract/`,
//! which every implementation passes.

#[cfg(test)]
mod contract;
mod error;
mod outcome;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;

use crate::payment::{Event, Key, Payment};

pub use error::Error;
pub use outcome::{Acknowledgement, Outcome};
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

    /// Proves that the store can be read and written.
    ///
    /// # Errors
    /// Why it cannot.
    async fn check(&self) -> Result<(), Error>;

    /// Finishes what was begun and releases files and connections. Later calls answer [`Error::Closed`].
    async fn close(&self);
}
