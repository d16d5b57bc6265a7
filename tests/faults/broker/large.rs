//! Messages far beyond what a payment result may be.

use lapin::BasicProperties;

use crate::ledger::Ledger;
use crate::support::{Publisher, Service};

const LARGE_BYTES: usize = 16 * 1024 * 1024;
const RUNS: usize = 4;

/// What is in flight is held once as it came and once on its way out.
const GROWTH_KIB_MAX: u64 = (2 * RUNS as u64 + 1) * LARGE_BYTES as u64 / 1024;

#[tokio::test]
async fn message_of_16_mib_is_put_aside_in_bounded_memory() {
    let service = Service::start().await;
    let ledger = Ledger::open("message-16-mib", &service).await;
    let publisher = Publisher::connect(service.vhost()).await;
    let before = service.status("VmHWM");
    for _ in 0..RUNS {
        publisher.publish_bytes(&vec![b' '; LARGE_BYTES], BasicProperties::default()).await;
    }
    crate::support::wait_for("they are put aside", async || {
        let count = service.metric("payment_notifier_dead_letters_total", "too_large").await;
        (count >= 4.0).then_some(())
    })
    .await;
    let grown = service.status("VmHWM") - before;
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB more");
    assert!(service.metric("payment_notifier_large_bodies_total", "").await >= 4.0);
    assert!(service.logs().text().contains("set max_message_size"), "the log says what to do");
    ledger.flows().await;
    ledger.prove(&service, RUNS).await;
}
