//! What older versions left in a file is worked on as if this one had written it.

use rusqlite::Connection;

use super::{Folder, OPTIONS, PAGE, event};
use crate::payment::{Change, Event, Status};
use crate::store::{Error, Inquiry, PaymentStore, PurgeBefore, Revoked};

const FILE_0_1_0: &str = include_str!("sqlite-0.1.0.sql");

fn file_0_1_0() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    Connection::open(folder.path()).unwrap().execute_batch(FILE_0_1_0).unwrap();
    folder
}

fn paid(order: &str, id: &str) -> Event {
    Event { status: Status::Succeeded, ..event(order, id) }
}

async fn kinds(store: &dyn PaymentStore, order: &str) -> Vec<String> {
    let entries = store.timeline(&event(order, "e").key).await.unwrap().entries;
    entries.iter().map(|entry| entry.what["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_file_of_0_1_0_keeps_its_payments_timelines_outbox_watches_and_revocations() {
    let folder = file_0_1_0();
    let store = folder.open(OPTIONS).unwrap();
    let key = |order: &str| event(order, "e").key;
    for (order, version, expected) in [
        ("open", 1, vec!["arrived", "inquired"]),
        ("due", 2, vec!["watched", "arrived", "arrived"]),
        ("shown", 1, vec!["watched", "arrived", "pushed", "acknowledged"]),
        ("unseen", 1, vec!["arrived"]),
        ("conflict", 1, vec!["arrived", "arrived", "conflict"]),
    ] {
        assert_eq!(store.read(&key(order)).await.unwrap().unwrap().version, version, "{order}");
        assert_eq!(kinds(&store, order).await, expected, "{order}");
    }
    assert_eq!(kinds(&store, "dead").await, ["dead_lettered"]);
    assert_eq!(kinds(&store, "waiting").await, ["inquired"]);
    assert_eq!(store.timeline(&key("shown")).await.unwrap().acked_version, 1);
    let mut revoked = store.revocations(1).await.unwrap();
    revoked.sort_by_key(|revocation| revocation.until_s);
    assert_eq!(revoked[0].revoked, Revoked::Order(key("open")));
    assert_eq!(revoked[1].revoked, Revoked::Ticket([7; 16]));

    let outbox: Vec<_> = store.outbox_lease(10, 1).await.unwrap().into_iter().map(|m| m.message_id).collect();
    assert_eq!(
        outbox,
        [
            "payment.conflict:shop:conflict:1:failed_and_canceled",
            "payment.delivered:shop:shown:1",
            "payment.inquiry:shop:waiting:0:2",
            "payment.inquiry:shop:open:1:1",
        ]
    );
    store.close().await;
    folder.open(OPTIONS).unwrap().close().await;
}

#[tokio::test]
async fn what_0_1_0_stored_goes_on_from_where_it_stood() {
    let folder = file_0_1_0();
    let store = folder.open(OPTIONS).unwrap();
    let key = |order: &str| event(order, "e").key;
    let open = store.apply_events(vec![event("open", "e1"), paid("open", "e2")]).await.unwrap();
    assert_eq!((open[0].change, open[1].payment.version), (Change::Duplicate, 2));
    let due = store.escalate(1_769_848_263_000, 10).await.unwrap();
    assert_eq!((due.messages, due.damaged, due.done), (1, 0, true));
    store.acknowledge(&key("unseen"), 1, PAGE).await.unwrap();
    let asked = |order: &str, step| Inquiry { key: key(order), step, waited_s: 9 };
    let asked = vec![asked("waiting", 2), asked("waiting", 3), asked("dead", 1)];
    assert_eq!(store.inquire(asked).await.unwrap(), 2, "a step that was published is not again");
    let all_ms = 4_000_000_000_000;
    let before = PurgeBefore { payments_ms: all_ms, entries_ms: all_ms, unknown_ms: all_ms };
    while !store.purge(before, 50).await.unwrap().done {}
    let file = Connection::open(folder.path()).unwrap();
    for table in ["payments", "entries", "watched"] {
        let left: i64 = file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
    assert_eq!(store.outbox_len().await.unwrap(), 8);
}

#[tokio::test]
async fn a_payment_of_0_1_0_that_an_operator_deletes_takes_its_timeline_with_it() {
    let folder = file_0_1_0();
    folder.open(OPTIONS).unwrap().close().await;
    let file = Connection::open(folder.path()).unwrap();
    file.execute("DELETE FROM payments WHERE order_id = 'shown'", []).unwrap();
    let left = "SELECT count(*) FROM entries WHERE payment_id = 3";
    assert_eq!(file.query_row(left, [], |row| row.get::<_, i64>(0)), Ok(0));
}

#[tokio::test]
async fn a_damaged_row_of_0_1_0_is_found() {
    let folder = file_0_1_0();
    let file = Connection::open(folder.path()).unwrap();
    file.execute("UPDATE payments SET final_ms = 7 WHERE order_id = 'due'", []).unwrap();
    drop(file);
    let store = folder.open(OPTIONS).unwrap();
    let read = store.read(&event("due", "e").key).await;
    assert!(matches!(&read, Err(Error::Corrupt(why)) if why.contains("checksum")), "{read:?}");
}

#[tokio::test]
async fn payments_of_0_1_0_are_found_by_the_providers_number() {
    let folder = file_0_1_0();
    let file = Connection::open(folder.path()).unwrap();
    let number = r#"UPDATE payments SET checksum = NULL, state = replace(state, '"head":{', '"head":{"provider_transaction_id":"42-' || order_id || '",')"#;
    file.execute(number, []).unwrap();
    file.execute("UPDATE payments SET state = state || '}' WHERE order_id = 'open'", []).unwrap();
    drop(file);
    let store = folder.open(OPTIONS).unwrap();
    let found = async |number: &str| store.orders_of_transaction(number, None).await.unwrap().orders.len();
    assert_eq!((found("42-due").await, found("42-shown").await, found("42-open").await), (1, 1, 0));
    store.close().await;
    let file = Connection::open(folder.path()).unwrap();
    file.execute("DELETE FROM payments WHERE order_id = 'due'", []).unwrap();
    let left = "SELECT count(*) FROM transactions WHERE transaction_id = '42-due'";
    assert_eq!(file.query_row(left, [], |row| row.get::<_, i64>(0)), Ok(0));
}
