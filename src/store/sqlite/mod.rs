//! Payments in one SQLite file: one thread writes, a few read, and async callers wait for neither with a thread of
//! theirs.
//!
//! A row holds a payment's whole merge state, so that one event costs one look-up and one write. Nothing outside of
//! this room may open the file for writing.

mod absence;
mod entries;
mod file;
mod known;
mod log;
mod orders;
mod outbox;
mod payments;
mod private;
mod purge;
mod reader;
mod recent;
mod revocations;
mod schema;
mod search;
mod stored_keys;
#[cfg(test)]
mod tests;
mod transaction;
mod watched;
mod workers;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::ErrorCode;
use tokio::sync::oneshot;

use super::ledger::Rules;
use super::pieces::{Pieces, sweep};
use super::{
    Acknowledgement, Applied, Arrival, Error, Escalated, Escalation, FoundOrders, Inquiry, Note, OrderSummary,
    Outgoing, PageRef, PaymentStore, PurgeBefore, Purged, Revocation, Timeline,
};
use crate::payment::{Key, MerchantId, OrderId, Payment};
use file::File;
use known::{Answer, Known};
use reader::{Read, Reader};
use transaction::Transaction;
use workers::{Job, Workers};
use writer::{SharedWriter, Write, Writer};

/// Pieces of work that wait for the writer. Who comes when as many wait has to wait with what he brings.
const WRITES_WAITING_MAX: usize = 1024;

/// What is set about a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Events that one commit takes. More than that in one call are one commit all the same.
    pub batch_events_max: usize,
    /// Threads that read, each with a connection.
    pub readers: usize,
    /// Reads that may wait for a reader; more are refused as [`Error::Overloaded`].
    pub reads_waiting_max: usize,
    /// Kibibytes of page cache a connection.
    pub cache_kib: u32,
    /// The node's name: who wrote an entry, and whom a message is from.
    pub instance: String,
    /// Whether what happens to orders is written down.
    pub timeline: bool,
    /// Which results count as undelivered, and when.
    pub escalation: Escalation,
}

/// A store in one file.
pub struct Sqlite {
    writes: Workers<Write>,
    writer: Arc<SharedWriter>,
    readers: Workers<Read>,
    /// Messages in the outbox, as the writer counts them.
    waiting: Arc<AtomicU64>,
    known: Arc<Known>,
}

impl Sqlite {
    /// Opens `sqlite://PATH`; folder, file and tables are made if they are missing. Blocks for as long as the disk
    /// takes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for another program's file, a newer version's or a damaged one; [`Error::Unavailable`]
    /// where the file cannot be made, read or written, or another process has it open.
    pub fn open(url: &str, options: Options) -> Result<Self, Error> {
        let Options { batch_events_max, readers, reads_waiting_max, cache_kib, instance, timeline, escalation } =
            options;
        let file = File::new(url, cache_kib)?;
        let wider = file.wider();
        let mut lock = file.lock()?;
        file.refuse_emptied(&lock)?;
        let connection = file.create()?;
        file.note_made(&mut lock)?;
        // They are left as they are: whoever made them so may have meant it.
        for (path, mode) in wider {
            let (path, mode) = (path.display().to_string(), format!("{mode:03o}"));
            tracing::warn!(path, mode, "users other than the owner can read or write files of the database");
        }
        let waiting = Arc::new(AtomicU64::new(0));
        let rules = Rules { instance, timeline, escalation };
        let known = Known::new();
        let shared = (Arc::clone(&waiting), Arc::clone(&known));
        let writer = Writer::new(file.clone(), connection, batch_events_max, rules, shared)?;
        let mut reading = Vec::new();
        for _ in 0..readers.max(1) {
            let reader = Reader::new(file.clone(), file.reader()?, Arc::clone(&known));
            reading.push(move |reads: &_| reader.run(reads));
        }
        let writer = Arc::new(SharedWriter::new(writer));
        let serving = Arc::clone(&writer);
        let writing = move |writes: &_| {
            serving.serve(writes);
            drop(lock);
        };
        Ok(Self {
            readers: Workers::start("store-reader", reads_waiting_max, reading)?,
            writes: Workers::start("store-writer", WRITES_WAITING_MAX, [writing])?,
            writer,
            waiting,
            known,
        })
    }

    /// Writes by `work`, which is about `rows` rows, together with what others write. It is done again where that comes to
    /// nothing.
    async fn write<T, F>(&self, rows: usize, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnMut(&'t mut Transaction<'c>) -> Result<T, Error> + Send + 'static,
    {
        let (job, answered) = Job::new(rows, work);
        self.writes.queue.push(job).await?;
        answered.await.map_err(no_answer)?
    }

    /// [`Sqlite::write`] on the caller's thread.
    async fn write_blocking<T, F>(&self, rows: usize, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnMut(&'t mut Transaction<'c>) -> Result<T, Error> + Send + 'static,
    {
        let open = self.writes.queue.sender()?;
        let (job, answered) = Job::new(rows, work);
        self.writer.write(job);
        drop(open);
        answered.await.map_err(no_answer)?
    }

    /// Applies a batch by `write`, and in parts where one row of it is bad.
    async fn apply_by<W, A>(batch: Vec<Arrival>, write: W) -> Result<Vec<Applied>, Error>
    where
        W: Fn(Arc<Vec<Arrival>>) -> A + Send,
        A: Future<Output = Result<Vec<Applied>, Error>> + Send,
    {
        let mut applied = Vec::with_capacity(batch.len());
        let mut pieces = Pieces::of(batch);
        while let Some(piece) = pieces.take_next() {
            let piece = Arc::new(piece);
            match write(Arc::clone(&piece)).await {
                Ok(of_piece) => applied.extend::<Vec<_>>(of_piece),
                Err(error) if error.may_be_of_one_row() => {
                    if pieces.divide(Arc::unwrap_or_clone(piece)).is_some() {
                        applied.push(Err(error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(applied)
    }

    async fn look<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t, 'c> FnMut(&'t mut rusqlite::Transaction<'c>) -> Result<T, Error> + Send + 'static,
    {
        let (job, answered) = Job::new(1, work);
        self.readers.queue.try_push(job)?;
        answered.await.map_err(no_answer)?
    }
}

#[async_trait]
impl PaymentStore for Sqlite {
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        let each = |arrivals: Arc<Vec<Arrival>>| self.write(arrivals.len(), move |t| t.apply_all(&arrivals));
        Self::apply_by(batch, each).await
    }

    async fn apply_blocking(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        let each = |arrivals: Arc<Vec<Arrival>>| self.write_blocking(arrivals.len(), move |t| t.apply_all(&arrivals));
        Self::apply_by(batch, each).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        let look = match self.known.look(key) {
            Answer::Known(payment) => return Ok(payment),
            Answer::Unknown(look) => look,
        };
        if let Some(asked) = self.known.ask() {
            // A transaction that changes nothing. Where there is no place for it, or it fails, the next read asks again.
            let look = move |_: &mut Transaction<'_>| {
                let _until_this_is_dropped = &asked;
                Ok(())
            };
            drop(self.writes.queue.try_push(Job::new(1, look).0));
        }
        let key = key.clone();
        let select = move |snapshot: &mut rusqlite::Transaction<'_>| payments::select(snapshot, &key);
        let payment = self.look(select).await?.map(|(_, record)| record.payment);
        if let Some(payment) = &payment {
            self.known.read(look, payment);
        }
        Ok(payment)
    }

    async fn acknowledge(&self, key: &Key, version: u64, by: PageRef) -> Result<Acknowledgement, Error> {
        let key = key.clone();
        let (job, answered) = Job::new(1, move |t: &mut Transaction<'_>| t.acknowledge(&key, version, by));
        // Who publishes waits for a place; pages are too many to wait, and theirs is the lesser need.
        self.writes.queue.try_push(job)?;
        answered.await.map_err(no_answer)??
    }

    async fn record(&self, notes: Vec<Note>) -> Result<(), Error> {
        self.write(notes.len(), move |t| notes.iter().try_for_each(|note| t.note(note))).await
    }

    async fn timeline(&self, key: &Key) -> Result<Timeline, Error> {
        let key = key.clone();
        self.look(move |snapshot| entries::read(snapshot, &key)).await
    }

    async fn orders_of_transaction(
        &self,
        transaction_id: &str,
        merchant_id: Option<&MerchantId>,
    ) -> Result<FoundOrders, Error> {
        let (transaction_id, merchant_id) = (transaction_id.to_owned(), merchant_id.cloned());
        self.look(move |snapshot| orders::of_transaction(snapshot, &transaction_id, merchant_id.as_ref())).await
    }

    async fn orders_of_number(&self, order_id: &OrderId) -> Result<FoundOrders, Error> {
        let order_id = order_id.clone();
        self.look(move |snapshot| orders::of_number(snapshot, &order_id)).await
    }

    async fn recent_orders(&self) -> Result<Vec<OrderSummary>, Error> {
        self.look(|snapshot| orders::recent(snapshot)).await
    }

    async fn escalate(&self, now_ms: i64, messages_max: usize) -> Result<Escalated, Error> {
        let failed = "a result that no page has acknowledged cannot be escalated";
        let step = |messages_max, passes| self.write(messages_max, move |t| t.escalate(now_ms, messages_max, passes));
        Ok(sweep(messages_max, failed, step).await?.into())
    }

    async fn inquire(&self, inquiries: Vec<Inquiry>) -> Result<usize, Error> {
        self.write(inquiries.len(), move |t| {
            inquiries.iter().try_fold(0, |published, inquiry| Ok(published + usize::from(t.inquire(inquiry)?)))
        })
        .await
    }

    async fn outbox_lease(&self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        self.write(1, move |t| t.outbox_lease(messages_max, lease_ms)).await
    }

    async fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), Error> {
        self.write(1, move |t| t.outbox_remove(&ids)).await
    }

    async fn outbox_postpone(&self, ids: Vec<i64>, by_ms: u64) -> Result<(), Error> {
        let by = Duration::from_millis(by_ms);
        self.write(1, move |t| {
            t.outbox_postpone(&ids, by);
            Ok(())
        })
        .await
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        drop(self.writes.queue.sender()?);
        Ok(self.waiting.load(Ordering::Relaxed))
    }

    async fn purge(&self, before: PurgeBefore, rows_max: usize) -> Result<Purged, Error> {
        self.write(rows_max, move |t| t.purge(before, rows_max)).await
    }

    async fn revoke(&self, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
        let revocation = revocation.clone();
        self.write(1, move |t| t.revoke(&revocation, now_s)).await
    }

    async fn revocations(&self, now_s: i64) -> Result<Vec<Revocation>, Error> {
        self.look(move |snapshot| revocations::read(snapshot, now_s)).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.write(1, |t| t.touch()).await?;
        self.look(|snapshot| payments::check(snapshot)).await
    }

    async fn close(&self) {
        self.known.end();
        drop(self.readers.queue.close());
        // The writer ends when the last sender is gone; this one is kept until nobody reads, so that the whole log can
        // be copied into the file.
        let writes = self.writes.queue.close();
        self.readers.ended().await;
        drop(writes);
        self.writes.ended().await;
    }
}

fn no_answer(_dropped: oneshot::error::RecvError) -> Error {
    Error::Unavailable("the store's thread failed".to_owned())
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        let text = error.to_string();
        match &error {
            E::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(text),
                // The program's own statements break no rule of its own tables.
                ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => Self::Refused(text),
                _ => Self::Unavailable(text),
            },
            E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) => {
                Self::Corrupt(text)
            }
            E::Utf8Error(..) => Self::Corrupt(text),
            _ => Self::Unavailable(text),
        }
    }
}
