use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions};
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, ShortString};
use payment_notifier::broker;
use payment_notifier::payment::Status;

use crate::harness::{Node, World, body, until};

fn text(headers: &BTreeMap<ShortString, AMQPValue>, name: &str) -> String {
    match headers.get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => format!("{other:?}"),
    }
}

fn every_type() -> FieldTable {
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::LongString("er".into()));
    let mut list = FieldArray::default();
    list.push(AMQPValue::LongInt(-1));
    list.push(AMQPValue::FieldTable(inner.clone()));
    let values = [
        AMQPValue::Boolean(true),
        AMQPValue::ShortShortInt(-3),
        AMQPValue::ShortShortUInt(200),
        AMQPValue::ShortInt(-300),
        AMQPValue::ShortUInt(60_000),
        AMQPValue::LongInt(-70_000),
        AMQPValue::LongUInt(4_000_000_000),
        AMQPValue::LongLongInt(i64::MIN),
        AMQPValue::Float(1.5),
        AMQPValue::Double(-2.25),
        AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 1999 }),
        AMQPValue::LongString("文".into()),
        AMQPValue::FieldArray(list),
        AMQPValue::Timestamp(1_769_819_400),
        AMQPValue::FieldTable(inner),
        AMQPValue::ByteArray(vec![0, 255].into()),
        AMQPValue::Void,
    ];
    let mut table = FieldTable::default();
    for (at, value) in values.into_iter().enumerate() {
        table.insert(format!("type-{at}").into(), value);
    }
    table
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_message_arrives_whole_with_its_reason_and_a_good_one_behind_it_is_taken() {
    let world = World::new("bad").await;
    let node = Node::start(&world).await;
    let (user, _) = world.amqp.url.expose().split_once("://").unwrap().1.split_once(':').unwrap();
    let given = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("utf-8".into())
        .with_correlation_id("c-1".into())
        .with_reply_to("answers".into())
        .with_message_id("m-1".into())
        .with_timestamp(1_769_819_400)
        .with_type("payment".into())
        .with_app_id("shop".into())
        .with_priority(4)
        .with_user_id(user.into())
        .with_expiration("3600000".into())
        .with_headers(every_type());
    let bad = body("o-1", "e-1", Status::Succeeded).replace("succeeded", "PAID");
    world.send(&bad, given).await;
    world.send(&body("o-2", "e-2", Status::Succeeded), BasicProperties::default()).await;

    let letter = world.dead_letter().await;
    assert_eq!(String::from_utf8(letter.data.clone()).unwrap(), bad);
    assert_eq!(
        (letter.exchange.as_str(), letter.routing_key.as_str()),
        ("payment-notifier.dead-letters", "payment.result.test")
    );
    let properties = &letter.properties;
    let word = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(word(properties.content_type()), "text/plain");
    assert_eq!(word(properties.content_encoding()), "utf-8");
    assert_eq!(word(properties.correlation_id()), "c-1");
    assert_eq!(word(properties.reply_to()), "answers");
    assert_eq!(word(properties.message_id()), "m-1");
    assert_eq!(word(properties.kind()), "payment");
    assert_eq!(word(properties.app_id()), "shop");
    assert_eq!((word(properties.user_id()), word(properties.expiration())), (String::new(), String::new()));
    let numbers = (*properties.timestamp(), *properties.priority(), *properties.delivery_mode());
    assert_eq!(numbers, (Some(1_769_819_400), Some(4), Some(2)));
    let headers = properties.headers().as_ref().unwrap().inner();
    for (name, value) in &every_type() {
        assert_eq!(headers.get(name), Some(value), "{name}");
    }
    assert_eq!(text(headers, "x-reason"), "unknown_status");
    assert!(text(headers, "x-error").contains("status must be one of"), "{}", text(headers, "x-error"));
    assert_eq!(text(headers, "x-original-exchange"), "payments");
    assert_eq!(text(headers, "x-original-routing-key"), "payment.result.test");
    assert_eq!(text(headers, "x-original-expiration"), "3600000");
    assert_eq!(text(headers, "x-original-user-id"), user);

    until("the good one is stored", async || node.store.len() == 1).await;
    until("both are acknowledged", async || node.metric("deliveries_in_flight") == 0.0).await;
    assert_eq!(node.metric("dead_letters_total{reason=\"unknown_status\"}"), 1.0);
    node.stop().await;
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_id_used_twice_is_a_dead_letter() {
    let world = World::new("reused").await;
    let node = Node::start(&world).await;
    world.send(&body("o-1", "e-1", Status::Pending), BasicProperties::default()).await;
    world.send(&body("o-1", "e-1", Status::Succeeded), BasicProperties::default()).await;
    let letter = world.dead_letter().await;
    assert_eq!(text(letter.properties.headers().as_ref().unwrap().inner(), "x-reason"), "id_reused");
    until("it is counted", async || node.metric("events_total{outcome=\"id_reused\"}") == 1.0).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_dead_letters_cannot_leave_good_events_go_on_and_nothing_is_lost() {
    let mut world = World::new("stuck").await;
    broker::check(&world.options()).await.unwrap();
    // The node would make the exchange again within a second.
    (world.amqp.declare, world.amqp.probe_interval_s) = (false, 0);
    let node = Node::start(&world).await;
    let exchange = || ShortString::from(world.amqp.dead_letter_exchange.as_str());
    world.channel().await.exchange_delete(exchange(), ExchangeDeleteOptions::default()).await.unwrap();
    for at in 0..30 {
        world.send(&format!("not json {at}"), BasicProperties::default()).await;
        world.send(&body(&format!("o-{at}"), "e", Status::Succeeded), BasicProperties::default()).await;
    }
    until("the good ones are stored", async || node.store.len() == 30).await;
    until("the fault is reported", async || {
        node.faults().contains("broker: dead-letter exchange \"payment-notifier.dead-letters\"")
    })
    .await;
    until("only the good ones are acknowledged", async || node.metric("deliveries_in_flight") == 30.0).await;
    assert!(node.faults().contains("no exchange"), "{}", node.faults());

    // There again, but nothing is bound to it: that would lose them.
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    world
        .channel()
        .await
        .exchange_declare(exchange(), ExchangeKind::Fanout, durable, FieldTable::default())
        .await
        .unwrap();
    until("an exchange without a queue is a fault", async || node.faults().contains("no queue is bound")).await;
    let queue = world.amqp.dead_letter_queue.as_str().into();
    let options = QueueBindOptions::default();
    world.channel().await.queue_bind(queue, exchange(), "".into(), options, FieldTable::default()).await.unwrap();
    until("they leave", async || node.metric("deliveries_in_flight") == 0.0).await;
    until("the fault is gone", async || node.faults().is_empty()).await;
    assert_eq!(node.metric("dead_letters_total{reason=\"invalid_json\"}"), 30.0);
    assert!(node.metric("dead_letter_failures_total") >= 30.0);
    node.stop().await;
    world.queue_becomes(&world.amqp.dead_letter_queue, (30, 0)).await;
    world.queue_becomes(&world.amqp.queue, (0, 0)).await;
}
