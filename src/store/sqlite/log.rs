//! When the write-ahead log is copied into the file.
//!
//! SQLite would do it inside a commit that happens to reach a bound, and the events of that commit would wait for it.
//! Here a thread of its own does it while commits go on. Only where the log has to start over does the writer copy what
//! little is left, between two commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::file::{BUSY_TIMEOUT, File};
use crate::store::Error;

/// Rows written after which the log is copied: some 5 to 20 MiB of it.
const ROWS_BETWEEN_COPIES: usize = 1_000;

/// Pages (of 4 KiB) of log beyond which the writer waits for readers to let go of it, so that it starts over instead
/// of growing.
const PAGES_MAX: i64 = 4_096;

/// For readers of this process, which read for less.
const START_OVER_WAIT: Duration = Duration::from_millis(50);

/// Counts what was written since the last copy.
#[derive(Debug)]
pub(super) struct Log {
    rows: usize,
    /// The log is long, and nearly all of it is copied.
    is_long: Arc<AtomicBool>,
    copies: SyncSender<()>,
    copier: thread::JoinHandle<()>,
}

impl Log {
    /// Starts the thread that copies.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads.
    pub(super) fn new(file: File) -> Result<Self, Error> {
        // One copy under way and one to come: what is written meanwhile is in the one to come.
        let (copies, wanted) = sync_channel(1);
        let is_long = Arc::new(AtomicBool::new(false));
        let copier = Copier { file, connection: None, is_long: Arc::clone(&is_long) };
        let named = thread::Builder::new().name("store-log".to_owned());
        let copier = named.spawn(move || copier.run(&wanted));
        let copier = copier.map_err(|e| Error::Unavailable(format!("thread store-log: {e}")))?;
        Ok(Self { rows: 0, is_long, copies, copier })
    }

    /// After a commit of `rows` rows.
    pub(super) fn wrote(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// Has it copied if it is time to. Nothing is lost where that fails: what is committed is in the log.
    pub(super) fn copy_if_due(&mut self, connection: &Connection) {
        if self.is_long.swap(false, Ordering::AcqRel)
            && let Err(error) = start_over(connection)
        {
            tracing::warn!(%error, "write-ahead log not copied into the store's file");
        }
        // Where a copy is waited for already, the rows are counted on, and it is asked for again.
        if self.rows >= ROWS_BETWEEN_COPIES && self.copies.try_send(()).is_ok() {
            self.rows = 0;
        }
    }

    /// Ends the thread and copies the whole log.
    pub(super) fn close(self, connection: Option<&Connection>) {
        drop(self.copies);
        if self.copier.join().is_err() {
            tracing::error!("store log thread panicked");
        }
        if let Some(connection) = connection
            && let Err(error) = checkpoint(connection, "TRUNCATE")
        {
            tracing::warn!(%error, "write-ahead log not copied into the store's file at the end");
        }
    }
}

/// The state of the thread.
struct Copier {
    file: File,
    /// Made when it is needed, and again after a failure.
    connection: Option<Connection>,
    is_long: Arc<AtomicBool>,
}

impl Copier {
    fn run(mut self, wanted: &Receiver<()>) {
        while wanted.recv().is_ok() {
            match self.copy() {
                Ok(pages) => self.is_long.store(pages > PAGES_MAX, Ordering::Release),
                Err(error) => {
                    self.connection = None;
                    tracing::warn!(%error, "write-ahead log not copied into the store's file");
                }
            }
        }
    }

    fn copy(&mut self) -> Result<i64, Error> {
        if self.connection.as_ref().is_some_and(|connection| self.file.has_moved(connection)) {
            self.connection = None;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.file.copier()?),
        };
        checkpoint(connection, "PASSIVE")
    }
}

/// Has the log start over, unless somebody reads on: a backup may do so for long, and all that writes would wait for it.
fn start_over(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(START_OVER_WAIT)?;
    let answer = checkpoint(connection, "RESTART").map(drop);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    answer
}

/// Copies the log and answers how many pages it held.
fn checkpoint(connection: &Connection, mode: &str) -> Result<i64, Error> {
    Ok(connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))?)
}
