use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::BasicProperties;
use payment_notifier::broker::Message;
use payment_notifier::hub::Inbox;
use payment_notifier::payment::Status;
use payment_notifier::runtime::unix_ms;

use crate::harness::{DEADLINE, Node, World, body, event, key, until};
use crate::memory::Memory;

async fn publish_all(world: &World, node: &Node, orders: std::ops::Range<usize>) {
    let publish = async |order: usize| {
        let event = event(&format!("o-{order}"), &format!("e-{order}"), Status::Succeeded);
        let message = Message::payment(&world.amqp.exchange, "payment.result.test", &event).unwrap();
        node.publisher.publish(&message).await.unwrap();
    };
    join_all(orders.map(publish)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_stored_shown_and_acknowledged_in_batches() {
    let world = World::new("flood").await;
    let node = Node::start(&world).await;
    let inbox = Inbox::new();
    let _page = node.hub.subscribe(&inbox, &key("o-7")).unwrap();
    let began = Instant::now();
    publish_all(&world, &node, 0..2000).await;
    println!("2,000 confirmed publishes, 32 at once: {:?}", began.elapsed());
    until("all are stored", async || node.store.len() == 2000).await;
    let update = tokio::time::timeout(DEADLINE, inbox.next()).await.unwrap().unwrap();
    assert_eq!(update.payment.key, key("o-7"));
    assert!(update.published_at_ms.is_some_and(|ms| (unix_ms() - ms).abs() < 60_000));
    assert!(update.received_at.is_some());
    until("all are acknowledged", async || node.metric("deliveries_in_flight") == 0.0).await;
    until("the lag is looked at", async || node.metric("queue_consumers") == 1.0).await;
    assert_eq!(node.metric("deliveries_total"), 2000.0);
    assert_eq!(node.metric("redeliveries_total"), 0.0);
    assert_eq!(node.metric("acks_lost_total"), 0.0);
    assert_eq!(node.metric("events_total{outcome=\"applied\"}"), 2000.0);
    assert_eq!(node.metric("broker_connected"), 1.0);
    node.stop().await;
    // What had not been acknowledged would be ready again.
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
    assert_eq!(node.metric("broker_connected"), 0.0);
    assert!(node.faults().contains("consumer: queue \"payment-notifier.results\": stopped"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_while_one_commit_is_under_way_is_the_next_batch() {
    let world = World::new("batch").await;
    let node = Node::start(&world).await;
    let shut = node.store.gate.write().await;
    publish_all(&world, &node, 0..100).await;
    until("all are delivered", async || node.metric("deliveries_total") == 100.0).await;
    assert_eq!(node.store.len(), 0);
    // The store hangs, and a stop does not wait for it for ever; nor is anything lost.
    let began = Instant::now();
    node.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    until("all are ready again", async || world.queue(&world.amqp.queue).await == Some((100, 0))).await;
    drop(shut);
    let node = Node::start(&world).await;
    until("all are stored", async || node.store.len() == 100).await;
    assert!(node.store.attempts.load(Ordering::SeqCst) < 50, "not one by one");
    assert!(node.metric("redeliveries_total") >= 100.0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_stale_and_contradicting_events_are_counted_and_acknowledged() {
    let world = World::new("repeat").await;
    let node = Node::start(&world).await;
    for (id, status) in [
        ("1", Status::Failed),
        ("1", Status::Failed),
        ("2", Status::Pending),
        ("3", Status::Canceled),
        ("4", Status::Succeeded),
    ] {
        world.send(&body("o", id, status), BasicProperties::default()).await;
    }
    until("all are counted", async || {
        node.metric("deliveries_total") == 5.0 && node.metric("deliveries_in_flight") == 0.0
    })
    .await;
    let count = |outcome: &str| node.metric(&format!("events_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((count("applied") + count("stale"), count("duplicate")), (4.0, 1.0));
    assert_eq!(node.metric("conflicts_total{kind=\"failed_and_canceled\"}"), 1.0);
    node.stop().await;
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_pauses_consuming_and_dead_letters_nothing() {
    let world = World::new("store").await;
    let node = Node::start(&world).await;
    node.store.refusing.store(usize::MAX, Ordering::SeqCst);
    let inbox = Inbox::new();
    let _page = node.hub.subscribe(&inbox, &key("o-1")).unwrap();
    publish_all(&world, &node, 0..20).await;
    until("the fault is reported", async || node.faults().contains("store: store unavailable: disk full")).await;
    assert_eq!(node.metric("store_available"), 0.0);
    assert_eq!(node.store.version(&key("o-1")), None);
    node.store.refusing.store(0, Ordering::SeqCst);
    until("it is taken in the end", async || node.store.len() == 20).await;
    until("the fault is gone", async || node.faults().is_empty()).await;
    // It waited between attempts.
    assert!(node.store.attempts.load(Ordering::SeqCst) < 30);
    assert_eq!(node.metric("store_available"), 1.0);
    tokio::time::timeout(DEADLINE, inbox.next()).await.unwrap();

    // The commit went well and its answer was lost: the page is updated all the same.
    let _page = node.hub.subscribe(&inbox, &key("o-20")).unwrap();
    node.store.ambiguous.store(1, Ordering::SeqCst);
    publish_all(&world, &node, 20..21).await;
    let update = tokio::time::timeout(DEADLINE, inbox.next()).await.unwrap().unwrap();
    assert_eq!((update.payment.key.clone(), update.payment.version), (key("o-20"), 1));
    until("it counts as repeated", async || node.metric("events_total{outcome=\"duplicate\"}") == 1.0).await;
    node.stop().await;
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_down_at_the_start_nothing_is_taken_from_the_queue() {
    let world = World::new("absent").await;
    payment_notifier::broker::check(&world.options()).await.unwrap();
    world.send(&body("o", "e", Status::Succeeded), BasicProperties::default()).await;
    let store = Memory::new();
    store.down.store(true, Ordering::SeqCst);
    let node = Node::begin_with(&world, store);
    until("the fault is reported", async || {
        node.faults().contains("consumer: queue \"payment-notifier.results\": waiting for the store")
    })
    .await;
    assert!(node.faults().contains("store: store unavailable: no disk"), "{}", node.faults());
    until("it has tried more than once", async || node.metric("broker_connects_total{result=\"error\"}") > 2.0).await;
    world.queue_becomes(&world.amqp.queue, (1, 0)).await;
    node.store.down.store(false, Ordering::SeqCst);
    until("it is stored", async || node.store.len() == 1 && node.faults().is_empty()).await;
    assert_eq!(node.metric("redeliveries_total"), 0.0);
    node.stop().await;
}
