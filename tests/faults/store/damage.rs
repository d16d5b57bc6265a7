//! A database file that was cut or changed, under the real program: refused at the start in one line, or found when it is
//! read, and never a wrong answer.

use std::path::Path;

use serde_json::json;

use crate::ledger::row;
use crate::support::process::Process;
use crate::support::{Page, Publisher, Service, Setup, event, ticket, wait_for};

const PAYMENTS: usize = 300;

/// A service that was stopped in order, with that many payments in its file.
async fn stopped() -> Service {
    let mut service = Setup::new().await.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for n in 0..PAYMENTS {
        let mut paid = event(&format!("damage-{n}"), "succeeded");
        paid["amount"] = json!({ "value": 100_000 + n, "currency": "CNY" });
        publisher.publish(&paid).await;
    }
    let last = format!("damage-{}", PAYMENTS - 1);
    service.payment_with_status(&last, &ticket(last.as_str()), "succeeded").await;
    service.terminate();
    assert!(service.wait_end().await.success());
    service
}

/// Starts it on `bytes`: the one line that it says and ends with.
async fn refused(setup: &Setup, database: &Path, bytes: &[u8]) -> String {
    std::fs::write(database, bytes).unwrap();
    let mut serve = Process::start(setup.command(&["serve"]));
    wait_for(&format!("the program ends on {} bytes", bytes.len()), async || serve.ended()).await;
    let status = serve.wait().await;
    let lines = serve.logs().lines();
    assert!(!status.success() && lines.len() == 1, "{status}: {lines:?}");
    assert!(lines[0].contains("payments.db"), "{lines:?}");
    assert_eq!(std::fs::read(database).unwrap(), bytes, "it is left as it is");
    lines[0].clone()
}

/// Kinds of pages: the leaves of tables and those of indexes.
const TABLE_LEAF: u8 = 0x0d;
const INDEX_LEAF: u8 = 0x0a;

/// Where a text stands on pages of that kind: once where it counts, and wherever a page was divided since.
fn occurrences(bytes: &[u8], text: &[u8], page_kind: u8) -> Vec<usize> {
    let places = bytes.windows(text.len()).enumerate().filter(|(_, part)| *part == text).map(|(place, _)| place);
    let places: Vec<usize> = places.filter(|place| bytes[place / 4096 * 4096] == page_kind).collect();
    assert!(!places.is_empty(), "the text is in the file");
    places
}

#[tokio::test]
async fn a_file_that_was_cut_is_refused_in_one_line() {
    let mut service = stopped().await;
    let database = service.database();
    let whole = std::fs::read(&database).unwrap();
    let half = whole.len() / 2 / 4096 * 4096;
    let cuts = [0, 99, 100, 512, 4096, 8192, half, half + 1000, whole.len() - 4096];
    for length in cuts {
        let line = refused(&service.setup, &database, &whole[..length]).await;
        assert!(line.contains("damaged") || line.contains("malformed"), "{length}: {line}");
    }
    let mut other_head = whole.clone();
    other_head[..16].copy_from_slice(b"SQLite format 9\0");
    refused(&service.setup, &database, &other_head).await;
    // An entry of the index: it would hide a payment from whoever asks for it.
    let mut other_index = whole.clone();
    for place in occurrences(&whole, b"shopdamage-7", INDEX_LEAF) {
        other_index[place + 5] ^= 0x02;
    }
    let line = refused(&service.setup, &database, &other_index).await;
    assert!(line.contains("index") || line.contains("payments"), "{line}");

    std::fs::write(&database, &whole).unwrap();
    service.start_again().await;
    assert_eq!(service.payment("damage-7", &ticket("damage-7"), "").await.json["status"], "succeeded");
    row(&format!("database-cut runs={} lost=0 refused={}", cuts.len() + 2, cuts.len() + 2));
}

#[tokio::test]
async fn a_changed_digit_is_found_named_and_not_acknowledged_over_and_gone_once_it_is_put_right() {
    let mut service = stopped().await;
    let database = service.database();
    let whole = std::fs::read(&database).unwrap();
    let mut damaged = whole.clone();
    // 1000.07 yuan become 9000.07.
    for place in occurrences(&whole, b"\"value\":100007", TABLE_LEAF) {
        damaged[place + b"\"value\":".len()] = b'9';
    }
    std::fs::write(&database, &damaged).unwrap();
    service.start_again().await;

    let ticket = ticket(json!(["damage-7", "damage-8"]));
    let answer = service.payment("damage-7", &ticket, "").await;
    answer.assert_problem(503, "unavailable");
    wait_for("the log names the payment", async || {
        let complaints = service.logs().complaints();
        complaints.iter().any(|line| line.contains("checksum") && line.contains("damage-7")).then_some(())
    })
    .await;
    assert_eq!(service.payment("damage-8", &ticket, "").await.json["amount"]["value"], 100_008);
    let (mut page, _) = Page::subscribed(&service, &crate::support::ticket("damage-8")).await;

    let publisher = Publisher::connect(service.vhost()).await;
    let mut refund = event("damage-7", "succeeded");
    refund["refund"] = json!({ "status": "full" });
    publisher.publish(&refund).await;
    let held = wait_for("the event is held and the log names its order", async || {
        let lines = service.logs().json();
        lines.into_iter().find(|line| line["level"] == "ERROR" && line["fields"]["event_id"] == refund["event_id"])
    })
    .await;
    assert_eq!((&held["fields"]["merchant_id"], &held["fields"]["order_id"]), (&json!("shop"), &json!("damage-7")));
    assert!(held["fields"]["error"].as_str().unwrap().contains("checksum"), "{held}");
    let mut other = event("damage-8", "succeeded");
    other["refund"] = json!({ "status": "full" });
    publisher.publish(&other).await;
    assert_eq!(page.payment().await["refund"]["status"], "full", "events of others go on");
    service.metric_is("payment_notifier_events_held", "", 1.0).await;
    let ready = service.admin_get("/readyz").await;
    assert_eq!(ready.status, 200, "a fault of one payment is none of the node: {}", ready.text);
    let letters = service.vhost().get("queues", "payment-notifier.dead-letters").await;
    assert_eq!(letters["messages"].as_u64().unwrap_or(0), 0, "{letters}");

    service.kill9().await;
    for log in ["db-wal", "db-shm"] {
        drop(std::fs::remove_file(database.with_extension(log)));
    }
    std::fs::write(&database, &whole).unwrap();
    service.start_again().await;
    let payment = wait_for("the event that waited is applied", async || {
        let payment = service.payment("damage-7", &ticket, "").await.json;
        (payment["refund"]["status"] == "full").then_some(payment)
    })
    .await;
    assert_eq!((&payment["version"], &payment["amount"]["value"]), (&json!(2), &json!(100_007)));
    row("digit-changed runs=1 lost=0");
}
