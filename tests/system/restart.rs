//! What survives an end of the program, asked for or not, and of its connection to the broker or its disk.

use serde_json::json;

use crate::support::{EventStream, Heard, Page, Publisher, Service, Setup, event, ticket, wait_for};

#[tokio::test]
async fn a_restart_keeps_the_state_and_shows_what_was_published_meanwhile() {
    let mut service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = ticket(json!(["kept-1", "kept-2"]));
    publisher.publish(&event("kept-1", "processing")).await;
    publisher.publish(&event("kept-1", "succeeded")).await;
    let before = service.payment_with_status("kept-1", &ticket, "succeeded").await;

    service.terminate();
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
    publisher.publish(&event("kept-2", "failed")).await;
    service.start_again().await;
    assert_eq!(service.payment("kept-1", &ticket, "").await.json, before);
    let meanwhile = service.payment_with_status("kept-2", &ticket, "failed").await;
    assert_eq!(meanwhile["version"], 1);
}

#[tokio::test]
async fn a_first_start_and_an_orderly_end_complain_of_nothing() {
    let mut service = Service::start().await;
    Publisher::connect(service.vhost()).await.publish(&event("calm-1", "succeeded")).await;
    service.payment_with_status("calm-1", &ticket("calm-1"), "succeeded").await;
    Page::subscribed(&service, &ticket("calm-1")).await.0.close().await;
    service.terminate();
    assert!(service.wait_end().await.success());
    let complaints = service.logs().complaints();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test]
async fn sigterm_drains_not_ready_first_then_reconnect_frames_then_close_1012() {
    let mut service = Setup::new().await.set("HTTP__DRAIN_S", 3).start().await;
    let ticket = ticket("drain-1");
    let mut pages = Vec::new();
    for _ in 0..4 {
        pages.push(Page::subscribed(&service, &ticket).await.0);
    }
    let mut stream = EventStream::open(&service, "drain-1", &ticket).await;
    let first = stream.payment().await;
    assert_eq!(first["version"], 0);

    service.terminate();
    service.wait_unready_for(&["drain"]).await;
    for page in &mut pages {
        let frame = page.frame().await;
        assert_eq!(frame["type"], "reconnect", "{frame}");
        assert!(frame["after_ms"].as_u64().is_some_and(|ms| ms <= 60_000), "{frame}");
        assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
    }
    stream.end().await;
    assert!(service.wait_end().await.success(), "{}", service.logs().text());
}

#[tokio::test]
async fn a_long_poll_is_answered_when_the_node_drains() {
    let mut service = Service::start().await;
    let ticket = ticket("drain-2");
    let (waiting, ()) = tokio::join!(service.payment("drain-2", &ticket, "?after=0&wait=50"), async {
        wait_for("the long poll is held", async || {
            (service.metric("payment_notifier_pages_waiting", "long_poll").await == 1.0).then_some(())
        })
        .await;
        service.terminate();
    });
    assert_eq!((waiting.status, &waiting.json["version"]), (200, &json!(0)));
    assert!(service.wait_end().await.success());
}

#[tokio::test]
async fn kill_9_in_the_midst_of_a_flood_loses_nothing_and_takes_nothing_back() {
    const ORDERS: usize = 400;
    let mut service = Setup::new().await.set("STORE__BATCH_EVENTS_MAX", 16).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let watched = ticket("kill-200");
    for kill in 0..3 {
        let (mut page, _) = Page::subscribed(&service, &watched).await;
        let status = ["processing", "authorized", "succeeded"][kill];
        let publishing = publisher.publish_all((0..ORDERS).map(|n| event(&format!("kill-{n}"), status)));
        // Killed once the page has been shown the order in the middle of the flood.
        let killing = async {
            let shown = page.payment().await;
            service.kill9().await;
            shown
        };
        let ((), shown) = tokio::join!(publishing, killing);
        service.start_again().await;
        let stored = service.payment("kill-200", &watched, "").await.json;
        assert!(stored["version"].as_u64() >= shown["version"].as_u64(), "{stored} after {shown} was shown");
    }
    for n in 0..ORDERS {
        let order_id = format!("kill-{n}");
        let payment = service.payment_with_status(&order_id, &ticket(order_id.as_str()), "succeeded").await;
        assert!(payment["version"].as_u64() <= Some(3), "each event counts once: {payment}");
    }
    let rejected = service.vhost().get("queues", "payment-notifier.dead-letters").await;
    assert_eq!(rejected["messages"].as_u64().unwrap_or(0), 0, "{rejected}");
}

#[tokio::test]
async fn a_closed_connection_turns_readiness_false_and_it_comes_back_by_itself() {
    let setup = Setup::new().await.set("AMQP__RETRY_FIRST_MS", 12_000).set("AMQP__RETRY_LONGEST_MS", 12_000);
    let service = setup.set("INSTANCE", "closed-one").start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let (mut page, _) = Page::subscribed(&service, &ticket("closed-1")).await;
    wait_for("the console knows the connection", async || {
        (service.vhost().close_connections("closed-one").await > 0).then_some(())
    })
    .await;
    service.wait_unready_for(&["broker", "consumer"]).await;
    assert_eq!(service.metric("payment_notifier_broker_connected", "").await, 0.0);
    // Pages are still told what is stored, and an event waits in the queue.
    assert_eq!(service.payment("closed-1", &ticket("closed-1"), "").await.status, 200);
    publisher.publish(&event("closed-1", "succeeded")).await;
    service.wait_ready().await;
    assert_eq!(page.payment().await["status"], "succeeded");
    service.metric_is("payment_notifier_broker_connected", "", 1.0).await;
}

#[tokio::test]
async fn a_vhost_that_is_deleted_and_made_again_is_found_again() {
    let service = Service::start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("vhost-1")).await;
    service.vhost().delete().await;
    let reason = service.wait_unready_for(&["broker"]).await;
    assert_password_free(&reason, &service);
    assert_eq!(service.admin_get("/healthz").await.status, 200);

    service.vhost().make().await;
    service.wait_ready().await;
    Publisher::connect(service.vhost()).await.publish(&event("vhost-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    assert_password_free(&service.logs().text(), &service);
}

#[tokio::test]
async fn a_deleted_queue_is_noticed_and_made_again() {
    let service = Service::start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("queue-1")).await;
    service.vhost().remove("queues", "payment-notifier.results").await;
    // It may be made again before anybody can see that it was away; that events flow again is what counts.
    wait_for("the queue is consumed again", async || {
        let queue = service.vhost().get("queues", "payment-notifier.results").await;
        (queue["consumers"].as_u64() >= Some(1)).then_some(())
    })
    .await;
    Publisher::connect(service.vhost()).await.publish(&event("queue-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    service.wait_ready().await;
}

#[tokio::test]
async fn a_service_that_starts_before_its_broker_waits_for_it() {
    let setup = Setup::new().await;
    setup.vhost().delete().await;
    let service = setup.start_unready().await;
    service.wait_unready_for(&["broker"]).await;
    // Pages may come already.
    let (mut page, _) = Page::subscribed(&service, &ticket("early-1")).await;
    service.vhost().make().await;
    service.wait_ready().await;
    Publisher::connect(service.vhost()).await.publish(&event("early-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
}

#[tokio::test]
async fn with_declare_off_what_is_missing_is_named_and_nothing_is_made() {
    let service = Setup::new().await.set("AMQP__DECLARE", false).start_unready().await;
    let reason = service.wait_unready_for(&["payment"]).await;
    assert!(reason.contains("payments") || reason.contains("payment-notifier."), "{reason}");
    let queues = service.vhost().get("queues", "").await;
    assert_eq!(queues, json!([]));
}

fn assert_password_free(text: &str, service: &Service) {
    assert!(!text.contains(service.vhost().password()), "the broker's password is shown");
}
