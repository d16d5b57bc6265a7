//! Messages far beyond what a payment result may be.

use std::time::Duration;

use lapin::BasicProperties;
use serde_json::json;

use crate::ledger::{Ledger, row};
use crate::support::{Publisher, Service, Setup, event, ticket, wait_for, wait_up_to};

const DEAD_LETTERS: &str = "payment-notifier.dead-letters";
const MIB: usize = 1024 * 1024;
/// What RabbitMQ 4 takes where nothing else was set.
const LARGE_BYTES: usize = 16 * MIB;
const RUNS: usize = 4;
/// More than may be in memory at once.
const FLOOD: usize = 16;

/// What is in flight is held once as it came and once on its way out.
const GROWTH_KIB_MAX: u64 = (2 * RUNS as u64 + 1) * LARGE_BYTES as u64 / 1024;
/// 64 MiB of bodies that are not settled, the one that goes beyond them, twice while it grows, a copy on its way out, and the
/// room of two connections.
const FLOOD_KIB_MAX: u64 = (64 + 6 * 16) * 1024;

async fn too_large(service: &Service) -> usize {
    let count = service.metric("payment_notifier_dead_letters_total", "too_large").await;
    (0..=FLOOD).rev().find(|n| count >= f64::from(u32::try_from(*n).unwrap())).unwrap_or(0)
}

#[tokio::test]
async fn message_of_16_mib_is_put_aside_in_bounded_memory() {
    let service = Service::start().await;
    let ledger = Ledger::open("message-16-mib", &service).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let before = service.status("VmHWM");
    for _ in 0..RUNS {
        publisher.publish_bytes(&vec![b' '; LARGE_BYTES], BasicProperties::default()).await;
    }
    wait_for("they are put aside", async || (too_large(&service).await >= RUNS).then_some(())).await;
    let grown = service.status("VmHWM") - before;
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB more");
    service.metric_is("payment_notifier_large_bodies_total", "", 4.0).await;
    let is_told = async || service.logs().text().contains("max_message_size").then_some(());
    wait_for("the log says what to set", is_told).await;
    ledger.flows().await;
    ledger.prove(&service, RUNS).await;
}

#[tokio::test]
async fn a_flood_of_16_mib_stays_with_the_broker_until_what_was_read_is_settled() {
    // The exchange is looked for once, and not made again while this runs.
    let setup = Setup::new().await.set("AMQP__LAG_INTERVAL_S", 3600).set("AMQP__HEARTBEAT_S", 8);
    let service = setup.set("AMQP__CONFIRM_TIMEOUT_S", 60).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let before = service.status("VmHWM");
    // Nothing can be put aside, so nothing is settled, for longer than a connection lives that reads nothing.
    service.vhost().remove("exchanges", DEAD_LETTERS).await;
    for _ in 0..FLOOD {
        publisher.publish_bytes(&vec![b' '; LARGE_BYTES], BasicProperties::default()).await;
    }
    publisher.publish(&event("behind", "succeeded")).await;
    let read = async || service.metric("payment_notifier_large_bodies_total", "").await;
    wait_for("as many are read as may be", async || (read().await >= 4.0).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!((read().await, service.metric("payment_notifier_acks_lost_total", "").await), (4.0, 0.0));
    service.metric_is("payment_notifier_broker_connects_total", "ok", 1.0).await;
    service.vhost().put("exchanges", DEAD_LETTERS, &json!({ "type": "fanout", "durable": true })).await;
    service.vhost().bind(DEAD_LETTERS, DEAD_LETTERS).await;
    wait_up_to(Duration::from_secs(90), "they are put aside", async || {
        (too_large(&service).await >= FLOOD).then_some(())
    })
    .await;
    service.payment_with_status("behind", &ticket("behind"), "succeeded").await;
    let grown = service.status("VmHWM") - before;
    row(&format!("flood-of-16-mib runs={FLOOD} lost=0 grown_kib={grown}"));
    assert!(grown <= FLOOD_KIB_MAX, "{grown} KiB more");
    service.wait_ready().await;
}
