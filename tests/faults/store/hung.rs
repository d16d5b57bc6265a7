//! A disk that hangs answers neither yes nor no. Whoever waits for it is told so within a bound, nothing is acknowledged
//! that is not on it, and what waits is done when it answers again.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::ledger::row;
use crate::powerloss::{Disk, Entries, Hang, PostgresOnDisk};
use crate::support::{MERCHANT, Publisher, Service, Setup, event, ticket, wait_for, wait_up_to};

/// For an answer of the store, as set here.
const ANSWER_S: u64 = 4;
/// Beyond that, for machines that do other things too.
const SLACK: Duration = Duration::from_secs(8);
/// docs/operations/health.md, with the drain of these tests.
const STOP: Duration = Duration::from_secs(51);

async fn on(disk: &Disk) -> Service {
    let store = format!("sqlite://{}", disk.path().join("data/payments.db").display());
    Setup::new().await.set("STORE__URL", store).set("STORE__ANSWER_TIMEOUT_S", ANSWER_S).start().await
}

fn disk(row_name: &str) -> Option<Disk> {
    Disk::mount(Entries::Journal).inspect_err(|why| row(&format!("{row_name} left out: {why}"))).ok()
}

/// A call that has to be answered by 503 in time.
async fn is_refused_in_time(what: &str, call: impl Future<Output = crate::support::Answer>) {
    let began = Instant::now();
    let answer = call.await;
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    assert!(began.elapsed() < Duration::from_secs(ANSWER_S) + SLACK, "{what}: after {:?}", began.elapsed());
}

async fn is_unready_for_the_store(service: &Service) {
    service.wait_unready_for(&[r#""store":"#, "no answer"]).await;
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_of_in_time_and_nothing_is_lost_when_it_is_back() {
    let Some(disk) = disk("disk-hangs") else { return };
    let service = on(&disk).await;
    let _let_go = disk.let_go_at_last();
    let publisher = Publisher::connect(service.vhost()).await;
    let known = ticket("hung-known");
    publisher.publish(&event("hung-known", "succeeded")).await;
    service.payment_with_status("hung-known", &known, "succeeded").await;

    let began = Instant::now();
    disk.hang(Hang::Syncs);
    is_unready_for_the_store(&service).await;
    let unready_ms = began.elapsed().as_millis();
    let fresh = ticket("hung-fresh");
    publisher.publish(&event("hung-fresh", "succeeded")).await;
    assert_eq!(service.payment("hung-known", &known, "").await.json["status"], "succeeded", "reads go on");
    let ack = json!({ "version": 1 });
    is_refused_in_time("an acknowledgement", service.post("/v1/payments/hung-known/ack", &known, &ack)).await;
    let revoked = json!({ "merchant_id": MERCHANT, "order_id": "hung-revoked" });
    is_refused_in_time("a revocation", service.admin_post("/v1/revocations", &revoked)).await;
    service.payment("hung-revoked", &ticket("hung-revoked"), "").await.assert_problem(403, "forbidden");
    wait_for("the event is not acknowledged", async || {
        let queue = service.vhost().get("queues", "payment-notifier.results").await;
        queue["messages_unacknowledged"].as_u64().filter(|messages| *messages > 0)
    })
    .await;
    assert_eq!(service.payment("hung-fresh", &fresh, "").await.json["status"], "unknown");

    let began = Instant::now();
    disk.hang(Hang::Nothing);
    service.payment_with_status("hung-fresh", &fresh, "succeeded").await;
    let pause_ms = began.elapsed().as_millis();
    service.wait_ready().await;

    disk.hang(Hang::Everything);
    wait_for("a page is told that it cannot be read", async || {
        let began = Instant::now();
        let answer = service.payment("hung-known", &known, "").await;
        assert!(began.elapsed() < Duration::from_secs(ANSWER_S) + SLACK, "after {:?}", began.elapsed());
        (answer.status == 503).then_some(())
    })
    .await;
    is_refused_in_time("an order's timeline", service.admin_get(&format!("/v1/orders/{MERCHANT}/hung-known"))).await;
    is_unready_for_the_store(&service).await;
    disk.hang(Hang::Nothing);
    service.wait_ready().await;
    service.payment_with_status("hung-known", &known, "succeeded").await;
    assert_eq!(service.metric("payment_notifier_dead_letters_total", "").await, 0.0);
    row(&format!("disk-hangs runs=2 lost=0 pause_ms={pause_ms} unready_ms={unready_ms}"));
}

/// A thread that waits for a disk cannot be ended by any signal: the kernel keeps it, and with it the process, until the
/// disk answers. All that is of the process's own doing is over when its first thread is a zombie.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
}

#[tokio::test]
async fn a_disk_that_hangs_does_not_keep_a_service_that_is_told_to_stop() {
    let Some(disk) = disk("stop-while-disk-hangs") else { return };
    let mut service = on(&disk).await;
    let _let_go = disk.let_go_at_last();
    let publisher = Publisher::connect(service.vhost()).await;
    disk.hang(Hang::Syncs);
    publisher.publish(&event("stop-held", "succeeded")).await;
    wait_for("the disk hangs", async || (disk.hanging_syncs() > 0).then_some(())).await;
    let began = Instant::now();
    service.terminate();
    let pid = service.pid();
    wait_up_to(STOP, "the service ends", async || has_ended(pid).then_some(())).await;
    let stop_ms = began.elapsed().as_millis();
    disk.hang(Hang::Nothing);
    let status = service.wait_end().await;
    assert_eq!(status.code(), Some(1), "{}", service.logs().text());
    assert!(service.logs().text().contains("the store did not close in"), "{}", service.logs().text());
    service.start_again().await;
    service.payment_with_status("stop-held", &ticket("stop-held"), "succeeded").await;
    row(&format!("stop-while-disk-hangs runs=1 lost=0 stop_ms={stop_ms}"));
}

#[tokio::test]
async fn a_postgresql_whose_disk_hangs_keeps_neither_pages_nor_a_service_that_is_told_to_stop() {
    let Some(disk) = disk("postgresql-disk-hangs") else { return };
    let mut server = match PostgresOnDisk::create(&disk, &[]) {
        Ok(server) => server,
        Err(why) => return row(&format!("postgresql-disk-hangs left out: {why}")),
    };
    server.start();
    assert!(server.is_up().await, "{}", server.logs());
    let setup = Setup::new().await.set("STORE__URL", server.url()).set("STORE__ANSWER_TIMEOUT_S", ANSWER_S);
    let mut service = setup.set("STORE__POSTGRES_TIMEOUT_S", 3).start().await;
    let _let_go = disk.let_go_at_last();
    let publisher = Publisher::connect(service.vhost()).await;
    let known = ticket("pg-hung-known");
    publisher.publish(&event("pg-hung-known", "succeeded")).await;
    service.payment_with_status("pg-hung-known", &known, "succeeded").await;

    disk.hang(Hang::Syncs);
    is_unready_for_the_store(&service).await;
    publisher.publish(&event("pg-hung-fresh", "succeeded")).await;
    assert_eq!(service.payment("pg-hung-known", &known, "").await.json["status"], "succeeded", "reads go on");
    let ack = json!({ "version": 1 });
    is_refused_in_time("an acknowledgement", service.post("/v1/payments/pg-hung-known/ack", &known, &ack)).await;
    let began = Instant::now();
    service.terminate();
    wait_up_to(STOP, "the service ends", async || service.has_ended().then_some(())).await;
    let stop_ms = began.elapsed().as_millis();
    disk.hang(Hang::Nothing);
    service.start_again().await;
    service.payment_with_status("pg-hung-fresh", &ticket("pg-hung-fresh"), "succeeded").await;
    row(&format!("postgresql-disk-hangs runs=1 lost=0 stop_ms={stop_ms}"));
}
