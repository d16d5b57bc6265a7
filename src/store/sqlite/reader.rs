//! The threads that read.
//!
//! Each takes all that waits, up to a bound, and answers it from one snapshot that begins after it was taken: a read
//! sees whatever was committed before it was asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::command::Answer;
use super::file::File;
use super::payments;
use super::queue::Queue;
use super::revocations;
use super::timeline;

use crate::payment::{Key, Payment};
use crate::store::{Error, Revocation, Timeline};

/// Reads of one snapshot. A long one would keep the write-ahead log from starting over, and leave the other threads
/// without work.
const READS_AT_ONCE_MAX: usize = 128;

/// One read that waits.
#[derive(Debug)]
pub(super) enum Read {
    /// A payment, not set if there is none.
    Payment { key: Key, answer: Answer<Option<Arc<Payment>>> },
    /// What is remembered of an order.
    Timeline { key: Key, answer: Answer<Timeline> },
    /// What is revoked.
    Revocations { now_s: i64, answer: Answer<Vec<Revocation>> },
    /// Whether anything can be read.
    Check { answer: Answer<()> },
}

impl Read {
    /// True if nobody waits for it any more.
    fn is_forgotten(&self) -> bool {
        match self {
            Self::Payment { answer, .. } => answer.is_closed(),
            Self::Timeline { answer, .. } => answer.is_closed(),
            Self::Revocations { answer, .. } => answer.is_closed(),
            Self::Check { answer } => answer.is_closed(),
        }
    }

    fn fail(self, error: Error) {
        match self {
            Self::Payment { answer, .. } => drop(answer.send(Err(error))),
            Self::Timeline { answer, .. } => drop(answer.send(Err(error))),
            Self::Revocations { answer, .. } => drop(answer.send(Err(error))),
            Self::Check { answer } => drop(answer.send(Err(error))),
        }
    }
}

/// The state of one thread.
pub(super) struct Reader {
    file: File,
    /// Not there after a failure; made anew when it is needed.
    connection: Option<Connection>,
}

impl Reader {
    pub(super) fn new(file: File, connection: Connection) -> Self {
        Self { file, connection: Some(connection) }
    }

    /// Serves until the queue is closed and empty.
    pub(super) fn run(mut self, reads: &Queue<Read>) {
        loop {
            let batch = reads.take(READS_AT_ONCE_MAX);
            if batch.is_empty() {
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
            batch.for_each(|read| read.fail(error.clone()));
        }
    }

    fn answer(&mut self, batch: &mut impl Iterator<Item = Read>) -> Result<(), Error> {
        if self.connection.as_ref().is_some_and(|connection| self.file.has_moved(connection)) {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.reader()?),
        };
        let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        for read in batch {
            match read {
                Read::Payment { key, answer } => {
                    drop(answer.send(payments::read(&snapshot, &key).map(|payment| payment.map(Arc::new))));
                }
                Read::Timeline { key, answer } => drop(answer.send(timeline::read(&snapshot, &key))),
                Read::Revocations { now_s, answer } => drop(answer.send(revocations::read(&snapshot, now_s))),
                Read::Check { answer } => drop(answer.send(payments::check(&snapshot))),
            }
        }
        snapshot.commit()?;
        Ok(())
    }
}
