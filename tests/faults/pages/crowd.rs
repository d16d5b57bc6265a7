//! Five thousand pages that lose their service at one moment and come back at one moment.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::task::JoinSet;

use super::memory::resident_bytes;
use crate::ledger::row;
use crate::support::{Heard, Page, Publisher, Service, Setup, event, ticket};

const PAGES: usize = 5000;
/// Orders that they watch: each page has a ticket for one of them, and a ticket holds no more than 32 pages.
const ORDERS: usize = 250;
/// Far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Subscribes; tries again as real pages do, after a moment. The page and the payment as it stands.
async fn come(http: std::net::SocketAddr, ticket: &str) -> (Page, serde_json::Value) {
    loop {
        if let Ok((mut page, _)) = Page::open_at(http, "/v1/ws", &[]).await {
            page.flood(&json!({ "type": "subscribe", "ticket": ticket }), 1).await;
            if let Heard::Frame(frame) = page.hear().await
                && frame["type"] == "subscribed"
            {
                return (page, frame["payment"].clone());
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn all_come(service: &Service, tickets: &[String]) -> (Vec<(usize, Page)>, Duration) {
    let began = Instant::now();
    let mut coming = JoinSet::new();
    for n in 0..PAGES {
        let (http, ticket) = (service.http, tickets[n % ORDERS].clone());
        coming.spawn(async move { (n % ORDERS, come(http, &ticket).await) });
    }
    let mut pages = Vec::new();
    let all = async {
        while let Some(came) = coming.join_next().await {
            let (order, (page, payment)) = came.expect("no page panics");
            assert_eq!(payment["status"], "processing", "each gets its state: {payment}");
            pages.push((order, page));
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("all come in time");
    (pages, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_pages_come_back_at_once_and_each_gets_its_state() {
    assert!(payment_notifier::runtime::raise_open_files() > 6000, "the test itself needs that many files");
    // Nobody reads before all are there.
    let mut service = Setup::new().await.set("HTTP__SILENT_S", 600).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let order = |n: usize| format!("crowd-{n}");
    publisher.publish_all((0..ORDERS).map(|n| event(&order(n), "processing"))).await;
    for n in 0..ORDERS {
        service.payment_with_status(&order(n), &ticket(order(n)), "processing").await;
    }
    let tickets: Vec<String> = (0..ORDERS).map(|n| ticket(order(n))).collect();
    let (before, _) = all_come(&service, &tickets).await;
    service.metric_is("payment_notifier_pages_waiting", "websocket", 5000.0).await;

    service.kill9().await;
    drop(before);
    service.start_again().await;
    let (pages, took) = all_come(&service, &tickets).await;
    let memory = resident_bytes(service.pid()) >> 20;
    publisher.publish_all((0..ORDERS).map(|n| event(&order(n), "succeeded"))).await;
    let told = stream::iter(pages).map(|(_, mut page)| async move {
        assert_eq!(page.payment().await["status"], "succeeded");
    });
    let told = told.buffer_unordered(PAGES).count().await;
    assert_eq!(told, PAGES);
    row(&format!("pages-come-back runs={PAGES} lost=0 pause_ms={} memory_mib={memory}", took.as_millis()));
}
