//! Timelines, the outbox and what is removed, as far as only a file can suffer by them.

use rusqlite::Connection;

use super::{Folder, OPTIONS, PAGE, act, event, events, hold, pages_max, trust_ends};
use crate::payment::{Event, Key, Status};
use crate::runtime::unix_ms;
use crate::store::{
    Arrival, Error, EscalatedOrders, Escalation, Inquiry, Note, NoteKind, Options, PaymentStore, PurgeBefore, Sqlite,
};

/// Later than anything that a test writes.
const LATER_MS: i64 = 4_000_000_000_000;

fn all_escalate() -> Options {
    Options { escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::All }, ..OPTIONS }
}

fn paid(order: &str, received_ms: i64) -> Arrival {
    let event = Event { status: Status::Succeeded, ..event(order, "e1") };
    Arrival { received_ms, ..Arrival::from(event) }
}

fn key(order: &str) -> Key {
    event(order, "e1").key
}

fn number(folder: &Folder, sql: &str) -> i64 {
    Connection::open(folder.path()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn purge_before(store: &Sqlite, before_ms: i64) {
    let before = PurgeBefore { payments_ms: before_ms, entries_ms: before_ms, unknown_ms: before_ms };
    while !store.purge(before, 50).await.unwrap().done {}
}

#[tokio::test]
async fn the_file_does_not_grow_with_the_generations_of_payments() {
    const ORDERS: u32 = 400;
    let folder = Folder::new();
    let store = folder.open(all_escalate()).unwrap();
    let mut pages = Vec::new();
    for generation in 0..12_u32 {
        let before_ms = unix_ms();
        while unix_ms() <= before_ms {
            std::thread::yield_now();
        }
        // Names that come in no order, since those of real orders need not.
        let orders: Vec<_> =
            (0..ORDERS).map(|n| format!("{:08x}", (generation * ORDERS + n).wrapping_mul(0x9e37_79b1))).collect();
        for (status, id) in [(Status::Pending, "e1"), (Status::Succeeded, "e2")] {
            let batch = orders.iter().map(|order| Event { status, ..event(order, id) });
            store.apply_events(batch.collect()).await.unwrap();
        }
        let note = |order, what| Note { key: key(order), at_ms: unix_ms(), what };
        let watched = orders.iter().map(|order| note(order, NoteKind::Watched(PAGE)));
        let pushed =
            orders.iter().map(|order| note(order, NoteKind::Pushed { page: PAGE, version: 2, after_ms: Some(1) }));
        store.record(watched.chain(pushed).collect()).await.unwrap();
        store.escalate(LATER_MS, 1_000).await.unwrap();
        let waiting = store.outbox_lease(1_000, 1).await.unwrap();
        assert_eq!(waiting.len(), orders.len());
        store.outbox_remove(waiting.into_iter().map(|message| message.id).collect()).await.unwrap();
        purge_before(&store, before_ms).await;
        assert_eq!(number(&folder, "SELECT count(*) FROM payments"), i64::from(ORDERS));
        pages.push(number(&folder, "PRAGMA page_count"));
    }
    assert_eq!(number(&folder, "SELECT count(*) FROM entries"), i64::from(ORDERS) * 4);
    assert_eq!(number(&folder, "SELECT count(*) FROM watched"), i64::from(ORDERS));
    // Two generations are there while the older one is removed, and free pages are never where they would be best.
    assert!(pages[11] <= pages[0] * 3 && pages[11] <= pages[5] * 11 / 10, "{pages:?}");
    purge_before(&store, LATER_MS).await;
    for table in ["payments", "entries", "watched", "outbox"] {
        assert_eq!(number(&folder, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    store.close().await;
    assert_eq!(
        Connection::open(folder.path()).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)),
        Ok("ok".to_owned())
    );
}

#[tokio::test]
async fn entries_of_a_clock_that_was_ahead_keep_no_later_ones() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    for n in 0..7 {
        store.apply_events(vec![event(&format!("o{n}"), "e1")]).await.unwrap();
    }
    let sql =
        format!("UPDATE entries SET at_ms = iif(id IN (SELECT id FROM entries ORDER BY id LIMIT 3), {LATER_MS}, 1)");
    Connection::open(folder.path()).unwrap().execute_batch(&sql).unwrap();
    let before = PurgeBefore { payments_ms: 0, entries_ms: 2, unknown_ms: 0 };
    while !store.purge(before, 2).await.unwrap().done {}
    assert_eq!(number(&folder, "SELECT count(*) FROM entries WHERE at_ms = 1"), 0);
    assert_eq!(number(&folder, "SELECT count(*) FROM entries"), 3);
}

#[tokio::test]
async fn a_damaged_result_is_not_escalated_and_holds_up_no_other() {
    let folder = Folder::new();
    let store = folder.open(all_escalate()).unwrap();
    store.apply(vec![paid("o0", 1_000), paid("o1", 2_000), paid("o2", 3_000)]).await.unwrap();
    let other = Connection::open(folder.path()).unwrap();
    other.execute("UPDATE payments SET state = '{}' WHERE order_id = 'o0'", []).unwrap();
    trust_ends();
    let step = store.escalate(63_000, 1).await.unwrap();
    assert_eq!((step.messages, step.damaged, step.done), (0, 1, false));
    assert_eq!(store.escalate(63_000, 2).await.unwrap().messages, 2);
    assert!(matches!(store.read(&key("o0")).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn when_a_result_is_escalated_is_covered_by_the_checksum() {
    let folder = Folder::new();
    let store = folder.open(all_escalate()).unwrap();
    let other = Connection::open(folder.path()).unwrap();
    for (n, damage) in [
        "escalate_ms = 7",
        "escalate_ms = NULL",
        "escalated = true",
        "settled_ms = 8",
        "settled_version = 2",
        "settled_version = NULL",
    ]
    .iter()
    .enumerate()
    {
        let order = format!("o{n}");
        store.apply(vec![paid(&order, 1_000)]).await.unwrap();
        other.execute(&format!("UPDATE payments SET {damage} WHERE order_id = '{order}'"), []).unwrap();
        trust_ends();
        let acknowledged = store.acknowledge(&key(&order), 1, PAGE).await;
        assert!(matches!(&acknowledged, Err(Error::Corrupt(why)) if why.contains("checksum")), "{acknowledged:?}");
    }
    assert_eq!(store.outbox_len().await.unwrap(), 0);
}

#[tokio::test]
async fn what_could_not_be_stored_is_not_published() {
    let folder = Folder::new();
    let store = folder.open(all_escalate()).unwrap();
    store.apply_events(events(0..10)).await.unwrap();
    act(&store, pages_max(1)).await;
    let many = || (0..1_000).map(|n| Inquiry { key: key(&format!("o{n}")), step: 1, waited_s: 5 }).collect();
    for _ in 0..3 {
        assert!(matches!(store.inquire(many()).await, Err(Error::Unavailable(_))));
        assert_eq!(store.outbox_len().await.unwrap(), 0);
    }
    act(&store, pages_max(1_000_000)).await;
    assert_eq!(store.inquire(many()).await.unwrap(), 1_000);
    assert_eq!(store.outbox_len().await.unwrap(), 1_000);
    assert_eq!(store.timeline(&key("o5")).await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn a_payment_that_an_operator_deletes_leaves_nothing_to_the_next() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store.apply_events(events(0..3)).await.unwrap();
    let other = Connection::open(folder.path()).unwrap();
    other.execute("DELETE FROM payments WHERE order_id = 'o2'", []).unwrap();
    store.apply_events(events(3..4)).await.unwrap();
    assert_eq!(store.timeline(&key("o3")).await.unwrap().entries.len(), 1);
    assert!(store.timeline(&key("o2")).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn what_a_transaction_took_out_of_the_outbox_that_failed_is_free() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store
        .inquire((0..3).map(|n| Inquiry { key: key(&format!("o{n}")), step: 1, waited_s: 5 }).collect())
        .await
        .unwrap();
    // In one transaction: the messages are taken, and what follows makes it fail, for a full disk.
    let held = hold(&store).await;
    let many = (0..60).map(|n| Inquiry { key: key(&format!("many-{n}")), step: 1, waited_s: 5 }).collect();
    let full = act(&store, pages_max(1));
    full.await;
    let (taken, inquired, ()) =
        tokio::join!(store.outbox_lease(10, 3_600_000), store.inquire(many), async { drop(held) });
    assert!(matches!(inquired, Err(Error::Unavailable(_))));
    let failed = taken.is_err();
    act(&store, pages_max(1_000_000)).await;
    let free = store.outbox_lease(10, 3_600_000).await.unwrap().len();
    assert_eq!((failed, free), (true, 3));
    assert_eq!(store.outbox_lease(10, 3_600_000).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_stays_and_holds_up_no_other() {
    let folder = Folder::new();
    let store = folder.open(OPTIONS).unwrap();
    store
        .inquire((0..5).map(|n| Inquiry { key: key(&format!("o{n}")), step: 1, waited_s: 5 }).collect())
        .await
        .unwrap();
    let other = Connection::open(folder.path()).unwrap();
    other.execute("UPDATE outbox SET body = CAST(x'ff80' AS TEXT) WHERE id = 1", []).unwrap();
    let taken = store.outbox_lease(2, 3_600_000).await.unwrap();
    assert_eq!(taken.iter().map(|message| message.id).collect::<Vec<_>>(), [2]);
    let taken = store.outbox_lease(2, 3_600_000).await.unwrap();
    assert_eq!(taken.iter().map(|message| message.id).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(store.outbox_len().await.unwrap(), 5);
}
