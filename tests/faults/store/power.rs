//! The power is cut at any moment, and the store comes back with what its disk has: each event that was acknowledged is there,
//! and each that was not is delivered again.
//!
//! `POWER_CUTS` sets how many cuts each store has.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::flood::{self, Flood};
use crate::ledger::row;
use crate::powerloss::{Disk, Entries, PostgresOnDisk, Unsynced};
use crate::support::process::Process;
use crate::support::{Service, Setup, Vhost, wait_for};

/// Cuts of each store, where nothing else is set.
const CUTS: usize = 20;
/// Of so many cuts one comes at one of the next changes of the disk, in the midst of a start or of a recovery too.
const EARLY_OF: usize = 3;
/// The longest that a store lives on, once it runs.
const LIFE_MS_MAX: u64 = 700;
/// Rows of the proof that the disk forgets.
const ROWS: i32 = 50;
/// Changes of the disk within which a database is made anew.
const CREATION_CHANGES: [u64; 9] = [0, 1, 2, 4, 7, 11, 16, 22, 30];

fn cuts() -> usize {
    std::env::var("POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS)
}

fn disk(name: &str, entries: Entries) -> Option<Disk> {
    Disk::mount(entries).inspect_err(|why| row(&format!("{name} left out: {why}"))).ok()
}

fn sqlite_on(disk: &Disk) -> String {
    format!("sqlite://{}", disk.path().join("data/payments.db").display())
}

/// When and how the power fails, drawn from a seed that is told where something fails.
struct Cut {
    seed: u64,
    /// At the change after so many.
    at_change: Option<u64>,
    after: Duration,
}

impl Cut {
    fn draw(n: usize, changes_log2_max: u32) -> Self {
        let seed = rand::random();
        let mut random = StdRng::seed_from_u64(seed);
        // As often in the first few as in the many after them.
        let log2 = random.random_range(1..=changes_log2_max);
        let changes = random.random_range(0..1_u64 << log2);
        let after = Duration::from_millis(random.random_range(0..LIFE_MS_MAX));
        Self { seed, at_change: n.is_multiple_of(EARLY_OF).then_some(changes), after }
    }

    /// Cuts it by itself, where it is to.
    fn arm(&self, disk: &Disk) {
        if let Some(changes) = self.at_change {
            disk.cut_after(changes, Unsynced::Scattered, self.seed);
        }
    }
}

/// Waits until the power has failed by itself, or `time` is over, and says whether `process` has ended before.
async fn live(process: &mut Process, disk: &Disk, time: Duration) -> bool {
    let until = Instant::now() + time;
    while !disk.is_off() && Instant::now() < until {
        if process.ended().is_some() {
            // The power may have failed in between, and be why.
            return !disk.is_off();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

fn is_listening(process: &Process) -> bool {
    process.logs().json().iter().any(|line| line["fields"]["message"] == "listening")
}

/// The store of a service that is to be started on it, and what is looked up there at the end.
async fn service_on(store: String) -> Service {
    Setup::new().await.set("STORE__URL", store).set("STORE__BATCH_EVENTS_MAX", 32).start().await
}

async fn prove_no_letters(service: &Service) {
    let letters = service.vhost().get("queues", "payment-notifier.dead-letters").await;
    assert_eq!(letters["messages"].as_u64().unwrap_or(0), 0, "{letters}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_at_any_moment_on_sqlite_loses_no_event() {
    let Some(mut disk) = disk("power-cut-sqlite", Entries::Posix) else { return };
    let mut service = service_on(sqlite_on(&disk)).await;
    let publishing = Flood::start("power-sqlite", Arc::clone(service.vhost())).await;
    let (mut while_starting, mut longest_start) = (0, Duration::ZERO);
    service.kill9().await;
    for n in 0..cuts() {
        let cut = Cut::draw(n, 9);
        disk.mount_again().await;
        cut.arm(&disk);
        let began = Instant::now();
        let mut serve = Process::start(service.setup.command(&["serve"]));
        let listens = wait_for("the service listens, has ended or has no disk", async || {
            let listens = is_listening(&serve);
            (listens || disk.is_off() || serve.ended().is_some()).then_some(listens)
        })
        .await;
        let refused = if listens {
            longest_start = longest_start.max(began.elapsed());
            live(&mut serve, &disk, cut.after).await
        } else {
            while_starting += 1;
            !disk.is_off()
        };
        assert!(!refused, "cut {n}: not started on what the one before has left:\n{}", serve.logs().tail());
        disk.cut(Unsynced::Scattered, cut.seed);
        serve.kill9().await;
    }
    disk.mount_again().await;
    service.start_again().await;
    let confirmed = publishing.stop().await;
    let copy = tempfile::tempdir().unwrap();
    let saved = copy.path().join("payments.db");
    confirmed
        .prove_by(async || {
            disk.save("data", copy.path());
            flood::versions(&saved)
        })
        .await;
    service.terminate();
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
    disk.save("data", copy.path());
    assert_eq!(integrity(&saved), "ok");
    prove_no_letters(&service).await;
    let (cuts, confirmed, start_ms) = (cuts(), confirmed.events(), longest_start.as_millis());
    row(&format!(
        "power-cut-sqlite runs={cuts} lost=0 pause_ms={start_ms} while_starting={while_starting} confirmed={confirmed}"
    ));
}

fn integrity(database: &Path) -> String {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_at_any_moment_on_postgresql_loses_no_event() {
    let Some(mut disk) = disk("power-cut-postgresql", Entries::Journal) else { return };
    let mut server = match PostgresOnDisk::create(&disk, &[]) {
        Ok(server) => server,
        Err(why) => return row(&format!("power-cut-postgresql left out: {why}")),
    };
    server.start();
    assert!(server.is_up().await, "{}", server.logs());
    let mut service = service_on(server.url()).await;
    let publishing = Flood::start("power-postgresql", Arc::clone(service.vhost())).await;
    let (mut while_starting, mut longest_start) = (0, Duration::ZERO);
    service.kill9().await;
    let mut serve = Process::start(service.setup.command(&["serve"]));
    for n in 0..cuts() {
        let cut = Cut::draw(n, 12);
        disk.cut(Unsynced::Scattered, cut.seed);
        // The service loses its power with the server, or goes on without it.
        if n.is_multiple_of(2) {
            serve.kill9().await;
        }
        server.kill().await;
        disk.mount_again().await;
        cut.arm(&disk);
        let began = Instant::now();
        server.start();
        if n.is_multiple_of(2) {
            serve = Process::start(service.setup.command(&["serve"]));
        }
        let up = server.is_up().await;
        assert!(up || disk.is_off(), "cut {n}: not started on what it has left:\n{}", server.logs());
        if up {
            longest_start = longest_start.max(began.elapsed());
            let ended = live(server.process(), &disk, cut.after).await;
            assert!(!ended, "cut {n}: {}", server.logs());
        } else {
            while_starting += 1;
        }
    }
    serve.kill9().await;
    server.kill().await;
    disk.mount_again().await;
    server.start();
    assert!(server.is_up().await, "{}", server.logs());
    service.start_again().await;
    let confirmed = publishing.stop().await;
    let client = server.connect().await;
    confirmed
        .prove_by(async || {
            let rows = client.query("SELECT order_id, version FROM payments", &[]).await.expect("it is up");
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        })
        .await;
    prove_no_letters(&service).await;
    let (cuts, confirmed, start_ms) = (cuts(), confirmed.events(), longest_start.as_millis());
    row(&format!(
        "power-cut-postgresql runs={cuts} lost=0 pause_ms={start_ms} while_starting={while_starting} \
         confirmed={confirmed}"
    ));
}

#[tokio::test]
async fn power_cut_while_a_database_is_made_leaves_one_that_opens() {
    let vhost = Arc::new(Vhost::create().await);
    for changes in CREATION_CHANGES {
        let Some(mut disk) = disk("power-cut-creation", Entries::Posix) else { return };
        let setup = Setup::on(Arc::clone(&vhost)).set("STORE__URL", sqlite_on(&disk));
        let seed = rand::random();
        disk.cut_after(changes, Unsynced::Scattered, seed);
        let mut serve = Process::start(setup.command(&["serve"]));
        wait_for("the power fails", async || disk.is_off().then_some(())).await;
        serve.kill9().await;
        disk.mount_again().await;
        let mut serve = Process::start(setup.command(&["serve"]));
        wait_for("the service listens or has ended", async || {
            (is_listening(&serve) || serve.ended().is_some()).then_some(())
        })
        .await;
        assert!(serve.ended().is_none(), "cut at change {changes}, seed {seed}: {}", serve.logs().text());
    }
    row(&format!("power-cut-creation runs={} lost=0", CREATION_CHANGES.len()));
}

/// How many of the rows that were committed are there after the power was cut.
async fn rows_left_by_sqlite(disk: &mut Disk, synchronous: &str) -> i32 {
    let path = disk.path().join("control.db");
    // Its index of the log is in memory then: a map of a file of this process's own disk could wait for itself.
    let open = || {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL").unwrap();
        connection
    };
    let connection = open();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS rows (n INTEGER)").unwrap();
    disk.sync_all();
    connection.pragma_update(None, "synchronous", synchronous).unwrap();
    for n in 0..ROWS {
        connection.execute("INSERT INTO rows VALUES (?1)", [n]).unwrap();
    }
    disk.cut(Unsynced::Dropped, 0);
    drop(connection);
    disk.mount_again().await;
    open().query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
}

async fn rows_left_by_postgresql(fsync: &str) -> Option<i32> {
    let mut disk = disk("power-cut-control on PostgreSQL", Entries::Journal)?;
    let left_out = |why: &String| row(&format!("power-cut-control on PostgreSQL left out: {why}"));
    let mut server = PostgresOnDisk::create(&disk, &[fsync]).inspect_err(left_out).ok()?;
    server.start();
    assert!(server.is_up().await, "{}", server.logs());
    let client = server.connect().await;
    client.batch_execute("CREATE TABLE rows (n int); CHECKPOINT").await.unwrap();
    disk.sync_all();
    for n in 0..ROWS {
        client.execute("INSERT INTO rows VALUES ($1)", &[&n]).await.unwrap();
    }
    disk.cut(Unsynced::Dropped, 0);
    server.kill().await;
    disk.mount_again().await;
    server.start();
    if !server.is_up().await {
        return Some(0);
    }
    let left = server.connect().await.query_one("SELECT count(*) FROM rows", &[]).await.unwrap();
    Some(i32::try_from(left.get::<_, i64>(0)).unwrap())
}

#[tokio::test]
async fn what_was_not_synced_is_lost_so_that_a_missing_sync_would_be_seen() {
    let Some(mut first) = disk("power-cut-control", Entries::Posix) else { return };
    assert_eq!(rows_left_by_sqlite(&mut first, "FULL").await, ROWS);
    let mut second = disk("power-cut-control", Entries::Posix).expect("the first was mounted");
    assert_eq!(rows_left_by_sqlite(&mut second, "OFF").await, 0);
    let Some(kept) = rows_left_by_postgresql("fsync=on").await else { return };
    assert_eq!(kept, ROWS);
    let lost = ROWS - rows_left_by_postgresql("fsync=off").await.expect("it was there before");
    assert!(lost > 0, "fsync=off loses what was committed");
    row(&format!("power-cut-control runs=4 lost_without_sync={}", ROWS + lost));
}
