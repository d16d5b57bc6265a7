//! When the write-ahead log is copied into the file.
//!
//! SQLite would do it inside a commit that happens to reach a bound, and the events of that commit would wait for it.
//! Here it is done between two commits, after the callers have their answers.

use rusqlite::Connection;

use crate::store::Error;

/// Rows written after which the log is copied: some 5 to 20 MiB of it.
const ROWS_BETWEEN_COPIES: usize = 1_000;

/// Pages (of 4 KiB) of log beyond which the writer waits for readers to let go of it, so that it starts over instead
/// of growing.
const PAGES_MAX: i64 = 16_384;

/// Counts what was written since the last copy.
#[derive(Debug, Default)]
pub(super) struct Log {
    rows: usize,
}

impl Log {
    /// After a commit of `rows` rows.
    pub(super) fn wrote(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// Copies if it is time to. Nothing is lost where it fails: what is committed is in the log.
    pub(super) fn copy_if_due(&mut self, connection: &Connection) {
        if self.rows < ROWS_BETWEEN_COPIES {
            return;
        }
        self.rows = 0;
        let copied = checkpoint(connection, "PASSIVE").and_then(|pages| match pages > PAGES_MAX {
            true => checkpoint(connection, "RESTART"),
            false => Ok(pages),
        });
        if let Err(error) = copied {
            tracing::warn!(%error, "write-ahead log not copied into the store's file");
        }
    }
}

/// Copies the log and answers how many pages it held.
pub(super) fn checkpoint(connection: &Connection, mode: &str) -> Result<i64, Error> {
    Ok(connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))?)
}
