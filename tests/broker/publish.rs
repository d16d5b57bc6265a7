use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use payment_notifier::broker::{self, Message, PublishError, Publisher};
use payment_notifier::config::Secret;
use payment_notifier::payment::Status;
use tokio::net::TcpListener;

use crate::harness::{World, event, until};

fn message(exchange: &str, key: &str, id: &str) -> Message {
    Message::payment(exchange, key, &event("o-1", id, Status::Succeeded)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_fail_has_its_own_answer() {
    let world = World::new("publish").await;
    broker::check(&world.options()).await.unwrap();
    let publisher = Publisher::new(&world.options()).unwrap();
    publisher.publish(&message("payments", "payment.result.x", "a")).await.unwrap();
    assert_eq!(world.queue("payment-notifier.results").await, Some((1, 0)));

    let unroutable = publisher.publish(&message("payments", "refund.x", "b")).await.unwrap_err();
    assert_eq!(unroutable, PublishError::Unroutable { exchange: "payments".into(), routing_key: "refund.x".into() });

    let missing = publisher.publish(&message("nowhere", "x", "c")).await.unwrap_err();
    assert!(
        matches!(&missing, PublishError::Refused(refusal) if refusal.code == 404 && refusal.why.contains("\"nowhere\"")),
        "{missing}"
    );

    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let channel = world.channel().await;
    channel.queue_declare("full".into(), QueueDeclareOptions::durable(), full).await.unwrap();
    channel
        .queue_bind("full".into(), "payments".into(), "full".into(), QueueBindOptions::default(), FieldTable::default())
        .await
        .unwrap();
    publisher.publish(&message("payments", "full", "d")).await.unwrap();
    assert_eq!(publisher.publish(&message("payments", "full", "e")).await.unwrap_err(), PublishError::Nacked);

    // None of it has spoilt the publisher, and a lost connection is replaced.
    publisher.publish(&message("payments", "payment.result.x", "f")).await.unwrap();
    until("its connection has its name", async || {
        world.connections("payment-notifier publisher node-test-publish").await.len() == 1
    })
    .await;
    assert_eq!(world.close_connections("payment-notifier publisher").await, 1);
    until("it publishes again", async || {
        publisher.publish(&message("payments", "payment.result.x", "g")).await.is_ok()
    })
    .await;
    publisher.close();
    let closed = publisher.publish(&message("payments", "payment.result.x", "h")).await.unwrap_err();
    assert_eq!(closed, PublishError::Unavailable("the publisher is closed".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_gets_its_own_answer() {
    let world = World::new("answers").await;
    broker::check(&world.options()).await.unwrap();
    let publisher = Publisher::new(&world.options()).unwrap();
    let publish = async |at: usize| {
        let key = if at.is_multiple_of(3) { "refund.x" } else { "payment.result.x" };
        (at, publisher.publish(&message("payments", key, &format!("e-{at}"))).await)
    };
    for (at, answer) in join_all((0..600).map(publish)).await {
        assert_eq!(matches!(answer, Err(PublishError::Unroutable { .. })), at.is_multiple_of(3), "{at}: {answer:?}");
        assert!(at.is_multiple_of(3) || answer.is_ok(), "{at}: {answer:?}");
    }
    assert_eq!(world.queue("payment-notifier.results").await, Some((400, 0)));
    let began = Instant::now();
    for at in 0..200 {
        publisher.publish(&message("payments", "payment.result.x", &format!("f-{at}"))).await.unwrap();
    }
    println!("200 confirmed publishes one after another: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_or_silent_is_a_bounded_error_without_the_password() {
    let mut world = World::new("nobody").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    world.amqp.url = Secret::new(format!("amqp://user:hunter2@{address}/v"));
    world.amqp.confirm_timeout_s = 1;
    world.amqp.connect_timeout_s = 1;
    for silence in [true, false] {
        let publisher = Publisher::new(&world.options()).unwrap();
        let began = Instant::now();
        let error = publisher.publish(&message("payments", "payment.result.x", "a")).await.unwrap_err().to_string();
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        let check = broker::check(&world.options()).await.unwrap_err().to_string();
        for text in [error, check, format!("{publisher:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        if silence {
            // From here on nothing listens.
            world.amqp.url = Secret::new("amqp://user:hunter2@127.0.0.1:1/v");
        }
    }
    drop(silent);
}
