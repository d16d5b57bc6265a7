//! rusqlite as the service uses it: a thread that writes, threads that read, channels between them and async callers.

use std::sync::{Arc, Mutex, mpsc};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use store_choice_workload::{CACHE_KIB, CREATE, Candidate, MERCHANT, READERS, Row, SELECT, UPSERT, measure};
use tokio::sync::oneshot;

const WAITING_MAX: usize = 1024;
const READS_AT_ONCE_MAX: usize = 128;

type Read = (String, oneshot::Sender<String>);

struct Threads {
    writes: mpsc::SyncSender<(Vec<Row>, oneshot::Sender<()>)>,
    reads: mpsc::SyncSender<Read>,
}

impl Candidate for Threads {
    async fn apply(&self, rows: Vec<Row>) {
        let (answer, answered) = oneshot::channel();
        self.writes.send((rows, answer)).expect("the writer");
        answered.await.expect("an answer");
    }

    async fn read(&self, order_id: String) -> String {
        let (answer, answered) = oneshot::channel();
        self.reads.send((order_id, answer)).expect("a reader");
        answered.await.expect("an answer")
    }
}

fn connect(path: &str) -> Connection {
    let connection = Connection::open(path).expect("a connection");
    connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    connection.pragma_update(None, "synchronous", "FULL").expect("synchronous");
    connection.pragma_update(None, "cache_size", -CACHE_KIB).expect("cache_size");
    connection
}

fn apply(connection: &mut Connection, rows: &[Row]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut select = transaction.prepare_cached(SELECT)?;
        let mut upsert = transaction.prepare_cached(UPSERT)?;
        for row in rows {
            let before: Option<String> =
                select.query_row(params![MERCHANT, row.order_id], |found| found.get(0)).optional()?;
            std::hint::black_box(before);
            upsert.execute(params![MERCHANT, row.order_id, row.version, 1_700_000_000_000_i64, row.state])?;
        }
    }
    transaction.commit()
}

fn read(connection: &mut Connection, batch: Vec<Read>) -> rusqlite::Result<()> {
    let snapshot = connection.transaction()?;
    for (order_id, answer) in batch {
        let mut select = snapshot.prepare_cached(SELECT)?;
        let state = select.query_row(params![MERCHANT, order_id], |row| row.get(0))?;
        answer.send(state).expect("somebody who waits");
    }
    snapshot.commit()
}

fn main() {
    let path = std::env::args().nth(1).expect("a path");
    let mut connection = connect(&path);
    connection.execute_batch(CREATE).expect("the table");
    eprintln!("rusqlite over SQLite {}", rusqlite::version());
    let (writes, waiting) = mpsc::sync_channel::<(Vec<Row>, oneshot::Sender<()>)>(WAITING_MAX);
    std::thread::spawn(move || {
        for (rows, answer) in waiting {
            apply(&mut connection, &rows).expect("a commit");
            answer.send(()).expect("somebody who waits");
        }
    });
    let (reads, waiting) = mpsc::sync_channel::<Read>(WAITING_MAX);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..READERS {
        let (mut connection, waiting) = (connect(&path), Arc::clone(&waiting));
        std::thread::spawn(move || {
            loop {
                let waiting = waiting.lock().expect("the queue");
                let Ok(first) = waiting.recv() else { return };
                let batch = std::iter::once(first).chain(waiting.try_iter().take(READS_AT_ONCE_MAX - 1)).collect();
                drop(waiting);
                read(&mut connection, batch).expect("reads");
            }
        });
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(Threads { writes, reads }));
}
