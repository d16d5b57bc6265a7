//! A limit on how long a store is waited for by those who hold something meanwhile: a page, an operator, the start.
//!
//! A disk that hangs answers nothing, neither yes nor no, and what waits for it would wait for ever. What is given up here
//! goes on in the store all the same. What has nobody waiting (batches of events, notes, rounds, the outbox) is not given
//! up: it could only be asked again, behind itself. Its callers watch for the end of the service instead.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::{
    Acknowledgement, Applied, Arrival, Error, Escalated, FoundOrders, Inquiry, Note, OrderSummary, Outgoing, PageRef,
    PaymentStore, PurgeBefore, Purged, Revocation, Timeline,
};
use crate::payment::{Key, MerchantId, OrderId, Payment};

/// A store whose readers are not kept longer than `limit`.
pub struct Bounded<S> {
    store: S,
    limit: Duration,
}

impl<S: PaymentStore> Bounded<S> {
    /// Answers [`Error::Unavailable`] where `store` has not answered in `limit`.
    pub fn new(store: S, limit: Duration) -> Self {
        Self { store, limit }
    }

    async fn within<T>(&self, answer: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        match timeout(self.limit, answer).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(silent(self.limit)),
        }
    }
}

/// What is said of a store that does not answer.
#[must_use]
pub fn silent(since: Duration) -> Error {
    Error::Unavailable(format!("no answer within {} s: does its disk, or the connection to it, hang?", since.as_secs()))
}

#[async_trait]
impl<S: PaymentStore> PaymentStore for Bounded<S> {
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        self.store.apply(batch).await
    }

    async fn apply_blocking(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        self.store.apply_blocking(batch).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        self.within(self.store.read(key)).await
    }

    async fn read_many(&self, keys: &[Key]) -> Result<Vec<Arc<Payment>>, Error> {
        self.within(self.store.read_many(keys)).await
    }

    async fn acknowledge(&self, key: &Key, version: u64, by: PageRef) -> Result<Acknowledgement, Error> {
        self.within(self.store.acknowledge(key, version, by)).await
    }

    async fn record(&self, notes: Vec<Note>) -> Result<(), Error> {
        self.store.record(notes).await
    }

    async fn timeline(&self, key: &Key) -> Result<Timeline, Error> {
        self.within(self.store.timeline(key)).await
    }

    async fn orders_of_transaction(
        &self,
        transaction_id: &str,
        merchant_id: Option<&MerchantId>,
    ) -> Result<FoundOrders, Error> {
        self.within(self.store.orders_of_transaction(transaction_id, merchant_id)).await
    }

    async fn orders_of_number(&self, order_id: &OrderId) -> Result<FoundOrders, Error> {
        self.within(self.store.orders_of_number(order_id)).await
    }

    async fn recent_orders(&self) -> Result<Vec<OrderSummary>, Error> {
        self.within(self.store.recent_orders()).await
    }

    async fn escalate(&self, now_ms: i64, messages_max: usize) -> Result<Escalated, Error> {
        self.store.escalate(now_ms, messages_max).await
    }

    async fn inquire(&self, inquiries: Vec<Inquiry>) -> Result<usize, Error> {
        self.store.inquire(inquiries).await
    }

    async fn outbox_lease(&self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        self.store.outbox_lease(messages_max, lease_ms).await
    }

    async fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), Error> {
        self.store.outbox_remove(ids).await
    }

    async fn outbox_postpone(&self, ids: Vec<i64>, by_ms: u64) -> Result<(), Error> {
        self.store.outbox_postpone(ids, by_ms).await
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        self.within(self.store.outbox_len()).await
    }

    async fn purge(&self, before: PurgeBefore, rows_max: usize) -> Result<Purged, Error> {
        self.store.purge(before, rows_max).await
    }

    async fn revoke(&self, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
        self.within(self.store.revoke(revocation, now_s)).await
    }

    async fn revocations(&self, now_s: i64) -> Result<Vec<Revocation>, Error> {
        self.within(self.store.revocations(now_s)).await
    }

    /// Not limited: who asks keeps the question instead of asking again behind it.
    async fn check(&self) -> Result<(), Error> {
        self.store.check().await
    }

    /// Not limited: who closes decides what becomes of a store that does not end.
    async fn close(&self) {
        self.store.close().await;
    }
}
