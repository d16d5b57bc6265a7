//! A thousand pages that never read: what is kept for them has a bound, and nobody else waits for them.

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::memory::resident_bytes;
use crate::ledger::row;
use crate::support::raw::RawSocket;
use crate::support::{Heard, Page, Publisher, Setup, event, ticket, wait_for};

const DEAF: usize = 1000;
const DEAF_ORDERS: usize = 40;
const ROUNDS: usize = 30;
const DISPLAY_BYTES: usize = 2000;

/// What one page may hold: the write buffer (256 KiB), the read buffer, the slot and the task.
const PAGE_BYTES_MAX: u64 = 300 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pages_that_never_read_cost_no_more_than_their_bounds() {
    assert!(payment_notifier::runtime::raise_open_files() > 4000, "the test itself needs that many files");
    let service = Setup::new().await.set("HTTP__WRITE_TIMEOUT_S", 3).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let (mut page, _) = Page::subscribed(&service, &ticket("hears")).await;
    let before = resident_bytes(service.pid());

    let order = |n: usize| format!("deaf-{}", n % DEAF_ORDERS);
    let opening = stream::iter(0..DEAF).map(|n| {
        let service = &service;
        async move {
            let mut socket = RawSocket::open(service, &format!("/v1/ws?ticket={}", ticket(order(n)))).await;
            assert!(matches!(socket.hear().await, Heard::Frame(_)));
            socket
        }
    });
    let deaf: Vec<RawSocket> = opening.buffer_unordered(32).collect().await;
    let waiting = async || service.metric("payment_notifier_pages_waiting", "websocket").await;
    assert_eq!(waiting().await, 1001.0);

    let mut most = resident_bytes(service.pid());
    for _ in 0..ROUNDS {
        for n in 0..DEAF_ORDERS {
            let mut large = event(&order(n), "processing");
            large["display"] = json!("x".repeat(DISPLAY_BYTES));
            publisher.publish(&large).await;
        }
        publisher.publish(&event("hears", "processing")).await;
        assert_eq!(page.payment().await["status"], "processing", "who reads is told");
        most = most.max(resident_bytes(service.pid()));
    }
    let bound = before + DEAF as u64 * PAGE_BYTES_MAX;
    assert!(most < bound, "{most} bytes, the bound is {bound}");
    // Enough for the kernel's buffers too: each of them is given up.
    for n in 0..DEAF_ORDERS * 400 {
        let mut large = event(&order(n), "processing");
        large["display"] = json!("x".repeat(DISPLAY_BYTES));
        publisher.publish(&large).await;
        if n % DEAF_ORDERS == 0 {
            publisher.publish(&event("hears", "processing")).await;
            page.payment().await;
            most = most.max(resident_bytes(service.pid()));
            if waiting().await == 1.0 {
                break;
            }
        }
    }
    wait_for("they are given up", async || (waiting().await == 1.0).then_some(())).await;
    publisher.publish(&event("hears", "succeeded")).await;
    page.payment_with_status("succeeded").await;
    assert!(most < bound, "{most} bytes, the bound is {bound}");
    let each = most.saturating_sub(before) / DEAF as u64 / 1024;
    row(&format!(
        "pages-that-never-read runs={DEAF} lost=0 memory_mib={}..{} kib_each={each}",
        before >> 20,
        most >> 20
    ));
    drop(deaf);
}
