//! Where payments are kept: the truth that pages are shown and that acknowledgements wait for.
//!
//! [`PaymentStore`] is all that the rest of the program knows; its rules are the contract tests in `store/contract/`,
//! which every implementation passes.

mod bounded;
mod columns;
#[cfg(test)]
mod contract;
mod error;
mod intake;
mod ledger;
mod orders;
mod outbox;
mod pieces;
pub mod postgres;
mod recorder;
mod requests;
pub mod sqlite;
mod timeline;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use crate::payment::{Event, Key, MerchantId, OrderId, Payment};

pub use bounded::{Bounded, silent};
pub use error::Error;
pub use orders::{FoundOrders, MERCHANTS_MAX, ORDERS_MAX, OrderSummary, TRANSACTIONS_MAX, is_transaction_id};
pub use outbox::{Escalated, EscalatedOrders, Escalation, Inquiry, OutboxSignal, Outgoing, PurgeBefore, Purged};
pub use pieces::Pieces;
pub use postgres::Postgres;
pub use recorder::{TimelineOptions, TimelineRecorder, TimelineWriter};
pub use requests::{Acknowledgement, Applied, Arrival, Outcome, PageRef, Revocation, Revoked};
pub use sqlite::{Options, Sqlite};
pub use timeline::{ENTRIES_MAX, Entry, Note, NoteKind, Timeline};

/// A durable store of payments.
#[async_trait]
pub trait PaymentStore: Send + Sync + 'static {
    /// Merges `batch` and commits it, as one where nothing is damaged: when this answers, each event that has an outcome is
    /// durable, and what became of them stands in the order of the events. Events of one order within a batch are merged in
    /// their order. Where a payment cannot be read or written, its events have that error in place of an outcome, and all
    /// others are stored.
    ///
    /// # Errors
    /// Nothing of the batch may be taken as stored; the same batch can be given again, since merging twice changes
    /// nothing.
    ///
    /// What an attempt before has stored whose answer was lost is answered as what that attempt did, by a store that other
    /// nodes share.
    ///
    /// With the same commit each event is recorded in its order's timeline, conflicts that it brought to light are put into
    /// the outbox, and where it made the result final its escalation begins.
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error>;

    /// [`PaymentStore::apply`] by a caller whose thread may be blocked for as long as a disk takes. A store in a file does it
    /// on that thread, which saves handing it to another and back.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn apply_blocking(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        self.apply(batch).await
    }

    /// [`PaymentStore::apply`] for events of which nothing is known but what they are.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`], and the first error of an event.
    async fn apply_events(&self, batch: Vec<Event>) -> Result<Vec<Outcome>, Error> {
        self.apply(batch.into_iter().map(Arrival::from).collect()).await?.into_iter().collect()
    }

    /// The payment as it stands, not set if no event of it was ever stored.
    ///
    /// # Errors
    /// [`Error::Overloaded`] where too many reads wait, [`Error::Unavailable`] where the store cannot be read.
    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error>;

    /// Those of some payments that are stored, asked for at once.
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn read_many(&self, keys: &[Key]) -> Result<Vec<Arc<Payment>>, Error> {
        let payments = try_join_all(keys.iter().map(|key| self.read(key))).await?;
        Ok(payments.into_iter().flatten().collect())
    }

    /// Records durably that a page has shown `version` of a payment. The first acknowledgement of a final version puts
    /// `payment.delivered` into the outbox and ends its escalation, with the same commit.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`], and [`Error::Overloaded`] where too much waits to be written.
    async fn acknowledge(&self, key: &Key, version: u64, by: PageRef) -> Result<Acknowledgement, Error>;

    /// Adds to the timelines of orders what did not come with an event. Durable when it answers.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn record(&self, notes: Vec<Note>) -> Result<(), Error>;

    /// All that is kept of one order.
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn timeline(&self, key: &Key) -> Result<Timeline, Error>;

    /// The orders whose events bore the provider's number `transaction_id`, byte for byte, of one merchant or of all.
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn orders_of_transaction(
        &self,
        transaction_id: &str,
        merchant_id: Option<&MerchantId>,
    ) -> Result<FoundOrders, Error>;

    /// The orders of this number, of whatever merchant, of which something is known. Merchants of which no payment is stored
    /// are not looked at, nor more than [`MERCHANTS_MAX`].
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn orders_of_number(&self, order_id: &OrderId) -> Result<FoundOrders, Error>;

    /// The payments of which something was recorded last, the latest first, at most [`ORDERS_MAX`]. Where no timelines are
    /// kept, those that were made last.
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn recent_orders(&self) -> Result<Vec<OrderSummary>, Error>;

    /// Puts `payment.undelivered` into the outbox for final results that no page acknowledged in time, at most
    /// `messages_max`. Each once, whatever the number of nodes that ask. To be called again until it is done. A payment that
    /// cannot be read or written is passed over, and looked at again a minute later at the earliest.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn escalate(&self, now_ms: i64, messages_max: usize) -> Result<Escalated, Error>;

    /// Puts `payment.inquiry` into the outbox for each of `inquiries` whose order has no final result and whose step was
    /// not published before, and answers how many. Of a payment that cannot be read nothing is asked.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn inquire(&self, inquiries: Vec<Inquiry>) -> Result<usize, Error>;

    /// Leases at most `messages_max` messages of the outbox for `lease_ms`, the oldest first: no other caller is given them
    /// until that is over.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn outbox_lease(&self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error>;

    /// Removes messages whose publication was confirmed, by [`Outgoing::id`].
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), Error>;

    /// Leaves messages in the outbox that nobody is to be given for `by_ms`. A process that is started anew may be given them
    /// at once.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn outbox_postpone(&self, ids: Vec<i64>, by_ms: u64) -> Result<(), Error>;

    /// Messages that wait in the outbox.
    ///
    /// # Errors
    /// As for [`PaymentStore::read`].
    async fn outbox_len(&self) -> Result<u64, Error>;

    /// Removes a small part of what is older than is kept. Looks at no more than `rows_max` rows of each kind. To be called
    /// again until it is done. What cannot be read or removed is passed over, and looked at again a minute later at the
    /// earliest.
    ///
    /// # Errors
    /// As for [`PaymentStore::apply`].
    async fn purge(&self, before: PurgeBefore, rows_max: usize) -> Result<Purged, Error>;

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
