//! Confirmed events as fast as one publisher can, and the proof that each of them is in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::ledger::PATIENCE;
use crate::support::{Publisher, Vhost, event, wait_up_to};

/// Of every so many events one goes to the order that a page watches, the others to an order of their own each.
const WATCHED_EVERY: usize = 5;

/// A publisher that is at work.
pub(crate) struct Flood {
    stopping: Arc<AtomicBool>,
    task: JoinHandle<Confirmed>,
}

/// What the broker has confirmed.
#[derive(Default)]
pub(crate) struct Confirmed {
    orders: BTreeSet<String>,
    watched: usize,
}

impl Flood {
    /// Publishes to `NAME-watched` and to `NAME-n`.
    pub(crate) async fn start(name: &str, vhost: Arc<Vhost>) -> Self {
        let publisher = Publisher::connect(&vhost).await;
        let stopping = Arc::new(AtomicBool::new(false));
        let (name, told) = (name.to_owned(), Arc::clone(&stopping));
        #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        let task = tokio::spawn(async move {
            let mut confirmed = Confirmed::default();
            for n in 0.. {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                if n % WATCHED_EVERY == 0 {
                    publisher.publish(&event(&format!("{name}-watched"), "processing")).await;
                    confirmed.watched += 1;
                } else {
                    let order = format!("{name}-{n}");
                    publisher.publish(&event(&order, "succeeded")).await;
                    confirmed.orders.insert(order);
                }
                // Enough to keep the service at work, and no more than it can store meanwhile.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            confirmed
        });
        Self { stopping, task }
    }

    pub(crate) async fn stop(self) -> Confirmed {
        self.stopping.store(true, Ordering::Relaxed);
        self.task.await.expect("the publisher does not panic")
    }
}

impl Confirmed {
    pub(crate) fn events(&self) -> usize {
        self.orders.len() + self.watched
    }

    /// Waits until each order is in the database, and checks that each of its events was counted once.
    pub(crate) async fn prove(&self, database: &Path) {
        self.prove_by(async || versions(database)).await;
    }

    /// The same by another way to look up each stored order with its version.
    pub(crate) async fn prove_by(&self, mut look: impl AsyncFnMut() -> BTreeMap<String, i64>) {
        let stored = wait_up_to(PATIENCE, "each confirmed event is stored", async || {
            let stored = look().await;
            self.orders.iter().all(|order| stored.contains_key(order)).then_some(stored)
        })
        .await;
        let repeated: Vec<_> = self.orders.iter().filter(|order| stored[*order] != 1).collect();
        assert!(repeated.is_empty(), "counted more than once: {repeated:?}");
    }
}

/// Each stored order with its version.
pub(crate) fn versions(database: &Path) -> BTreeMap<String, i64> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut orders = connection.prepare("SELECT order_id, version FROM payments").unwrap();
    let rows = orders.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
