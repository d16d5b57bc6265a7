//! Acknowledgements that cannot be written, as on a connection that the broker has blocked or whose peer takes nothing:
//! what is stored is shown all the same.

use crate::ledger::{PATIENCE, row};
use crate::support::{Page, Proxy, Publisher, Setup, event, ticket, wait_for, wait_up_to};

#[tokio::test]
async fn what_is_stored_is_shown_while_no_acknowledgement_can_be_written() {
    let proxy = Proxy::start();
    let setup = Setup::new().await.through(&proxy).set("AMQP__HEARTBEAT_S", 60).set("AMQP__LAG_INTERVAL_S", 600);
    let mut service = setup.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let unacknowledged = async |count: f64| {
        wait_for("acknowledgements wait or have left", async || {
            (service.metric("payment_notifier_deliveries_unacknowledged", "").await == count).then_some(())
        })
        .await;
    };
    let mut pages = Vec::new();
    for n in 0..4 {
        pages.push(Page::subscribed(&service, &ticket(format!("unwritten-{n}"))).await.0);
    }
    publisher.publish(&event("unwritten-0", "succeeded")).await;
    assert_eq!(pages[0].payment().await["status"], "succeeded");
    unacknowledged(0.0).await;

    proxy.block_clients();
    // The second is shown although the first is stored and its acknowledgement is under way.
    for (n, page) in pages.iter_mut().enumerate().take(3).skip(1) {
        publisher.publish(&event(&format!("unwritten-{n}"), "succeeded")).await;
        assert_eq!(page.payment().await["status"], "succeeded");
        unacknowledged(n as f64).await;
    }
    proxy.unblock_clients();
    unacknowledged(0.0).await;
    assert_eq!(service.metric("payment_notifier_acks_lost_total", "").await, 0.0);
    service.metric_is("payment_notifier_broker_connects_total", "ok", 1.0).await;

    // The end waits for them no longer than it may, and what was not acknowledged comes again.
    proxy.block_clients();
    publisher.publish(&event("unwritten-3", "succeeded")).await;
    assert_eq!(pages[3].payment().await["status"], "succeeded");
    service.terminate();
    let status = service.wait_end().await;
    assert!(status.success(), "{status}");
    service.start_again().await;
    wait_up_to(PATIENCE, "it comes again and changes nothing", async || {
        (service.metric("payment_notifier_events_total", "duplicate").await == 1.0).then_some(())
    })
    .await;
    assert_eq!(service.payment("unwritten-3", &ticket("unwritten-3"), "").await.json["version"], 1);
    row("acknowledgements-unwritten runs=2 lost=0");
}
