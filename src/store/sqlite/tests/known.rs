//! What is answered without reading the file, and that it is never anything else than what the file says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::{Folder, OPTIONS, event, events, hold, trust_ends};
use crate::payment::{Display, Key, Timestamp};
use crate::store::PaymentStore;
use crate::store::sqlite::Sqlite;
use crate::store::sqlite::known::Answer;

fn key(order: &str) -> Key {
    event(order, "e1").key
}

/// Asks until it is so, each time after the writer has looked at the file.
async fn until(store: &Sqlite, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        store.check().await.unwrap();
        if holds() {
            return;
        }
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
    }
}

fn is_answered(store: &Sqlite, order: &str, version: Option<u64>) -> bool {
    match store.known.look(&key(order)) {
        Answer::Known(payment) => {
            assert_eq!(payment.map(|payment| payment.version), version, "{order}");
            true
        }
        Answer::Unknown(_) => false,
    }
}

async fn version(store: &Sqlite, order: &str) -> Option<u64> {
    store.read(&key(order)).await.unwrap().map(|payment| payment.version)
}

#[tokio::test]
async fn an_order_that_is_not_there_and_one_of_just_now_are_answered_without_reading() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    until(&store, "an empty file holds nothing", || is_answered(&store, "o0", None)).await;
    store.apply_events(events(0..1)).await.unwrap();
    until(&store, "what was committed is known", || is_answered(&store, "o0", Some(1))).await;
    trust_ends();
    assert!(!is_answered(&store, "o0", Some(1)) && !is_answered(&store, "o1", None), "for a short time");
    store.close().await;
    assert!(!is_answered(&store, "o0", Some(1)) && store.read(&key("o1")).await.is_err());
}

#[tokio::test]
async fn a_file_from_before_is_looked_through_and_what_it_holds_is_read() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    for orders in [0..2_500, 2_500..5_000] {
        store.apply_events(events(orders)).await.unwrap();
    }
    store.close().await;

    let store = folder.open(OPTIONS).unwrap();
    assert_eq!(version(&store, "o4999").await, Some(1));
    until(&store, "the file was looked through", || store.known.is_absent(&key("absent"))).await;
    assert!((0..5_000).all(|n| !store.known.is_absent(&key(&format!("o{n}")))));
    let outcomes = store.apply_events(vec![event("o17", "e2"), event("absent", "e1")]).await.unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.payment.version).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn what_another_program_writes_is_seen() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let other_store = elsewhere.open(OPTIONS).unwrap();
    other_store.apply_events(events(7..8)).await.unwrap();
    other_store.close().await;
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..2)).await.unwrap();
    until(&store, "o7 is not there", || is_answered(&store, "o7", None)).await;

    let other = Connection::open(folder.path()).unwrap();
    other.execute("DELETE FROM payments WHERE order_id = 'o0'", []).unwrap();
    other.execute("ATTACH ?1 AS elsewhere", params![elsewhere.path().to_str().unwrap()]).unwrap();
    let columns =
        "merchant_id, order_id, version, status, final, acked_version, created_ms, changed_ms, state, checksum";
    let insert = format!("INSERT INTO main.payments ({columns}) SELECT {columns} FROM elsewhere.payments");
    assert_eq!(other.execute(&insert, []).unwrap(), 1);
    trust_ends();
    assert_eq!((version(&store, "o0").await, version(&store, "o7").await), (None, Some(1)));
    let outcomes = store.apply_events(vec![event("o7", "e2"), event("o0", "e2")]).await.unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.payment.version).collect::<Vec<_>>(), [2, 1]);
    until(&store, "the file was looked through again", || store.known.is_absent(&key("absent"))).await;
}

#[tokio::test]
async fn a_writer_that_is_held_up_is_asked_once_by_all_who_read() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..1)).await.unwrap();
    let release = hold(&store).await;
    let room = || store.writes.queue.sender().unwrap().capacity();
    let before = room();
    for _ in 0..5 {
        trust_ends();
        assert_eq!(version(&store, "o0").await, Some(1));
    }
    assert_eq!(room(), before - 1);
    drop(release);
    until(&store, "it is asked again once it has looked", || is_answered(&store, "o0", Some(1))).await;
    trust_ends();
    assert!(store.known.ask().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_answered_a_version_before_one_that_was_answered() {
    let folder = Folder::new();
    let store = Arc::new(folder.open(OPTIONS).unwrap());
    let stored = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let order = std::sync::atomic::Ordering::SeqCst;
    let runtime = tokio::runtime::Handle::current();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, stored) = (Arc::clone(&store), Arc::clone(&stored));
            runtime.spawn(async move {
                loop {
                    let before = stored.load(order);
                    let read = version(&store, "o0").await.unwrap_or(0);
                    assert!(read >= before, "version {read} after {before} was answered");
                    if before == 300 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 1..=300 {
        let mut event = event("o0", &format!("e{n}"));
        // Half of them with a text that is not kept in memory.
        let display = format!(r#"{{"text":"{}"}}"#, "x".repeat(if n % 2 == 0 { 2_000 } else { 10 }));
        event.display = Some(Display::new(serde_json::from_str(&display).unwrap()));
        event.occurred_at = Timestamp::parse(&format!("2026-01-31T08:{:02}:{:02}Z", n / 60, n % 60)).unwrap();
        let outcomes = store.apply_events(vec![event]).await.unwrap();
        assert_eq!(outcomes[0].payment.version, n);
        stored.store(n, order);
    }
    for reader in readers {
        reader.await.unwrap();
    }
}
