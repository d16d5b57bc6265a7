//! The table of messages that wait to be published.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row};

use crate::store::columns::sql_limit;
use crate::store::ledger::Message;
use crate::store::{Error, Outgoing};

const INSERT: &str = "INSERT INTO outbox (routing_key, message_id, body, created_ms) VALUES (?1, ?2, ?3, ?4)";
const SELECT: &str = "SELECT id, routing_key, message_id, body FROM outbox ORDER BY id LIMIT ?1";
const DELETE: &str = "DELETE FROM outbox WHERE id = ?1";

/// How long a message that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_secs(3600);
/// For a lease that no clock can hold.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Messages that were given out, and until when. In memory, and by a clock that nobody sets: the file has one process, and
/// what a process that is gone had taken is free. A transaction changes a copy, which counts once it is committed.
#[derive(Debug, Default, Clone)]
pub(super) struct Leases {
    until: Arc<HashMap<i64, Instant>>,
}

impl Leases {
    /// The oldest that nobody has at `now`, for a while.
    pub(super) fn take(
        &mut self,
        connection: &Connection,
        messages_max: usize,
        now: Instant,
        lease_ms: u64,
    ) -> Result<Vec<Outgoing>, Error> {
        Arc::make_mut(&mut self.until).retain(|_, until| *until > now);
        let mut select = connection.prepare_cached(SELECT)?;
        let mut rows = select.query([sql_limit(messages_max.saturating_add(self.until.len()))])?;
        let mut taken = Vec::new();
        while taken.len() < messages_max
            && let Some(row) = rows.next()?
        {
            let id = row.get(0)?;
            if self.until.contains_key(&id) {
                continue;
            }
            let message = |row: &Row<'_>| {
                Ok(Outgoing { id, routing_key: row.get(1)?, message_id: row.get(2)?, body: row.get(3)? })
            };
            match message(row) {
                Ok(message) => {
                    self.postpone(&[id], now, Duration::from_millis(lease_ms));
                    taken.push(message);
                }
                // It must not stand in the way of those behind it.
                Err(error) => {
                    let error: rusqlite::Error = error;
                    tracing::error!(id, %error, "a message of the outbox cannot be read and is left in it");
                    self.postpone(&[id], now, UNREADABLE);
                }
            }
        }
        Ok(taken)
    }

    /// Nobody is given these for a while.
    pub(super) fn postpone(&mut self, ids: &[i64], now: Instant, by: Duration) {
        let until = now.checked_add(by).unwrap_or(now + LONGEST);
        Arc::make_mut(&mut self.until).extend(ids.iter().map(|id| (*id, until)));
    }

    /// These are in the outbox no more.
    pub(super) fn end(&mut self, ids: &[i64]) {
        let until = Arc::make_mut(&mut self.until);
        for id in ids {
            until.remove(id);
        }
    }
}

/// Puts messages in and answers how many.
pub(super) fn put(connection: &Connection, messages: &[Message], now_ms: i64) -> Result<usize, Error> {
    if !messages.is_empty() {
        let mut insert = connection.prepare_cached(INSERT)?;
        for Message { routing_key, message_id, body } in messages {
            insert.execute((routing_key, message_id, body, now_ms))?;
        }
    }
    Ok(messages.len())
}

/// Removes messages and answers how many there were.
pub(super) fn remove(connection: &Connection, ids: &[i64]) -> Result<u64, Error> {
    let mut delete = connection.prepare_cached(DELETE)?;
    let mut removed = 0;
    for id in ids {
        removed += u64::from(delete.execute([id])? > 0);
    }
    Ok(removed)
}

/// How many wait.
pub(super) fn len(connection: &Connection) -> Result<u64, Error> {
    let messages: i64 = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
    Ok(messages.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_a_clock_that_nobody_sets_and_with_its_message() {
        let mut leases = Leases::default();
        let now = Instant::now();
        leases.postpone(&[1, 2], now, Duration::from_secs(5));
        leases.postpone(&[3], now, Duration::MAX);
        leases.end(&[2]);
        Arc::make_mut(&mut leases.until).retain(|_, until| *until > now + Duration::from_secs(5));
        assert_eq!(leases.until.keys().collect::<Vec<_>>(), [&3]);
    }
}
