//! What is older than it is kept is removed, and what is younger stays.

use crate::support::{Page, Publisher, Setup, event, ticket, wait_for};

#[tokio::test]
async fn payments_are_forgotten_after_their_time_and_can_come_again() {
    let service = Setup::new().await.set("STORE__KEEP", "1s").start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for n in 0..50 {
        publisher.publish(&event(&format!("r-{n}"), "succeeded")).await;
    }
    wait_for("all are removed", async || {
        let removed = service.metric("payment_notifier_retired_total", "what=\"payments\"").await;
        assert!(removed <= 50.0, "{removed}");
        (removed == 50.0).then_some(())
    })
    .await;
    for n in 0..50 {
        let order = format!("r-{n}");
        let answer = service.payment(&order, &ticket(order.as_str()), "").await;
        assert_eq!((&answer.json["status"], &answer.json["version"]), (&"unknown".into(), &0.into()), "{order}");
    }
    // A page that waits is told, however soon it is removed again.
    let (mut page, _) = Page::subscribed(&service, &ticket("r-0")).await;
    publisher.publish(&event("r-0", "failed")).await;
    assert_eq!(page.payment().await["status"], "failed");
}

#[tokio::test]
async fn a_timeline_is_forgotten_before_its_payment_where_it_is_kept_for_less() {
    let service = Setup::new().await.set("TIMELINE__KEEP", "1s").start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event("r-timeline", "succeeded")).await;
    wait_for("its entry is removed", async || {
        (service.metric("payment_notifier_retired_total", "what=\"entries\"").await >= 1.0).then_some(())
    })
    .await;
    service.payment_with_status("r-timeline", &ticket("r-timeline"), "succeeded").await;
    assert_eq!(service.metric("payment_notifier_retired_total", "what=\"payments\"").await, 0.0);
}
