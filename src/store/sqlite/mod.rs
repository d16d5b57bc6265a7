//! Payments in one SQLite file: one thread writes, a few read, and async callers wait for neither with a thread of
//! theirs.
//!
//! A row holds a payment's whole merge state, so that one event costs one look-up and one write. Nothing outside of
//! this room may open the file for writing.

mod absence;
mod command;
mod fault;
mod file;
mod log;
mod outbox;
mod payments;
mod private;
mod purge;
mod queue;
mod reader;
mod revocations;
mod rows;
mod schema;
mod telling;
#[cfg(test)]
mod tests;
mod threads;
mod timeline;
mod watches;
mod writer;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{
    Acknowledgement, Applied, Arrival, Error, Escalated, Escalation, Inquiry, Note, Outgoing, PageRef, PaymentStore,
    PurgeBefore, Purged, Revocation, Timeline,
};
use crate::payment::{Key, Payment};
use command::{Answer, Command, Look, Written};
use file::File;
use queue::Queue;
use reader::{Read, Reader};
use rows::Telling;
use threads::Threads;
use writer::Writer;

/// Commands that wait for the writer. Who comes when as many wait has to wait with what he brings.
const COMMANDS_WAITING_MAX: usize = 1024;

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
#[derive(Debug)]
pub struct Sqlite {
    /// Taken when the store is closed.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    reads: Arc<Queue<Read>>,
    /// Messages in the outbox, as the writer counts them.
    waiting: Arc<AtomicU64>,
    writer: Threads,
    readers: Threads,
}

impl Sqlite {
    /// Opens `sqlite://PATH`; folder, file and tables are made if they are missing. Blocks for as long as the disk
    /// takes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for another program's file, a newer version's or a damaged one; [`Error::Unavailable`]
    /// where the file cannot be made, read or written, or another process has it open.
    pub fn open(url: &str, options: Options) -> Result<Self, Error> {
        let file = File::new(url, options.cache_kib)?;
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
        let Options { instance, timeline, escalation, .. } = options;
        let telling = Telling { instance, timeline, escalation };
        let counted = Arc::clone(&waiting);
        let writer = Writer::new(file.clone(), connection, options.batch_events_max, telling, counted)?;
        let mut readers = Vec::new();
        for _ in 0..options.readers.max(1) {
            readers.push(Reader::new(file.clone(), file.reader()?));
        }
        let (commands, commanded) = mpsc::channel(COMMANDS_WAITING_MAX);
        let reads = Arc::new(Queue::new(options.reads_waiting_max));
        let reading = readers.into_iter().map(|reader| {
            let reads = Arc::clone(&reads);
            move || reader.run(&reads)
        });
        Ok(Self {
            readers: Threads::start("store-reader", reading)?,
            writer: Threads::start(
                "store-writer",
                [move || {
                    writer.run(commanded);
                    drop(lock);
                }],
            )?,
            commands: Mutex::new(Some(commands)),
            reads,
            waiting,
        })
    }

    fn commands(&self) -> Option<mpsc::Sender<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write(&self, what: Written) -> Result<(), Error> {
        self.ask(|answer| Command::Write { what, answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let commands = self.commands().ok_or(Error::Closed)?;
        commands.send(command(answer)).await.map_err(|_ended| Error::Closed)?;
        drop(commands);
        answered.await.map_err(no_answer)?
    }
}

#[async_trait]
impl PaymentStore for Sqlite {
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        self.ask(|answer| Command::Apply { arrivals: batch, answer }).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        let (answer, answered) = oneshot::channel();
        self.reads.push(Read::Payment { key: key.clone(), answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn acknowledge(&self, key: &Key, version: u64, by: PageRef) -> Result<Acknowledgement, Error> {
        let (answer, answered) = oneshot::channel();
        let commands = self.commands().ok_or(Error::Closed)?;
        // Who publishes waits for a place; pages are too many to wait, and theirs is the lesser need.
        let command = Command::Acknowledge { key: key.clone(), version, by, answer };
        commands.try_send(command).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Closed(_) => Error::Closed,
        })?;
        drop(commands);
        answered.await.map_err(no_answer)?
    }

    async fn record(&self, notes: Vec<Note>) -> Result<(), Error> {
        self.write(Written::Notes(notes)).await
    }

    async fn timeline(&self, key: &Key) -> Result<Timeline, Error> {
        let (answer, answered) = oneshot::channel();
        self.reads.push(Read::Timeline { key: key.clone(), answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn escalate(&self, now_ms: i64, messages_max: usize) -> Result<Escalated, Error> {
        let look = Look { now_ms, messages_max, passes: false };
        self.ask(|answer| Command::Escalate { look, answer }).await
    }

    async fn inquire(&self, inquiries: Vec<Inquiry>) -> Result<usize, Error> {
        self.ask(|answer| Command::Inquire { inquiries, answer }).await
    }

    async fn outbox_lease(&self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        self.ask(|answer| Command::Lease { messages_max, lease_ms, answer }).await
    }

    async fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), Error> {
        self.write(Written::Sent(ids)).await
    }

    async fn outbox_postpone(&self, ids: Vec<i64>, by_ms: u64) -> Result<(), Error> {
        self.write(Written::Postponed { ids, by_ms }).await
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        let _open = self.commands().ok_or(Error::Closed)?;
        Ok(self.waiting.load(Ordering::Relaxed))
    }

    async fn purge(&self, before: PurgeBefore, rows_max: usize) -> Result<Purged, Error> {
        self.ask(|answer| Command::Purge { before, rows_max, answer }).await
    }

    async fn revoke(&self, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
        self.write(Written::Revocation { revocation: revocation.clone(), now_s }).await
    }

    async fn revocations(&self, now_s: i64) -> Result<Vec<Revocation>, Error> {
        let (answer, answered) = oneshot::channel();
        self.reads.push(Read::Revocations { now_s, answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn check(&self) -> Result<(), Error> {
        self.write(Written::Check).await?;
        let (answer, answered) = oneshot::channel();
        self.reads.push(Read::Check { answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn close(&self) {
        self.reads.close();
        // The writer ends when the last sender is gone; this one is kept until nobody reads, so that the whole log can
        // be copied into the file.
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.readers.ended().await;
        drop(commands);
        self.writer.ended().await;
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // The readers' sign to end; the writer's is that `commands` goes.
        self.reads.close();
    }
}

/// A number of rows, as SQLite takes it.
fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn no_answer(_dropped: oneshot::error::RecvError) -> Error {
    Error::Unavailable("the store's thread failed".to_owned())
}
