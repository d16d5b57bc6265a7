//! Faults between the service and its broker that no broker shows on command.

use lapin::BasicProperties;

use serde_json::json;

use crate::support::{DeadLetters, Page, Proxy, Publisher, Service, Setup, Vhost, event, ticket, wait_for};

/// Exchange and queue are of one name.
const DEAD_LETTERS: &str = "payment-notifier.dead-letters";

async fn queue_is_empty(service: &Service) -> Option<()> {
    let queue = service.vhost().get("queues", "payment-notifier.results").await;
    (queue["messages"] == 0).then_some(())
}

#[tokio::test]
async fn a_broker_that_says_nothing_any_more_is_given_up_and_found_again() {
    let proxy = Proxy::start();
    let setup = Setup::new().await.through(&proxy).set("AMQP__HEARTBEAT_S", 1).set("AMQP__CONNECT_TIMEOUT_S", 1);
    let service = setup.start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("half-1")).await;
    proxy.silence();
    service.wait_unready_for(&["broker"]).await;
    Publisher::connect(service.vhost()).await.publish(&event("half-1", "succeeded")).await;
    page.ping_pong().await;
    proxy.cut_and_pass();
    service.wait_ready().await;
    assert_eq!(page.payment().await["status"], "succeeded");
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_does_not_hold_the_start() {
    let proxy = Proxy::start();
    proxy.silence();
    let setup = Setup::new().await.through(&proxy).set("AMQP__CONNECT_TIMEOUT_S", 1);
    let service = setup.start_unready().await;
    let reason = service.wait_unready_for(&["broker", "no answer"]).await;
    assert!(!reason.contains(service.vhost().password()), "{reason}");
    assert_eq!(service.admin_get("/healthz").await.status, 200);
    Page::subscribed(&service, &ticket("mute-1")).await;
    proxy.cut_and_pass();
    service.wait_ready().await;
}

#[tokio::test]
async fn what_was_stored_and_shown_and_not_acknowledged_comes_again_and_changes_nothing() {
    let proxy = Proxy::start();
    let service = Setup::new().await.through(&proxy).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let ticket = ticket("acks-1");
    let (mut page, _) = Page::subscribed(&service, &ticket).await;
    proxy.deafen_broker();
    publisher.publish(&event("acks-1", "succeeded")).await;
    assert_eq!(page.payment().await["version"], 1);
    proxy.cut_and_pass();
    wait_for("the event is delivered again", async || {
        (service.metric("payment_notifier_events_total", "duplicate").await == 1.0).then_some(())
    })
    .await;
    service.metric_is("payment_notifier_redeliveries_total", "", 1.0).await;
    wait_for("it is settled this time", async || queue_is_empty(&service).await).await;
    assert_eq!(service.payment("acks-1", &ticket, "").await.json["version"], 1);
    page.ping_pong().await;
}

/// A bad message and then a good one, while bad ones have nowhere to go; `mend` gives them their place again.
async fn dead_letters_wait(break_it: impl AsyncFnOnce(&Vhost), mend: impl AsyncFnOnce(&Vhost)) {
    // A look at the queues would make what is missing anew.
    let service = Setup::new().await.set("AMQP__LAG_INTERVAL_S", 600).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    break_it(service.vhost()).await;
    publisher.publish_bytes(b"hunter2", BasicProperties::default()).await;
    publisher.publish(&event("beside-1", "succeeded")).await;
    service.payment_with_status("beside-1", &ticket("beside-1"), "succeeded").await;
    service.wait_unready_for(&[DEAD_LETTERS]).await;
    assert!(service.metric("payment_notifier_dead_letter_failures_total", "").await >= 1.0);
    assert_eq!(service.metric("payment_notifier_dead_letters_total", "").await, 0.0);

    mend(service.vhost()).await;
    assert_eq!(DeadLetters::of(service.vhost()).await.next().await.body, b"hunter2");
    service.wait_ready().await;
    wait_for("both are settled", async || queue_is_empty(&service).await).await;
}

#[tokio::test]
async fn a_bad_message_waits_where_its_exchange_was_taken_away_and_good_ones_go_on() {
    dead_letters_wait(
        async |vhost| vhost.remove("exchanges", DEAD_LETTERS).await,
        async |vhost| {
            vhost.put("exchanges", DEAD_LETTERS, &json!({ "type": "fanout", "durable": true })).await;
            vhost.bind(DEAD_LETTERS, DEAD_LETTERS).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_bad_message_waits_where_no_queue_takes_it_and_good_ones_go_on() {
    dead_letters_wait(
        async |vhost| vhost.remove("queues", DEAD_LETTERS).await,
        async |vhost| {
            let quorum = json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } });
            vhost.put("queues", DEAD_LETTERS, &quorum).await;
            vhost.bind(DEAD_LETTERS, DEAD_LETTERS).await;
        },
    )
    .await;
}

#[tokio::test]
async fn publishing_to_a_broker_that_says_nothing_ends_in_time() {
    let proxy = Proxy::start();
    proxy.silence();
    let setup = Setup::new().await.through(&proxy).set("AMQP__CONNECT_TIMEOUT_S", 1);
    let mut publish =
        crate::support::process::Process::start(setup.command(&["publish", "--merchant", "shop", "--order", "mute-2"]));
    assert!(!publish.wait().await.success());
    let said = publish.logs().text();
    assert!(!said.is_empty() && !said.contains(setup.vhost().password()), "{said}");
}
