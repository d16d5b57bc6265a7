//! The thread that looks through the file for the orders that it holds, beside everything else, and once for each file.
//!
//! It reads the rows and the index: a disk that has changed an entry of one of them has left the other, so that an order
//! is not taken as absent by either.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::file::File;
use super::known::Known;
use crate::payment::{Key, MerchantId, OrderId};
use crate::store::Error;

const ROWS: &str = "
    SELECT id, merchant_id, order_id FROM payments NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT ?2";

const ENTRIES: &str = "
    SELECT merchant_id, order_id FROM payments WHERE (merchant_id, order_id) > (?1, ?2)
    ORDER BY merchant_id, order_id LIMIT ?3";

/// Rows of one statement: longer ones would keep the log from starting over.
const ROWS_AT_ONCE: i64 = 2_000;
/// How many times as long as it took to read them it rests: what is busy has the rest of the disk and of the processors.
const RESTS: u32 = 4;

/// The thread.
#[derive(Debug)]
pub(super) struct Searcher {
    known: Arc<Known>,
    thread: thread::JoinHandle<()>,
}

impl Searcher {
    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads.
    pub(super) fn start(file: File, known: Arc<Known>) -> Result<Self, Error> {
        let named = thread::Builder::new().name("store-search".to_owned());
        let searching = Arc::clone(&known);
        let thread = named.spawn(move || run(&file, &searching));
        let thread = thread.map_err(|e| Error::Unavailable(format!("thread store-search: {e}")))?;
        Ok(Self { known, thread })
    }

    /// Ends it, and what is known.
    pub(super) fn close(self) {
        self.known.end();
        if self.thread.join().is_err() {
            tracing::error!("store search thread panicked");
        }
    }
}

fn run(file: &File, known: &Known) {
    while let Some(number) = known.wait_for_search() {
        match search(file, known, number) {
            Ok(true) => known.searched(number),
            Ok(false) => {}
            // Every order is read from the file then, where the damage is found by who comes upon it.
            Err(error) => {
                tracing::warn!(%error, "the store's file could not be looked through, reading will be slower")
            }
        }
    }
}

/// True if every key of the file was inserted.
fn search(file: &File, known: &Known, number: u64) -> Result<bool, Error> {
    let connection = file.reader()?;
    let mut after_id = 0;
    loop {
        let began = Instant::now();
        let Some(last_id) = rows(&connection, known, after_id)? else { break };
        after_id = last_id;
        if !known.rest(number, began.elapsed() * RESTS) {
            return Ok(false);
        }
    }
    let mut after = (String::new(), String::new());
    loop {
        let began = Instant::now();
        let Some(last) = entries(&connection, known, &after)? else { break };
        after = last;
        if !known.rest(number, began.elapsed() * RESTS) {
            return Ok(false);
        }
    }
    Ok(known.rest(number, Duration::ZERO))
}

/// Inserts some rows, and answers the id of the last. Not set where there are none.
fn rows(connection: &Connection, known: &Known, after_id: i64) -> Result<Option<i64>, Error> {
    let mut select = connection.prepare_cached(ROWS)?;
    let mut rows = select.query([after_id, ROWS_AT_ONCE])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(row.get(0)?);
        insert(known, row.get_ref(1)?.as_str(), row.get_ref(2)?.as_str());
    }
    Ok(last)
}

/// Inserts some entries of the index, and answers the last. Not set where there are none.
fn entries(
    connection: &Connection,
    known: &Known,
    after: &(String, String),
) -> Result<Option<(String, String)>, Error> {
    let mut select = connection.prepare_cached(ENTRIES)?;
    let mut rows = select.query(params![after.0, after.1, ROWS_AT_ONCE])?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let (merchant_id, order_id): (String, String) = (row.get(0)?, row.get(1)?);
        if (&merchant_id, &order_id) <= (&after.0, &after.1) {
            return Err(Error::Corrupt("index of payments: an entry is not in its place".to_owned()));
        }
        insert(known, Ok::<_, rusqlite::Error>(merchant_id.as_str()), Ok(order_id.as_str()));
        last = Some((merchant_id, order_id));
    }
    Ok(last)
}

/// What is no key is nobody's: nobody asks for it.
fn insert<E>(known: &Known, merchant_id: Result<&str, E>, order_id: Result<&str, E>) {
    if let (Ok(merchant_id), Ok(order_id)) = (merchant_id, order_id)
        && let (Ok(merchant_id), Ok(order_id)) = (MerchantId::new(merchant_id), OrderId::new(order_id))
    {
        known.insert(&Key::new(merchant_id, order_id));
    }
}
