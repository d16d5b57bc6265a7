//! A page that does not read costs one slot and delays nobody, and is given up after its time.

use serde_json::json;

use crate::support::raw::RawSocket;
use crate::support::{Heard, Page, Publisher, Setup, event, ticket, wait_for};

/// Together far more than the service can write to a socket that is not read.
const EVENTS: usize = 2000;
const DISPLAY_BYTES: usize = 2000;

#[tokio::test]
async fn a_page_that_does_not_read_delays_nobody_and_is_given_up() {
    let service = Setup::new().await.set("HTTP__WRITE_TIMEOUT_S", 1).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut deaf = RawSocket::open(&service, &format!("/v1/ws?ticket={}", ticket("deaf-1"))).await;
    assert!(matches!(deaf.hear().await, Heard::Frame(_)));
    let (mut page, _) = Page::subscribed(&service, &ticket("quick-1")).await;
    let waiting = async || service.metric("payment_notifier_pages_waiting", "websocket").await;
    wait_for("both wait", async || (waiting().await == 2.0).then_some(())).await;

    for n in 0..EVENTS {
        let mut large = event("deaf-1", "processing");
        large["display"] = json!("x".repeat(DISPLAY_BYTES));
        publisher.publish(&large).await;
        if n % 100 == 0 {
            publisher.publish(&event("quick-1", "processing")).await;
            assert_eq!(page.payment().await["status"], "processing");
            if waiting().await == 1.0 {
                break;
            }
        }
    }
    wait_for("the page that does not read is given up", async || (waiting().await == 1.0).then_some(())).await;
    page.ping_pong().await;
}
