use lapin::BasicProperties;
use lapin::options::QueueDeleteOptions;
use payment_notifier::payment::Status;

use crate::harness::{Node, World, body, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_made_anew_and_a_closed_connection_is_opened_anew() {
    let world = World::new("recover").await;
    let node = Node::start(&world).await;
    let send = async |order: &str| world.send(&body(order, "e", Status::Succeeded), BasicProperties::default()).await;
    send("o-1").await;
    until("the first is stored", async || node.store.len() == 1).await;

    world.channel().await.queue_delete("payment-notifier.results".into(), QueueDeleteOptions::default()).await.unwrap();
    let established =
        |times: f64| async move |node: &Node| node.metric("broker_connects_total{result=\"ok\"}") >= times;
    until("it is established again", async || established(2.0)(&node).await && node.faults().is_empty()).await;
    send("o-2").await;
    until("the second is stored", async || node.store.len() == 2).await;

    let name = format!("payment-notifier consumer node-{}", world.vhost);
    until("the connection has its name", async || world.connections(&name).await.len() == 1).await;
    assert_eq!(world.close_connections(&name).await, 1);
    until("it is established once more", async || established(3.0)(&node).await && node.faults().is_empty()).await;
    send("o-3").await;
    until("the third is stored", async || node.store.len() == 3).await;
    node.stop().await;
    world.queue_becomes("payment-notifier.results", (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_when_the_connection_goes_is_stored_once_and_its_lost_acks_are_counted() {
    let world = World::new("inflight").await;
    let node = Node::start(&world).await;
    let shut = node.store.gate.write().await;
    for at in 0..20 {
        world.send(&body(&format!("o-{at}"), "e", Status::Succeeded), BasicProperties::default()).await;
    }
    until("all are delivered", async || node.metric("deliveries_in_flight") == 20.0).await;
    until("the connection is known", async || !world.connections("payment-notifier consumer").await.is_empty()).await;
    world.close_connections("payment-notifier consumer").await;
    until("the fault is reported", async || {
        node.metric("broker_connected") == 0.0 && node.faults().contains("consumer")
    })
    .await;
    drop(shut);
    until("all are stored", async || node.store.len() == 20).await;
    until("all are acknowledged", async || node.metric("deliveries_in_flight") == 0.0 && node.faults().is_empty())
        .await;
    until("they came twice", async || node.metric("redeliveries_total") >= 20.0).await;
    assert!(node.metric("acks_lost_total") >= 1.0);
    node.stop().await;
    world.queue_becomes("payment-notifier.results", (0, 0)).await;
    world.queue_becomes("payment-notifier.dead-letters", (0, 0)).await;
}
