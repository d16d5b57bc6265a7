//! A store that cannot be written is our fault, never the event's: nothing is put aside, nothing is lost, readiness says
//! why, and all goes on by itself.

use serde_json::json;

use crate::support::process::Process;
use crate::support::{Page, Publisher, Service, Setup, event, ticket};

#[tokio::test]
async fn a_full_disk_turns_readiness_false_and_no_event_is_lost_or_put_aside() {
    let service = Setup::new().await.with_file_size_errors().start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("disk-1", "processing")).await;
    let ticket = ticket(json!(["disk-1", "disk-2"]));
    service.payment_with_status("disk-1", &ticket, "processing").await;
    let (mut page, _) = Page::subscribed(&service, &crate::support::ticket("disk-2")).await;

    service.limit_file_bytes(Some(1));
    publisher.publish(&event("disk-1", "succeeded")).await;
    publisher.publish(&event("disk-2", "succeeded")).await;
    service.wait_unready_for(&["store"]).await;
    assert_eq!(service.payment("disk-1", &ticket, "").await.json["status"], "processing");
    let rejected = service.vhost().get("queues", "payment-notifier.dead-letters").await;
    assert_eq!(rejected["messages"].as_u64().unwrap_or(0), 0, "{rejected}");

    service.limit_file_bytes(None);
    assert_eq!(page.payment().await["status"], "succeeded");
    service.payment_with_status("disk-1", &ticket, "succeeded").await;
    service.wait_ready().await;
    assert_eq!(service.metric("payment_notifier_dead_letters_total", "").await, 0.0);
}

#[tokio::test]
async fn a_locked_database_pauses_consuming_without_spinning_and_recovers() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let lock = rusqlite::Connection::open(service.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    publisher.publish(&event("locked-1", "succeeded")).await;
    service.wait_unready_for(&["store"]).await;
    let deliveries = service.metric("payment_notifier_deliveries_total", "").await;
    assert!(deliveries <= 1.0, "not delivered again and again: {deliveries}");
    lock.execute_batch("ROLLBACK").unwrap();
    service.payment_with_status("locked-1", &ticket("locked-1"), "succeeded").await;
    service.wait_ready().await;
}

#[tokio::test]
async fn a_database_that_vanishes_is_a_fault_and_not_an_empty_one() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = ticket(json!(["moved-1", "moved-2"]));
    publisher.publish(&event("moved-1", "succeeded")).await;
    service.payment_with_status("moved-1", &ticket, "succeeded").await;
    let (here, away) = (service.database().parent().unwrap().to_owned(), service.setup.folder().join("away"));
    std::fs::rename(&here, &away).unwrap();
    publisher.publish(&event("moved-2", "succeeded")).await;
    service.wait_unready_for(&["store"]).await;
    let answer = service.payment("moved-1", &ticket, "").await;
    assert!(answer.status == 503 || answer.json["status"] == "succeeded", "never heard of: {}", answer.text);

    std::fs::rename(&away, &here).unwrap();
    service.payment_with_status("moved-2", &ticket, "succeeded").await;
    service.payment_with_status("moved-1", &ticket, "succeeded").await;
    service.wait_ready().await;
}

#[tokio::test]
async fn a_file_that_is_no_store_of_ours_is_one_line_and_a_non_zero_exit() {
    for foreign in
        ["not a database at all, but long enough to be looked at ".repeat(100).into_bytes(), foreign_database()]
    {
        let setup = Setup::new().await;
        let folder = setup.folder().join("data");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("payments.db"), &foreign).unwrap();
        let mut serve = Process::start(setup.command(&["serve"]));
        assert!(!serve.wait().await.success());
        let lines = serve.logs().lines();
        assert!(lines.len() == 1 && lines[0].contains("payments.db"), "{lines:?}");
        assert_eq!(std::fs::read(folder.join("payments.db")).unwrap(), foreign, "it is left as it is");
    }
}

fn foreign_database() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE invoices (id INTEGER PRIMARY KEY, total INTEGER)").unwrap();
    drop(database);
    std::fs::read(path).unwrap()
}
