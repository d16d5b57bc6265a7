//! Payments in PostgreSQL, for any number of nodes at once.
//!
//! The merge is the program's own: each batch locks its rows, merges in memory and writes them back, in two round trips.
//! Nothing is kept here that another node could change behind our back.

mod address;
mod apply;
mod connections;
mod escalate;
mod fault;
mod gatherer;
mod inquire;
mod keys;
mod leftover;
mod options;
mod orders;
mod outbox;
mod pool;
mod pooler;
mod purge;
mod read;
mod record;
mod revocations;
mod rows;
mod save;
mod schema;
mod session;
#[cfg(test)]
mod tests;
mod timeline;
mod tls;
mod unanswered;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::ledger::Rules;
use super::{
    Acknowledgement, Applied, Arrival, Error, Escalated, EscalatedOrders, FoundOrders, Inquiry, Note, OrderSummary,
    Outgoing, PageRef, PaymentStore, PurgeBefore, Purged, Revocation, Timeline,
};
use crate::payment::{Key, MerchantId, OrderId, Payment};
use crate::runtime::unix_ms;
use address::Address;
use apply::PageAck;
use escalate::DueProgress;
use fault::Fault;
use gatherer::Gatherer;
use leftover::Leftover;
use options::Settings;
use pool::Pool;
use purge::PurgeCursor;
use read::Read;
use session::Session;
use unanswered::Lost;

pub use options::Options;

/// Acknowledgements that may wait to be written.
const ACKNOWLEDGEMENTS_WAITING_MAX: usize = 8192;
/// Acknowledgements of one transaction.
const ACKNOWLEDGEMENTS_AT_ONCE_MAX: usize = 512;
/// Reads of one query.
const READS_AT_ONCE_MAX: usize = 512;

/// Proves, without asking the database, that its address can be used.
///
/// # Errors
/// [`Error::Unavailable`] with what is wrong with it.
pub fn check_address(url: &str, options: &Options) -> Result<(), Error> {
    Address::new(url, options).map(drop)
}

/// A store in a database that other nodes share.
pub struct Postgres {
    pool: Arc<Pool>,
    reads: Gatherer<Read>,
    acknowledgements: Gatherer<PageAck>,
    settings: Arc<Settings>,
    lost: Arc<Lost>,
    due: DueProgress,
    purge: PurgeCursor,
    limit: Duration,
}

impl Postgres {
    /// A store at `postgres://USER:PASSWORD@HOST[:PORT]/DATABASE`. The database is asked when it is first needed, so that it
    /// may be away; the tables are made then if they are missing. To be called within a runtime.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for an address that cannot be used.
    pub fn open(url: &str, options: &Options) -> Result<Self, Error> {
        let pool = Arc::new(Pool::new(Address::new(url, options)?, options)?);
        let Options { timeline, escalation, .. } = *options;
        let rules = Rules { instance: options.instance.clone(), timeline, escalation };
        let settings = Arc::new(Settings { rules, entries: AtomicU64::new(0), leftover: Leftover::default() });
        let lost = Arc::<Lost>::default();
        // The other half of the connections is for what writes.
        let readers = (options.connections_max / 2).max(1);
        let reading = Arc::clone(&pool);
        let reads = Gatherer::start(options.reads_waiting_max, readers, READS_AT_ONCE_MAX, move |waiting| {
            let pool = Arc::clone(&reading);
            async move { read::read(&pool, waiting).await }
        });
        let writing = (Arc::clone(&pool), Arc::clone(&settings), Arc::clone(&lost));
        let at_once_max = ACKNOWLEDGEMENTS_AT_ONCE_MAX;
        let acknowledgements = Gatherer::start(ACKNOWLEDGEMENTS_WAITING_MAX, 1, at_once_max, move |waiting| {
            let (pool, settings, lost) = writing.clone();
            async move { apply::acknowledge(&pool, &settings, &lost, waiting).await }
        });
        let limit = Duration::from_secs(options.timeout_s);
        let (due, purge) = (DueProgress::default(), PurgeCursor::default());
        Ok(Self { pool, reads, acknowledgements, settings, lost, due, purge, limit })
    }

    async fn run<T, F>(&self, work: impl Fn(Session) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        self.pool.open()?;
        self.pool.run(work).await
    }
}

#[async_trait]
impl PaymentStore for Postgres {
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        self.pool.open()?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        apply::apply(&self.pool, &self.settings, &self.lost, batch).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        let (answer, answered) = oneshot::channel();
        self.reads.queue.try_push(Read { key: key.clone(), answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn acknowledge(&self, key: &Key, version: u64, by: PageRef) -> Result<Acknowledgement, Error> {
        let (answer, answered) = oneshot::channel();
        self.acknowledgements.queue.try_push(PageAck { key: key.clone(), version, by, answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn record(&self, notes: Vec<Note>) -> Result<(), Error> {
        let (settings, lost) = (&*self.settings, &*self.lost);
        let mut unknown = self.run(|session| record::record(session, settings, lost, &notes)).await?;
        if settings.rules.escalation.orders != EscalatedOrders::Watched {
            return Ok(());
        }
        unknown.extend(settings.leftover.take());
        if unknown.is_empty() {
            return Ok(());
        }
        // The notes are written: given again, they would be written twice.
        match self.run(|session| record::look_again(session, settings, self.limit, &unknown)).await {
            Ok(()) => {}
            // One that cannot be written must not take the others with it.
            Err(error) if error.may_be_of_one_row() => {
                for (place, one) in unknown.chunks(1).enumerate() {
                    let Err(error) = self.run(|session| record::watch(session, settings, one)).await else { continue };
                    tracing::warn!(%error, "who waits for an order without a payment is not known");
                    if !error.may_be_of_one_row() {
                        settings.leftover.keep(unknown[place..].to_vec());
                        break;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "who waits for orders without a payment is looked at with the next notes");
                settings.leftover.keep(unknown);
            }
        }
        Ok(())
    }

    async fn timeline(&self, key: &Key) -> Result<Timeline, Error> {
        self.run(|session| timeline::read(session, key)).await
    }

    async fn orders_of_transaction(
        &self,
        transaction_id: &str,
        merchant_id: Option<&MerchantId>,
    ) -> Result<FoundOrders, Error> {
        self.run(|session| orders::of_transaction(session, transaction_id, merchant_id)).await
    }

    async fn orders_of_number(&self, order_id: &OrderId) -> Result<FoundOrders, Error> {
        self.run(|session| orders::of_number(session, order_id)).await
    }

    async fn recent_orders(&self) -> Result<Vec<OrderSummary>, Error> {
        self.run(orders::recent).await
    }

    async fn escalate(&self, now_ms: i64, messages_max: usize) -> Result<Escalated, Error> {
        self.pool.open()?;
        escalate::escalate(&self.pool, &self.settings, &self.lost, &self.due, now_ms, messages_max).await
    }

    async fn inquire(&self, inquiries: Vec<Inquiry>) -> Result<usize, Error> {
        self.run(|session| inquire::inquire(session, &self.settings, &self.lost, &inquiries)).await
    }

    async fn outbox_lease(&self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        self.run(|session| outbox::lease(session, &self.lost, messages_max, lease_ms)).await
    }

    async fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), Error> {
        self.run(|session| outbox::remove(session, &ids)).await
    }

    async fn outbox_postpone(&self, ids: Vec<i64>, by_ms: u64) -> Result<(), Error> {
        self.run(|session| outbox::postpone(session, &ids, by_ms)).await
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        self.run(outbox::len).await
    }

    async fn purge(&self, before: PurgeBefore, rows_max: usize) -> Result<Purged, Error> {
        self.pool.open()?;
        purge::purge(&self.pool, &self.purge, before, rows_max).await
    }

    async fn revoke(&self, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
        self.run(|session| revocations::save(session, revocation, now_s)).await
    }

    async fn revocations(&self, now_s: i64) -> Result<Vec<Revocation>, Error> {
        self.run(|session| revocations::read(session, now_s)).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.run(touch).await
    }

    async fn close(&self) {
        self.pool.refuse();
        tokio::join!(self.reads.close(self.limit), self.acknowledgements.close(self.limit));
        self.pool.close();
    }
}

const TOUCH: &str = "
    INSERT INTO meta (name, value) VALUES ('checked_ms', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Writes something that means nothing, to see whether it can be written.
async fn touch(session: Session) -> Result<(), Fault> {
    let touch = session.prepare(TOUCH).await?;
    session.client()?.execute(&touch, &[&unix_ms()]).await?;
    Ok(())
}

fn no_answer(_dropped: oneshot::error::RecvError) -> Error {
    Error::Unavailable("the store's task failed".to_owned())
}
