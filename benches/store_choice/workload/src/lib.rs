//! What both candidates are put through: the service's own two operations on the service's own table.
//!
//! Each program prints one line a measure: its name, the median and the 99th percentile in microseconds, and how many
//! a second (events for commits, reads for reads), with tabs between. `table` makes one table of many such lines.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Payments stored before anything is measured.
pub const PAYMENTS: u64 = 50_000;
/// Connections that read, as in the service.
pub const READERS: u32 = 2;
/// As in the service.
pub const CACHE_KIB: i64 = 16_384;

pub const CREATE: &str = "
    CREATE TABLE payments (
        id INTEGER PRIMARY KEY, merchant_id TEXT NOT NULL, order_id TEXT NOT NULL, version INTEGER NOT NULL,
        status TEXT NOT NULL, final INTEGER NOT NULL, acked_version INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, state TEXT NOT NULL,
        UNIQUE (merchant_id, order_id)
    ) STRICT";

pub const SELECT: &str = "SELECT state FROM payments WHERE merchant_id = ?1 AND order_id = ?2";

pub const UPSERT: &str = "
    INSERT INTO payments (merchant_id, order_id, version, status, final, created_ms, changed_ms, state)
    VALUES (?1, ?2, ?3, 'succeeded', 1, ?4, ?4, ?5)
    ON CONFLICT (merchant_id, order_id) DO UPDATE SET
        version = excluded.version, status = excluded.status, final = excluded.final,
        changed_ms = excluded.changed_ms, state = excluded.state";

pub const MERCHANT: &str = "shop";

/// One payment to be written.
#[derive(Clone)]
pub struct Row {
    pub order_id: String,
    pub version: i64,
    pub state: String,
}

impl Row {
    fn new(n: u64, version: i64) -> Self {
        // As long as the merge state of a payment with two events and a short display.
        let state = format!(r#"{{"version":{version},"order":{n},"rest":"{}"}}"#, "x".repeat(640));
        Self { order_id: order_id(n), version, state }
    }
}

fn order_id(n: u64) -> String {
    format!("order-{n:016}")
}

/// A way to SQLite from an async program.
pub trait Candidate: Send + Sync + 'static {
    /// Looks each row up and writes it, all in one transaction, and answers when it is on the disk.
    fn apply(&self, rows: Vec<Row>) -> impl Future<Output = ()> + Send;
    /// The state of a payment that is there.
    fn read(&self, order_id: String) -> impl Future<Output = String> + Send;
}

/// A small generator, so that both see the same orders.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Runs all measures and prints their lines.
pub async fn measure(candidate: impl Candidate) {
    let candidate = Arc::new(candidate);
    for first in (0..PAYMENTS).step_by(1000) {
        candidate.apply((first..first + 1000).map(|n| Row::new(n, 1)).collect()).await;
    }
    // What the disk still does for the sake of the rows just made would be laid at the door of the first measure.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut made = PAYMENTS;
    for (events, commits) in [(1u32, 400u32), (64, 100), (256, 50)] {
        let mut times = Vec::new();
        let started = Instant::now();
        for _ in 0..commits {
            let rows = (0..events).map(|_| match random.below(2) {
                0 => Row::new(random.below(PAYMENTS), 2),
                _ => {
                    made += 1;
                    Row::new(made, 1)
                }
            });
            let rows = rows.collect();
            let asked = Instant::now();
            candidate.apply(rows).await;
            times.push(asked.elapsed());
        }
        print(&format!("commit of {events}"), times, commits * events, started.elapsed());
    }
    for (at_once, each) in [(1u32, 4000u32), (64, 400)] {
        let started = Instant::now();
        let tasks: Vec<_> = (0..at_once)
            .map(|task| {
                let candidate = Arc::clone(&candidate);
                tokio::spawn(async move {
                    let mut random = Random(u64::from(task) + 1);
                    let mut times = Vec::new();
                    for _ in 0..each {
                        let order_id = order_id(random.below(PAYMENTS));
                        let asked = Instant::now();
                        let state = candidate.read(order_id).await;
                        times.push(asked.elapsed());
                        assert!(state.len() > 600);
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.expect("a reading task"));
        }
        print(&format!("read, {at_once} at once"), times, at_once * each, started.elapsed());
    }
}

fn print(name: &str, mut times: Vec<Duration>, done: u32, took: Duration) {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{name}\t{:.0}\t{:.0}\t{:.0}", at(0.50), at(0.99), f64::from(done) / took.as_secs_f64());
}
