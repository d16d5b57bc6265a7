//! The threads that read.
//!
//! Each takes all that waits, up to a bound, and answers it from one snapshot that begins after it was taken: a read
//! sees whatever was committed before it was asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::file::File;
use super::known::Known;
use super::workers::{Waiting, Work};
use crate::store::Error;

/// Reads of one snapshot. A long one would keep the write-ahead log from starting over, and leave the other threads
/// without work.
const READS_AT_ONCE_MAX: usize = 128;

/// One read that waits.
pub(super) type Read = Box<dyn for<'c> Work<Transaction<'c>>>;

/// The state of one thread.
pub(super) struct Reader {
    file: File,
    /// Not there after a failure; made anew when it is needed.
    connection: Option<Connection>,
    known: Arc<Known>,
}

impl Reader {
    pub(super) fn new(file: File, connection: Connection, known: Arc<Known>) -> Self {
        Self { file, connection: Some(connection), known }
    }

    /// Serves until the queue is closed and empty.
    pub(super) fn run(mut self, reads: &Waiting<Read>) {
        loop {
            let mut batch = Vec::new();
            if reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv_many(&mut batch, READS_AT_ONCE_MAX)
                == 0
            {
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| self.turn(batch))).is_err() {
                // The answers were dropped with the batch, so the callers know.
                tracing::error!("store reader panicked");
                self.connection = None;
            }
        }
    }

    fn turn(&mut self, batch: Vec<Read>) {
        // Under overload there are those who have stopped waiting.
        let mut batch = batch.into_iter().filter(|read| !read.is_forgotten());
        if let Err(error) = self.answer(&mut batch) {
            self.connection = None;
            batch.for_each(|read| read.answer(Err(error.clone())));
        }
    }

    fn answer(&mut self, batch: &mut impl Iterator<Item = Read>) -> Result<(), Error> {
        if self.connection.as_ref().is_some_and(|connection| self.file.has_moved(connection)) {
            self.connection = None;
            self.known.moved();
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.reader()?),
        };
        let mut snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        for mut read in batch {
            let done = read.attempt(&mut snapshot);
            read.answer(done);
        }
        snapshot.commit()?;
        Ok(())
    }
}
