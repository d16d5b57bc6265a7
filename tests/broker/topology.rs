use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use payment_notifier::broker;
use payment_notifier::config::Secret;
use payment_notifier::payment::Status;
use serde_json::json;

use crate::harness::{Node, World, body, until};

async fn check(world: &World) -> Result<(), String> {
    broker::check(&world.options()).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_is_as_the_contract_says() {
    let world = World::new("made").await;
    check(&world).await.unwrap();
    check(&world).await.unwrap();
    let about = async |path: &str| world.management.call("GET", path, None).await;
    let queue = about(&format!("queues/{}/payment-notifier.results", world.vhost)).await;
    assert_eq!(queue["type"], "quorum");
    assert_eq!(queue["arguments"]["x-dead-letter-exchange"], "payment-notifier.dead-letters");
    assert_eq!(queue["arguments"]["x-delivery-limit"], 20);
    let dead_letters = about(&format!("queues/{}/payment-notifier.dead-letters", world.vhost)).await;
    assert_eq!((&dead_letters["type"], &dead_letters["durable"]), (&json!("quorum"), &json!(true)));
    for (name, kind) in [
        ("payments", "topic"),
        ("payment-notifier.dead-letters", "fanout"),
        ("payment-notifier.events", "topic"),
        ("payment-notifier.live", "fanout"),
    ] {
        let exchange = about(&format!("exchanges/{}/{name}", world.vhost)).await;
        assert_eq!((&exchange["type"], &exchange["durable"]), (&json!(kind), &json!(true)), "{name}");
    }
    let bindings = about(&format!("bindings/{}/e/payments/q/payment-notifier.results", world.vhost)).await;
    assert_eq!(bindings[0]["routing_key"], "payment.#");
    let bindings = about(&format!("bindings/{0}/e/{1}/q/{1}", world.vhost, "payment-notifier.dead-letters")).await;
    assert_eq!(bindings.as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_leave_to_declare_each_missing_piece_is_named() {
    let mut world = World::new("verify").await;
    check(&world).await.unwrap();
    world.amqp.declare = false;
    check(&world).await.unwrap();
    for name in ["payment-notifier.live", "payment-notifier.events", "payment-notifier.dead-letters", "payments"] {
        world.channel().await.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
        let missing = format!("exchange {name:?} is missing in vhost {:?} (amqp.declare = false)", world.vhost);
        assert_eq!(check(&world).await.unwrap_err(), missing);
    }
    world.amqp.declare = true;
    check(&world).await.unwrap();
    world.amqp.declare = false;
    for name in ["payment-notifier.results", "payment-notifier.dead-letters"] {
        world.channel().await.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
        let missing = format!("queue {name:?} is missing in vhost {:?} (amqp.declare = false)", world.vhost);
        assert_eq!(check(&world).await.unwrap_err(), missing);
    }
    // A node says so, and goes on once the piece is there.
    let node = Node::begin(&world);
    until("the fault names the piece", async || {
        node.faults().contains("queue \"payment-notifier.dead-letters\" is missing")
    })
    .await;
    world.amqp.declare = true;
    check(&world).await.unwrap();
    until("the node is well", async || node.faults().is_empty()).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_operators_made_are_taken_as_they_are() {
    let world = World::new("policy").await;
    let queues = format!("queues/{}", world.vhost);
    let quorum = json!({ "durable": true, "arguments": { "x-queue-type": "quorum" } });
    world.management.call("PUT", &format!("{queues}/payment-notifier.results"), Some(quorum)).await;
    let policy = json!({
        "pattern": "^payment-notifier\\.results$", "apply-to": "queues",
        "definition": { "dead-letter-exchange": "payment-notifier.dead-letters", "delivery-limit": 5 },
    });
    world.management.call("PUT", &format!("policies/{}/results", world.vhost), Some(policy)).await;
    world
        .management
        .call("PUT", &format!("{queues}/payment-notifier.dead-letters"), Some(json!({ "durable": true })))
        .await;
    let alternate = json!({ "type": "topic", "durable": true, "arguments": { "alternate-exchange": "lost" } });
    world.management.call("PUT", &format!("exchanges/{}/payments", world.vhost), Some(alternate)).await;
    let node = Node::start(&world).await;
    world.send(&body("o-1", "e-1", Status::Succeeded), BasicProperties::default()).await;
    world.send("bad", BasicProperties::default()).await;
    until("the event is stored", async || node.store.len() == 1).await;
    world.dead_letter().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_of_another_type_is_an_error_that_names_it() {
    let world = World::new("type").await;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    world
        .channel()
        .await
        .exchange_declare("payments".into(), ExchangeKind::Direct, options, FieldTable::default())
        .await
        .unwrap();
    let error = check(&world).await.unwrap_err();
    assert!(error.starts_with("exchange \"payments\" in vhost") && error.contains("'type'"), "{error}");
    world.channel().await.exchange_delete("payments".into(), ExchangeDeleteOptions::default()).await.unwrap();
    // One that is somebody's own can be neither checked nor used.
    let exclusive = QueueDeclareOptions::exclusive();
    let channel = world.channel().await;
    channel.queue_declare("payment-notifier.results".into(), exclusive, FieldTable::default()).await.unwrap();
    let error = check(&world).await.unwrap_err();
    assert!(error.starts_with("queue \"payment-notifier.results\" in vhost") && error.contains("exclusive"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_configure_nothing_can_consume_and_others_are_told_why_not() {
    let mut world = World::new("rights").await;
    check(&world).await.unwrap();
    let user = format!("{}-user", world.vhost);
    world.management.call("PUT", &format!("users/{user}"), Some(json!({ "password": "hunter2", "tags": "" }))).await;
    let rights = async |write: &str, read: &str| {
        let rights = json!({ "configure": "^$", "write": write, "read": read });
        world.management.call("PUT", &format!("permissions/{}/{user}", world.vhost), Some(rights)).await;
    };
    rights("^payment-notifier.dead-letters$", "^payment-notifier.results$").await;
    let url = world.amqp.url.expose().to_owned();
    let (_, host) = url.rsplit_once('@').unwrap();
    let mut theirs = world.amqp.clone();
    theirs.url = Secret::new(format!("amqp://{user}:hunter2@{host}"));
    theirs.declare = false;
    let ours = std::mem::replace(&mut world.amqp, theirs);
    let node = Node::start(&world).await;
    node.stop().await;

    let rights = json!({ "configure": "^$", "write": "^$", "read": "^$" });
    world.management.call("PUT", &format!("permissions/{}/{user}", world.vhost), Some(rights)).await;
    let node = Node::begin(&world);
    until("the refusal is told", async || {
        node.faults().contains("queue \"payment-notifier.results\" cannot be consumed: ACCESS_REFUSED")
    })
    .await;
    node.stop().await;

    world.amqp.url = Secret::new(format!("amqp://{user}:wrong-word@{host}"));
    let error = check(&world).await.unwrap_err();
    assert!(error.contains("ACCESS_REFUSED") && !error.contains("wrong-word"), "{error}");
    world.amqp = ours;
    world.management.call("DELETE", &format!("users/{user}"), None).await;
}
