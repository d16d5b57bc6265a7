//! Payments in one SQLite file: one thread writes, a few read, and async callers wait for neither with a thread of
//! theirs.
//!
//! A row holds a payment's whole merge state, so that one event costs one look-up and one write. Nothing outside of
//! this room may open the file for writing.

mod absence;
mod fault;
mod file;
mod log;
mod queue;
mod reader;
mod revocations;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod threads;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::{
    Acknowledgement, Arrival, Error, Inquiry, Note, Outcome, Outgoing, PageRef, PaymentStore, Retired, Revocation,
    Story,
};
use crate::payment::{Key, Payment};
use file::File;
use queue::Queue;
use reader::{Read, Reader};
use threads::Threads;
use writer::{Answer, Command, Writer};

/// Commands that wait for the writer. Who comes when as many wait has to wait with what he brings.
const COMMANDS_WAITING_MAX: usize = 1024;

/// What is set about a store.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Events that one commit takes. More than that in one call are one commit all the same.
    pub batch_events_max: usize,
    /// Threads that read, each with a connection.
    pub readers: usize,
    /// Reads that may wait for a reader; more are refused as [`Error::Overloaded`].
    pub reads_waiting_max: usize,
    /// Kibibytes of page cache a connection.
    pub cache_kib: u32,
}

/// A store in one file.
#[derive(Debug)]
pub struct Sqlite {
    /// Taken when the store is closed.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    reads: Arc<Queue<Read>>,
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
        let mut lock = file.lock()?;
        file.refuse_emptied(&lock)?;
        let connection = file.create()?;
        file.note_made(&mut lock)?;
        let writer = Writer::new(file.clone(), connection, options.batch_events_max)?;
        let mut readers = Vec::new();
        for _ in 0..options.readers.max(1) {
            readers.push(Reader::new(file.clone(), file.reader()?));
        }
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
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
                    writer.run(waiting);
                    drop(lock);
                }],
            )?,
            commands: Mutex::new(Some(commands)),
            reads,
        })
    }

    fn commands(&self) -> Option<mpsc::Sender<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Outcome>, Error> {
        let events = batch.into_iter().map(|arrival| arrival.event).collect();
        self.ask(|answer| Command::Apply { events, answer }).await
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        let (answer, answered) = oneshot::channel();
        self.reads.push(Read::Payment { key: key.clone(), answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn acknowledge(&self, key: &Key, version: u64, _by: PageRef) -> Result<Acknowledgement, Error> {
        let (answer, answered) = oneshot::channel();
        let commands = self.commands().ok_or(Error::Closed)?;
        // Who publishes waits for a place; pages are too many to wait, and theirs is the lesser need.
        let command = Command::Acknowledge { key: key.clone(), version, answer };
        commands.try_send(command).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Closed(_) => Error::Closed,
        })?;
        drop(commands);
        answered.await.map_err(no_answer)?
    }

    async fn note(&self, _notes: Vec<Note>) -> Result<(), Error> {
        Ok(())
    }

    async fn story(&self, key: &Key) -> Result<Story, Error> {
        Ok(Story { payment: self.read(key).await?, ..Story::default() })
    }

    async fn escalate(&self, _now_ms: i64, _messages_max: usize) -> Result<usize, Error> {
        Ok(0)
    }

    async fn inquire(&self, _inquiries: Vec<Inquiry>) -> Result<usize, Error> {
        Ok(0)
    }

    async fn outbox(&self, _messages_max: usize, _lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        Ok(Vec::new())
    }

    async fn sent(&self, _ids: Vec<i64>) -> Result<(), Error> {
        Ok(())
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        Ok(0)
    }

    async fn retire(&self, _payments: i64, _entries: i64, _rows_max: usize) -> Result<Retired, Error> {
        Ok(Retired { done: true, ..Retired::default() })
    }

    async fn revoke(&self, revocation: &Revocation, now_s: i64) -> Result<(), Error> {
        let revocation = revocation.clone();
        self.ask(|answer| Command::Revoke { revocation, now_s, answer }).await
    }

    async fn revocations(&self, now_s: i64) -> Result<Vec<Revocation>, Error> {
        let (answer, answered) = oneshot::channel();
        self.reads.push(Read::Revocations { now_s, answer })?;
        answered.await.map_err(no_answer)?
    }

    async fn check(&self) -> Result<(), Error> {
        self.ask(|answer| Command::Check { answer }).await?;
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

fn no_answer(_dropped: oneshot::error::RecvError) -> Error {
    Error::Unavailable("the store's thread failed".to_owned())
}
