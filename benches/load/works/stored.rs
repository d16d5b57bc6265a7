//! Databases that hold many orders already: made by the store's own code and filled by one statement.

use std::path::{Path, PathBuf};

use payment_notifier::payment::{Event, EventId, Key, MerchantId, OrderId, State, Status, Timestamp};
use payment_notifier::store::{EscalatedOrders, Escalation, Options, PaymentStore, Sqlite};

use crate::event;
use crate::target::MERCHANT;

/// A row and its index entry, with room to spare.
const BYTES_A_ROW_MAX: u64 = 700;

const FILL: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
    INSERT INTO payments (merchant_id, order_id, version, status, final, created_ms, changed_ms, state)
    SELECT ?2, printf('order-%08d', n), 1, 'pending', 0, ?5, ?5, replace(?3, ?4, printf('order-%08d', n)) FROM numbers";

/// The database with orders `0..count`, made if it is not there. Later runs use it again.
pub(super) fn database(folder: &Path, count: u32) -> PathBuf {
    let path = folder.join(format!("stored-{count}.db"));
    if !path.exists() {
        let free = free_bytes(folder);
        let needed = u64::from(count) * BYTES_A_ROW_MAX;
        assert!(free > needed, "{} has {free} bytes free, and {needed} are needed", folder.display());
        println!("making a database of {count} orders");
        let new = folder.join("stored-new.db");
        drop(std::fs::remove_file(&new));
        make(&new);
        fill(&new, count);
        // Or the disk would still be writing it while others are measured.
        std::fs::File::open(&new).unwrap().sync_all().unwrap();
        std::fs::rename(&new, &path).unwrap();
    }
    path
}

fn make(path: &Path) {
    let options = Options {
        batch_events_max: 512,
        readers: 1,
        reads_waiting_max: 1,
        cache_kib: 1024,
        instance: String::new(),
        timeline: true,
        escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Watched },
    };
    let store = Sqlite::open(&format!("sqlite://{}", path.display()), options).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.close());
}

fn fill(path: &Path, count: u32) {
    let first = event::order(0);
    let key = Key::new(MerchantId::new(MERCHANT).unwrap(), OrderId::new(&first).unwrap());
    let at = Timestamp::parse("2026-01-30T00:30:00Z").unwrap();
    let state = State::first(Event::new(key, EventId::new("evt-stored").unwrap(), Status::Pending, at));
    let connection = rusqlite::Connection::open(path).unwrap();
    // Nothing of it has to outlive a crash.
    connection
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")
        .unwrap();
    let state = serde_json::to_string(&state).unwrap();
    assert!(state.contains(&first), "the state names its order");
    // Or the service would begin to remove them as too old.
    let now_ms = payment_notifier::runtime::unix_ms();
    let filled = connection.execute(FILL, rusqlite::params![count, MERCHANT, state, first, now_ms]).unwrap();
    assert_eq!(filled, count as usize);
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
}

fn free_bytes(folder: &Path) -> u64 {
    let df = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(folder).output().unwrap();
    let text = String::from_utf8_lossy(&df.stdout).into_owned();
    text.lines().nth(1).and_then(|line| line.trim().parse().ok()).unwrap()
}
