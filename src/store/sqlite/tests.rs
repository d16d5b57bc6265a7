//! The contract, and what only a file can suffer.

mod known;
mod timelines;
mod upgrade;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::payment::{Change, Event, EventId, MerchantId, OrderId, Status, Timestamp};
use crate::store::contract::{Place, READS_WAITING_MAX, Settings, contract_tests};
use crate::store::{EscalatedOrders, NoteKind, PageRef};
use crate::telemetry::Transport;

const OPTIONS: Options = Options {
    batch_events_max: 64,
    readers: 2,
    reads_waiting_max: READS_WAITING_MAX,
    cache_kib: 1024,
    instance: String::new(),
    timeline: true,
    escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Watched },
};

/// A folder that goes with the test. The store's own folder in it is missing at first.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("a/b/payments.db")
    }

    fn open(&self, options: Options) -> Result<Sqlite, Error> {
        Sqlite::open(&format!("sqlite://{}", self.path().display()), options)
    }
}

/// What another connection has done to the file is seen by all who read after this.
pub(crate) fn trust_ends() {
    std::thread::sleep(super::known::TRUSTED);
}

#[async_trait]
impl Place for Folder {
    async fn open(&self, settings: Settings) -> Arc<dyn PaymentStore> {
        let Settings { reads_waiting_max, instance, timeline, escalation } = settings;
        Arc::new(Folder::open(self, Options { reads_waiting_max, instance, timeline, escalation, ..OPTIONS }).unwrap())
    }

    async fn execute(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
        trust_ends();
    }

    async fn refuse(&self, orders: &[&str]) {
        let rule = |verb: &str| {
            let orders = orders.join("', '");
            format!(
                "CREATE TRIGGER refused_{verb} BEFORE {verb} ON payments WHEN old.order_id IN ('{orders}')
                 BEGIN SELECT RAISE(ABORT, 'a rule of its own'); END;"
            )
        };
        self.execute(&["UPDATE", "DELETE"].map(rule).concat()).await;
    }

    async fn refuse_nothing(&self) {
        self.execute("DROP TRIGGER refused_UPDATE; DROP TRIGGER refused_DELETE").await;
    }
}

mod contract {
    use super::*;
    contract_tests!(Folder::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_served_from_is_refused_to_another_and_free_again_after() {
    let folder = Folder::new();
    let first = folder.open(OPTIONS).unwrap();
    let refused = folder.open(OPTIONS).err().unwrap().to_string();
    assert!(refused.contains("another process uses this file"), "{refused}");
    first.close().await;
    folder.open(OPTIONS).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_and_what_it_leads_to_are_one_file_and_so_are_two_links_before_it_is_made() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    let [one, other] = ["one.db", "other.db"].map(|name| folder.0.path().join(name));
    std::os::unix::fs::symlink("a/b/payments.db", &one).unwrap();
    std::os::unix::fs::symlink("one.db", &other).unwrap();
    for (path, second) in [(&other, &one), (&folder.path(), &other), (&one, &folder.path())] {
        let open = |path: &PathBuf| Sqlite::open(&format!("sqlite://{}", path.display()), OPTIONS);
        let first = open(path).unwrap();
        let refused = open(second).err().unwrap().to_string();
        assert!(refused.contains("another process uses this file"), "{refused}");
        first.close().await;
    }
}

const PAGE: PageRef = PageRef { transport: Transport::WebSocket, connection: 1 };

fn event(order: &str, id: &str) -> Event {
    let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap());
    let at = Timestamp::parse("2026-01-31T08:30:00Z").unwrap();
    Event::new(key, EventId::new(id).unwrap(), Status::Pending, at)
}

fn events(orders: std::ops::Range<u32>) -> Vec<Event> {
    orders.map(|n| event(&format!("o{n}"), "e1")).collect()
}

/// Lets a test act on the writer's connection in the midst of a transaction.
async fn act(store: &Sqlite, act: impl Fn(&Connection) + Send + 'static) {
    let work = move |transaction: &mut Transaction<'_>| {
        act(transaction.connection);
        Ok(())
    };
    store.writes.queue.push(Job::new(1, work).0).await.unwrap();
}

/// Holds the writer in a transaction until what this gives is dropped.
async fn hold(store: &Sqlite) -> std::sync::mpsc::SyncSender<()> {
    let (release, held) = std::sync::mpsc::sync_channel(1);
    let (begun, mut is_held) = tokio::sync::mpsc::channel(1);
    let held = std::sync::Mutex::new(held);
    act(store, move |_| {
        begun.try_send(()).unwrap();
        assert!(held.lock().unwrap().recv().is_err());
    })
    .await;
    is_held.recv().await.unwrap();
    release
}

fn pages_max(pages: u32) -> impl Fn(&Connection) + Send + 'static {
    move |connection| connection.pragma_update(None, "max_page_count", pages).unwrap()
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_is_over_when_there_is_room() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..10)).await.unwrap();
    // SQLite takes it as "no more than there are".
    act(&store, pages_max(1)).await;
    for _ in 0..3 {
        let answer = store.apply_events(events(0..1000)).await;
        assert!(matches!(&answer, Err(Error::Unavailable(why)) if why.contains("full")), "{answer:?}");
        assert!(store.read(&event("o500", "e1").key).await.unwrap().is_none());
        assert_eq!(store.read(&event("o5", "e1").key).await.unwrap().unwrap().version, 1);
    }
    act(&store, pages_max(1_000_000)).await;
    let outcomes = store.apply_events(events(0..1000)).await.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.change == Change::Applied).count(), 990);
    assert_eq!(store.read(&event("o500", "e1").key).await.unwrap().unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_writer_is_one_transaction_and_a_panic_ends_no_more_than_that() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    let release = hold(&store).await;
    let (one, other, ()) = tokio::join!(store.apply_events(events(0..1)), store.apply_events(events(1..2)), async {
        act(&store, |_| panic!("a test's own panic")).await;
        drop(release);
    });
    for outcomes in [one, other] {
        assert_eq!(outcomes.unwrap()[0].change, Change::Applied, "rolled back with the panic, and done without it");
    }
}

#[tokio::test]
async fn a_payment_that_cannot_be_understood_is_reported_and_holds_up_no_other() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..3)).await.unwrap();
    let other = Connection::open(folder.path()).unwrap();
    other.execute("UPDATE payments SET state = '{}' WHERE order_id = 'o1'", []).unwrap();
    other
        .execute(
            "UPDATE payments SET state = (SELECT state FROM payments WHERE order_id = 'o0') WHERE order_id = 'o2'",
            [],
        )
        .unwrap();
    trust_ends();
    let key = |order| event(order, "e1").key;
    for order in ["o1", "o2"] {
        assert!(matches!(store.read(&key(order)).await, Err(Error::Corrupt(why)) if why.contains(order)));
        assert!(matches!(store.apply_events(vec![event(order, "e2")]).await, Err(Error::Corrupt(_))));
    }
    let release = hold(&store).await;
    let (o0, o1) = (key("o0"), key("o1"));
    let (good, bad, ()) = tokio::join!(store.acknowledge(&o0, 1, PAGE), store.acknowledge(&o1, 1, PAGE), async {
        drop(release);
    });
    assert!(matches!(good, Ok(Acknowledgement::First)) && matches!(bad, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn a_file_that_vanished_is_a_fault_until_it_is_back() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..1)).await.unwrap();
    let (there, away) = (folder.path(), folder.path().with_extension("away"));
    std::fs::rename(&there, &away).unwrap();
    assert!(matches!(store.apply_events(events(1..2)).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.read(&event("o0", "e1").key).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.check().await, Err(Error::Unavailable(_))));
    assert!(!there.exists(), "no empty file takes its place");
    std::fs::rename(&away, &there).unwrap();
    store.check().await.unwrap();
    store.apply_events(events(1..2)).await.unwrap();
    for order in ["o0", "o1"] {
        assert_eq!(store.read(&event(order, "e1").key).await.unwrap().unwrap().version, 1);
    }
}

#[tokio::test]
async fn a_foreign_newer_or_damaged_file_is_refused_and_left_as_it_is() {
    let refused = |folder: &Folder, words: &str| {
        let before = std::fs::read(folder.path()).unwrap();
        let error = folder.open(OPTIONS).err().unwrap();
        assert!(matches!(&error, Error::Corrupt(why) if why.contains(words)), "{error}");
        assert_eq!(std::fs::read(folder.path()).unwrap(), before, "{words}");
    };
    let made = |sql: &str| {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
        Connection::open(folder.path()).unwrap().execute_batch(sql).unwrap();
        folder
    };
    refused(&made("CREATE TABLE payments (id)"), "another program");
    refused(&made("PRAGMA application_id = 7"), "another program");
    refused(&made("PRAGMA application_id = 0x504e7064; PRAGMA user_version = 99"), "a newer one wrote it");

    let text = made("");
    std::fs::write(text.path(), "merchant,order\n".repeat(1000)).unwrap();
    refused(&text, "not a database");

    let damaged = Folder::new();
    let store = damaged.open(OPTIONS).unwrap();
    store.apply_events(events(0..500)).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(damaged.path()).unwrap();
    bytes[8192..40_960].fill(0xA5);
    std::fs::write(damaged.path(), bytes).unwrap();
    assert!(matches!(damaged.open(OPTIONS), Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn an_address_must_be_of_a_file() {
    for url in ["", "payments.db", "sqlite:", "sqlite://", "postgres://x"] {
        assert!(matches!(Sqlite::open(url, OPTIONS), Err(Error::Unavailable(_))), "{url}");
    }
}

#[tokio::test]
async fn closed_the_file_is_whole_and_has_no_log_beside_it() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..10)).await.unwrap();
    store.close().await;
    let log = folder.path().with_extension("db-wal");
    assert!(!log.exists() || log.metadata().unwrap().len() == 0);
    let count = "SELECT count(*) FROM payments WHERE version = 1 AND final = 0 AND created_ms = changed_ms";
    let stored: i64 = Connection::open(folder.path()).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(stored, 10);
}

#[tokio::test]
async fn the_log_starts_over_while_pages_read() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    let key = event("o0", "e1").key;
    let log = folder.path().with_extension("db-wal");
    let mut longest = 0;
    for round in 0..12 {
        // Every row anew, so that each round writes as much as the one before.
        let batch = (0..1000).map(|n| event(&format!("o{n}"), &format!("e{round}"))).collect();
        let (applied, read) = tokio::join!(store.apply_events(batch), store.read(&key));
        assert_eq!(applied.unwrap().len(), 1000);
        read.unwrap();
        longest = longest.max(log.metadata().unwrap().len());
    }
    let first = folder.path().metadata().unwrap().len();
    assert!(longest < first * 6, "log of {longest} bytes beside a file of {first}");
}

#[tokio::test]
async fn dropped_without_close_it_ends_by_itself() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..1)).await.unwrap();
    let (reading, writing) = (store.readers.ended(), store.writes.ended());
    drop(store);
    let ended = futures_util::future::join(reading, writing);
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
}

#[tokio::test]
async fn a_row_that_its_checksum_does_not_fit_is_damaged_and_one_without_is_older() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..3)).await.unwrap();
    let key = |order| event(order, "e1").key;
    store.acknowledge(&key("o2"), 1, PAGE).await.unwrap();
    let other = Connection::open(folder.path()).unwrap();
    // Each is a value that could be true.
    other.execute("UPDATE payments SET state = replace(state, '2026', '2025') WHERE order_id = 'o1'", []).unwrap();
    other.execute("UPDATE payments SET acked_version = 0 WHERE order_id = 'o2'", []).unwrap();
    trust_ends();
    for order in ["o1", "o2"] {
        let read = store.read(&key(order)).await;
        assert!(
            matches!(&read, Err(Error::Corrupt(why)) if why.contains("checksum") && why.contains(order)),
            "{read:?}"
        );
        assert!(matches!(store.apply_events(vec![event(order, "e2")]).await, Err(Error::Corrupt(_))));
        assert!(matches!(store.acknowledge(&key(order), 1, PAGE).await, Err(Error::Corrupt(_))));
    }
    store.close().await;

    let older = older(&folder, 1);
    let store = older.open(OPTIONS).unwrap();
    let outcomes = store.apply_events(vec![event("o0", "e2")]).await.unwrap();
    assert_eq!((outcomes[0].change, outcomes[0].payment.version), (Change::Applied, 2));
    let written = "SELECT count(checksum) FROM payments";
    let other = Connection::open(older.path()).unwrap();
    let count: i64 = other.query_row(written, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1, "a row has one once it is written");
    assert_eq!(store.read(&key("o0")).await.unwrap().unwrap().version, 2);
}

/// The payments of `folder` as a version of the program that knew `steps` steps of the schema left them.
fn older(folder: &Folder, steps: usize) -> Folder {
    let older = Folder::new();
    std::fs::create_dir_all(older.path().parent().unwrap()).unwrap();
    let mut file = Connection::open(older.path()).unwrap();
    schema::migrate_to(&mut file, steps).unwrap();
    let columns = "merchant_id, order_id, version, status, final, acked_version, created_ms, changed_ms, state";
    let columns = if steps > 1 { format!("{columns}, checksum") } else { columns.to_owned() };
    file.execute("ATTACH ?1 AS newer", [folder.path().to_str().unwrap()]).unwrap();
    file.execute_batch(&format!("INSERT INTO payments ({columns}) SELECT {columns} FROM newer.payments")).unwrap();
    older
}

#[tokio::test]
async fn what_an_older_version_stored_is_acknowledged_and_escalated_as_any_other() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    let paid = |order: &str| Event { status: Status::Succeeded, ..event(order, "e1") };
    store.apply_events(vec![paid("shown"), paid("unseen"), event("open", "e1")]).await.unwrap();
    store.close().await;
    // A row with a final result has a checksum of more than that version knew of.
    Connection::open(folder.path()).unwrap().execute("UPDATE payments SET checksum = NULL WHERE final", []).unwrap();
    let older = older(&folder, 3);
    let store = older.open(OPTIONS).unwrap();
    for order in ["shown", "unseen", "open"] {
        let timeline = store.timeline(&event(order, "e1").key).await.unwrap();
        assert_eq!((timeline.payment.unwrap().version, timeline.entries.len()), (1, 0));
        let note = Note { key: event(order, "e1").key, at_ms: 1_000, what: NoteKind::Watched(PAGE) };
        store.record(vec![note]).await.unwrap();
        store.acknowledge(&event("shown", "e1").key, 1, PAGE).await.unwrap();
    }
    assert_eq!(store.escalate(4_000_000_000_000, 10).await.unwrap().messages, 1);
    let ids: Vec<_> = store.outbox_lease(10, 1).await.unwrap().into_iter().map(|message| message.message_id).collect();
    assert_eq!(ids, ["payment.delivered:shop:shown:1", "payment.undelivered:shop:unseen:1"]);
}

#[tokio::test]
async fn acknowledgements_beyond_the_bound_are_refused_and_the_others_are_not_lost() {
    let folder = Folder::new();
    let store = Arc::new(folder.open(OPTIONS).unwrap());
    store.apply_events(events(0..1)).await.unwrap();
    let key = events(0..1).remove(0).key;
    let held = hold(&store).await;
    let mut acknowledging = tokio::task::JoinSet::new();
    for _ in 0..WRITES_WAITING_MAX {
        let (store, key) = (Arc::clone(&store), key.clone());
        acknowledging.spawn(async move { store.acknowledge(&key, 1, PAGE).await });
    }
    while store.writes.queue.sender().unwrap().capacity() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(store.acknowledge(&key, 1, PAGE).await, Err(Error::Overloaded)));
    drop(held);
    assert!(acknowledging.join_all().await.into_iter().all(|answer| answer.is_ok()));
}
