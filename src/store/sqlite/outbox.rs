//! The table of messages that wait to be published.

use std::collections::HashMap;

use rusqlite::Connection;

use super::limit;
use crate::store::outgoing::Message;
use crate::store::{Error, Outgoing};

const INSERT: &str = "INSERT INTO outbox (routing_key, message_id, body, created_ms) VALUES (?1, ?2, ?3, ?4)";
const SELECT: &str = "SELECT id, routing_key, message_id, body FROM outbox ORDER BY id LIMIT ?1";
const DELETE: &str = "DELETE FROM outbox WHERE id = ?1";

/// Messages that were given out, and until when. In memory: the file has one process, and what a process that is gone
/// had taken is free.
#[derive(Debug, Default)]
pub(super) struct Leases {
    until_ms: HashMap<i64, i64>,
}

impl Leases {
    /// The oldest that nobody has.
    pub(super) fn take(
        &mut self,
        connection: &Connection,
        messages_max: usize,
        now_ms: i64,
        lease_ms: u64,
    ) -> Result<Vec<Outgoing>, Error> {
        self.until_ms.retain(|_, until_ms| *until_ms > now_ms);
        let mut select = connection.prepare_cached(SELECT)?;
        let mut rows = select.query([limit(messages_max.saturating_add(self.until_ms.len()))])?;
        let mut taken = Vec::new();
        while taken.len() < messages_max
            && let Some(row) = rows.next()?
        {
            let id = row.get(0)?;
            if !self.until_ms.contains_key(&id) {
                taken.push(Outgoing { id, routing_key: row.get(1)?, message_id: row.get(2)?, body: row.get(3)? });
            }
        }
        let until_ms = now_ms.saturating_add_unsigned(lease_ms);
        self.until_ms.extend(taken.iter().map(|message| (message.id, until_ms)));
        Ok(taken)
    }
}

/// Puts messages in and answers how many.
pub(super) fn put(
    connection: &Connection,
    messages: impl ExactSizeIterator<Item = Message>,
    now_ms: i64,
) -> Result<usize, Error> {
    let put = messages.len();
    if put > 0 {
        let mut insert = connection.prepare_cached(INSERT)?;
        for Message { routing_key, message_id, body } in messages {
            insert.execute((routing_key, message_id, body, now_ms))?;
        }
    }
    Ok(put)
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
