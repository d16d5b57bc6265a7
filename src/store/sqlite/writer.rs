//! The one who writes: a thread that serves a queue, or a caller who may be blocked, one at a time.
//!
//! Whatever waits when the writer becomes free is one transaction and one fsync. Nobody is answered before the commit, and
//! everybody is answered after it. A failure is answered to all whom it concerns and never ends the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::file::{File, data_version};
use super::known::Known;
use super::log::Log;
use super::outbox;
use super::search::Searcher;
use super::transaction::{Memory, Saved, Transaction};
use super::workers::{Waiting, Work};
use crate::runtime::unix_ms;
use crate::store::Error;
use crate::store::ledger::Rules;
use crate::store::pieces::Pieces;

/// What is written with others in one transaction.
pub(super) type Write = Box<dyn for<'c> Work<Transaction<'c>>>;

/// What it takes to write.
pub(super) struct Writer {
    file: File,
    /// Not there after a failure that it may not have survived; made anew when it is needed.
    connection: Option<Connection>,
    /// The version that the file had when `connection` last looked.
    data_version: Option<i64>,
    batch_events_max: usize,
    log: Log,
    rules: Rules,
    memory: Memory,
    /// Messages in the outbox.
    waiting: Arc<AtomicU64>,
    known: Arc<Known>,
    searcher: Searcher,
}

/// The writer, between the thread that serves the queue and callers whose own thread may be blocked.
pub(super) struct SharedWriter {
    batch_events_max: usize,
    /// Not set at the end.
    writer: Mutex<Option<Writer>>,
    /// Out of the queue, and not yet before the writer. Whoever has the writer next takes it along.
    taken: Mutex<Vec<Write>>,
}

impl SharedWriter {
    pub(super) fn new(writer: Writer) -> Self {
        let batch_events_max = writer.batch_events_max;
        Self { batch_events_max, writer: Mutex::new(Some(writer)), taken: Mutex::default() }
    }

    /// Serves until the queue is closed and empty.
    pub(super) fn serve(&self, waiting: &Waiting<Write>) {
        let mut writes = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held = None;
        while let Some(first) = held.take().or_else(|| writes.blocking_recv()) {
            let batch = self.fill(first, &mut writes, &mut held);
            lock(&self.taken).extend(batch);
            self.turn(None);
        }
        if let Some(Writer { searcher, log, connection, .. }) = lock(&self.writer).take() {
            searcher.close();
            log.close(connection.as_ref());
        }
    }

    /// Writes on the caller's thread, after what the queue's thread has taken. Dropped at the end.
    pub(super) fn write(&self, write: Write) {
        self.turn(Some(write));
    }

    fn turn(&self, last: Option<Write>) {
        let mut writer = lock(&self.writer);
        let mut batch = std::mem::take(&mut *lock(&self.taken));
        batch.extend(last);
        // Somebody else may have taken it along.
        if !batch.is_empty()
            && let Some(writer) = writer.as_mut()
        {
            writer.turn(batch);
        }
    }

    /// Takes what waits, up to the bound. What would go over it is held for the next batch.
    fn fill(&self, first: Write, writes: &mut mpsc::Receiver<Write>, held: &mut Option<Write>) -> Vec<Write> {
        let mut rows = first.rows();
        let mut batch = vec![first];
        while rows < self.batch_events_max
            && let Ok(write) = writes.try_recv()
        {
            rows = rows.saturating_add(write.rows());
            if rows > self.batch_events_max {
                *held = Some(write);
                break;
            }
            batch.push(write);
        }
        batch
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A transaction that panics is rolled back before its lock is released.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// `waiting` is kept at the number of messages in the outbox, `known` at what is known without reading.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads or the outbox cannot be read.
    pub(super) fn new(
        file: File,
        connection: Connection,
        batch_events_max: usize,
        rules: Rules,
        (waiting, known): (Arc<AtomicU64>, Arc<Known>),
    ) -> Result<Self, Error> {
        waiting.store(outbox::len(&connection)?, Ordering::Relaxed);
        let log = Log::new(file.clone())?;
        let searcher = Searcher::start(file.clone(), Arc::clone(&known))?;
        Ok(Self {
            file,
            connection: Some(connection),
            data_version: None,
            batch_events_max,
            log,
            rules,
            memory: Memory::default(),
            waiting,
            known,
            searcher,
        })
    }

    fn turn(&mut self, batch: Vec<Write>) {
        let mut pieces = Pieces::of(batch);
        while let Some(mut piece) = pieces.take_next() {
            match self.attempt(&mut piece) {
                // One row must not hold up what others write.
                Err(error) if error.may_be_of_one_row() => {
                    if let Some(alone) = pieces.divide(piece) {
                        alone.answer(Err(error));
                    }
                }
                done => piece.into_iter().for_each(|write| write.answer(done.clone())),
            }
        }
        if let Some(connection) = &self.connection {
            self.log.copy_if_due(connection);
        }
    }

    /// All of `writes` durably, or none.
    fn attempt(&mut self, writes: &mut [Write]) -> Result<(), Error> {
        catch_unwind(AssertUnwindSafe(|| self.transact(writes))).unwrap_or_else(|_panic| {
            tracing::error!("store writer panicked; its transaction was rolled back");
            self.connection = None;
            self.known.forget();
            Err(Error::Refused("the store's writer panicked".to_owned()))
        })
    }

    fn transact(&mut self, writes: &mut [Write]) -> Result<(), Error> {
        if let Some(connection) = &self.connection
            && self.file.has_moved(connection)
        {
            tracing::error!("the store's file was moved or deleted while it was open");
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                // Of whatever file is there by now.
                self.known.moved();
                self.data_version = None;
                let connection = self.file.writer().map_err(of_no_row)?;
                // What became of the transaction before is not known.
                self.waiting.store(outbox::len(&connection)?, Ordering::Relaxed);
                none.insert(connection)
            }
        };
        let knowledge = Knowledge { known: &self.known, data_version: &mut self.data_version };
        match commit(connection, writes, &self.rules, self.memory.clone(), knowledge) {
            Ok(Saved { rows, messages, removed, memory, payments, purged }) => {
                self.memory = memory;
                // Until here nobody else could write.
                self.known.seen();
                self.known.committed(payments);
                if purged {
                    self.known.forget();
                }
                let messages = u64::try_from(messages).unwrap_or(u64::MAX);
                let waiting = self.waiting.load(Ordering::Relaxed).saturating_add(messages).saturating_sub(removed);
                self.waiting.store(waiting, Ordering::Relaxed);
                // A check writes no payment, but it writes.
                self.log.wrote(rows.saturating_add(1));
                Ok(())
            }
            Err(error) => {
                self.known.forget();
                // Where not even the rollback worked, the connection is of no more use.
                if !connection.is_autocommit() {
                    self.connection = None;
                }
                Err(error)
            }
        }
    }
}

fn commit(
    connection: &mut Connection,
    writes: &mut [Write],
    rules: &Rules,
    memory: Memory,
    Knowledge { known, data_version: seen }: Knowledge<'_>,
) -> Result<Saved, Error> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = data_version(&begun)?;
    if seen.replace(version).is_some_and(|before| before != version) {
        known.moved();
    }
    known.seen();
    let mut transaction = Transaction::new(&begun, rules, memory, known, unix_ms());
    for write in writes {
        write.attempt(&mut transaction)?;
    }
    let saved = transaction.save()?;
    begun.commit()?;
    Ok(saved)
}

/// What is known of the file, and by which version of it.
struct Knowledge<'k> {
    known: &'k Known,
    data_version: &'k mut Option<i64>,
}

/// A file that cannot be opened is no fault of one row.
fn of_no_row(error: Error) -> Error {
    match error {
        Error::Corrupt(why) => Error::Unavailable(why),
        other => other,
    }
}
