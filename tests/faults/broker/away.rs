//! A broker that is away for a quarter of an hour, by as many attempts to reach it: lapin leaves a thread behind for each
//! that is given up, unless it is kept from it.

use crate::ledger::{Ledger, PATIENCE};
use crate::support::{Proxy, Service, Setup, wait_up_to};

/// 15 minutes at the default settings: attempts are 15 s apart once the wait has grown, less some jitter, and the publisher
/// makes as many.
const ATTEMPTS: f64 = 120.0;

/// With a peer that accepts and says nothing, each attempt lasts `amqp.connect_timeout_s` more.
const SILENT_ATTEMPTS: f64 = 40.0;

/// Memory that an allocator may keep.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// A runtime may start a few more threads for blocking work.
const MORE_THREADS_MAX: u64 = 4;

async fn attempts(service: &Service) -> f64 {
    service.metric("payment_notifier_broker_connects_total", "error").await
}

async fn after(service: &Service, count: f64) {
    let until = attempts(service).await + count;
    wait_up_to(PATIENCE, "the attempts are made", async || (attempts(service).await >= until).then_some(())).await;
}

fn assert_same_size(service: &Service, before: (u64, u64)) {
    let (threads, resident_kib) = (service.status("Threads"), service.status("VmRSS"));
    let text = format!("{threads} threads and {resident_kib} KiB, from {before:?}");
    assert!(threads <= before.0 + MORE_THREADS_MAX && resident_kib <= before.1 + GROWTH_KIB_MAX, "{text}");
}

#[tokio::test]
async fn broker_away_for_15_minutes_grows_neither_threads_nor_memory() {
    let proxy = Proxy::start();
    let setup = Setup::new().await.through(&proxy).set("AMQP__RETRY_FIRST_MS", 20).set("AMQP__RETRY_LONGEST_MS", 50);
    let service = setup.start().await;
    let ledger = Ledger::open("broker-away", &service).await;
    proxy.refuse();
    after(&service, 20.0).await;
    let before = (service.status("Threads"), service.status("VmRSS"));
    after(&service, ATTEMPTS).await;
    assert_same_size(&service, before);
    proxy.cut_and_pass();
    ledger.flows().await;
    ledger.prove(&service, 1).await;
}

#[tokio::test]
async fn silent_peer_for_15_minutes_grows_neither_threads_nor_memory() {
    let proxy = Proxy::start();
    let setup = Setup::new().await.through(&proxy).set("AMQP__CONNECT_TIMEOUT_S", 1).set("AMQP__HEARTBEAT_S", 1);
    let service = setup.set("AMQP__RETRY_FIRST_MS", 20).set("AMQP__RETRY_LONGEST_MS", 50).start().await;
    let ledger = Ledger::open("silent-peer", &service).await;
    proxy.silence();
    after(&service, 3.0).await;
    let before = (service.status("Threads"), service.status("VmRSS"));
    after(&service, SILENT_ATTEMPTS).await;
    assert_same_size(&service, before);
    proxy.cut_and_pass();
    ledger.flows().await;
    ledger.prove(&service, 1).await;
}
