//! The outbox on a real broker: what is confirmed leaves the store, and nothing else does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::{BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use payment_notifier::broker::{self, Outbox, OutboxParts, Publisher};
use payment_notifier::runtime::Tasks;
use payment_notifier::store::{OutboxSignal, Outgoing, PaymentStore};
use payment_notifier::telemetry::Metrics;

use crate::harness::{World, until};
use crate::memory::Memory;

const EXCHANGE: &str = "payment-notifier.events";
/// More than two frames of the outbox's connection.
const TEXT_BYTES: usize = 40_000;

fn body(n: impl std::fmt::Display) -> String {
    format!("{{\"n\":{n},\"text\":\"{}\"}}", "x".repeat(TEXT_BYTES))
}

struct Publishing {
    store: Arc<Memory>,
    metrics: Metrics,
    outbox_signal: OutboxSignal,
    tasks: Tasks,
}

impl Publishing {
    /// A confirm that is given up is published again: `confirm_timeout_s` is long where each message is counted.
    async fn start(world: &mut World, confirm_timeout_s: u64) -> Self {
        world.amqp.confirm_timeout_s = confirm_timeout_s;
        world.outbox.batch_max = 16;
        broker::check(&world.options()).await.unwrap();
        let publishing = Self {
            store: Memory::new(),
            metrics: Metrics::new().unwrap(),
            outbox_signal: OutboxSignal::default(),
            tasks: Tasks::new(),
        };
        let parts = OutboxParts {
            store: publishing.store.clone(),
            publisher: Publisher::for_outbox(&world.options()).unwrap(),
            metrics: publishing.metrics.clone(),
            outbox_signal: publishing.outbox_signal.clone(),
        };
        publishing.tasks.spawn(Outbox::new(&world.options(), parts).run(publishing.tasks.clone()));
        publishing
    }

    fn put(&self, ids: std::ops::Range<i64>, routing_key: &str) {
        for id in ids {
            let (message_id, body) = (format!("m-{id}"), body(id));
            self.store.put(Outgoing { id, routing_key: routing_key.to_owned(), message_id, body });
        }
        self.outbox_signal.notify();
    }

    async fn is_empty(&self) {
        until("the outbox is empty", async || self.store.outbox_is_empty()).await;
    }

    fn count(&self, kind: &str, result: &str) -> f64 {
        let line = format!("payment_notifier_outbox_published_total{{type=\"{kind}\",result=\"{result}\"}} ");
        let text = self.metrics.render();
        text.lines().find_map(|l| l.strip_prefix(line.as_str())).unwrap().parse().unwrap()
    }

    async fn stop(self) {
        self.tasks.stop();
        self.tasks.join(Duration::from_secs(20)).await.expect("the outbox stops");
    }
}

async fn bound_queue(world: &World, name: &str, key: &str, arguments: FieldTable) {
    let channel = world.channel().await;
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    let bind =
        channel.queue_bind(name.into(), EXCHANGE.into(), key.into(), QueueBindOptions::default(), <_>::default());
    bind.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_once_as_it_was_put_and_one_that_nobody_wants_is_done() {
    let mut world = World::new("outbox-all").await;
    let publishing = Publishing::start(&mut world, 30).await;
    bound_queue(&world, "delivered", "payment.delivered", FieldTable::default()).await;
    publishing.put(0..100, "payment.delivered");
    publishing.put(100..110, "payment.inquiry");
    publishing.is_empty().await;
    assert_eq!(world.queue("delivered").await, Some((100, 0)));
    let got = world.channel().await.basic_get("delivered".into(), BasicGetOptions { no_ack: true }).await.unwrap();
    let delivery = got.unwrap().delivery;
    let properties = &delivery.properties;
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().unwrap().to_string();
    assert_eq!(text(properties.content_type()), "application/cloudevents+json");
    assert_eq!((*properties.delivery_mode(), delivery.routing_key.as_str()), (Some(2), "payment.delivered"));
    let n = text(properties.message_id()).strip_prefix("m-").unwrap().to_owned();
    assert_eq!(delivery.data, body(n).into_bytes());
    assert_eq!(publishing.count("payment.delivered", "confirmed"), 100.0);
    assert_eq!(publishing.count("payment.inquiry", "unroutable"), 10.0);
    assert_eq!(publishing.count("payment.delivered", "failed"), 0.0);
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_forget_at_once_does_not_make_it_publish_twice() {
    let mut world = World::new("outbox-store").await;
    let publishing = Publishing::start(&mut world, 30).await;
    bound_queue(&world, "all", "#", FieldTable::default()).await;
    publishing.store.refusing.store(3, Ordering::SeqCst);
    publishing.put(0..10, "payment.conflict");
    publishing.is_empty().await;
    assert_eq!(world.queue("all").await, Some((10, 0)));
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_exchange_nothing_leaves_and_with_it_everything_does() {
    let mut world = World::new("outbox-exchange").await;
    let publishing = Publishing::start(&mut world, 30).await;
    let channel = world.channel().await;
    channel.exchange_delete(EXCHANGE.into(), <_>::default()).await.unwrap();
    publishing.put(0..40, "payment.undelivered");
    until("it has failed", async || publishing.count("payment.undelivered", "failed") > 1.0).await;
    assert!(!publishing.store.outbox_is_empty());
    assert_eq!(publishing.count("payment.undelivered", "confirmed"), 0.0);
    // With a way on to a queue from its first moment on: a binding would come too late for some.
    channel.queue_declare("all".into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    let else_to = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare("else".into(), ExchangeKind::Fanout, else_to, <_>::default()).await.unwrap();
    channel.queue_bind("all".into(), "else".into(), "".into(), <_>::default(), <_>::default()).await.unwrap();
    let mut alternate = FieldTable::default();
    alternate.insert("alternate-exchange".into(), AMQPValue::LongString("else".into()));
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, else_to, alternate).await.unwrap();
    publishing.is_empty().await;
    assert_eq!(world.queue("all").await, Some((40, 0)));
    publishing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_broker_refuses_stays_and_holds_up_no_other() {
    let mut world = World::new("outbox-full").await;
    let publishing = Publishing::start(&mut world, 3).await;
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    bound_queue(&world, "full", "payment.inquiry", full).await;
    bound_queue(&world, "delivered", "payment.delivered", FieldTable::default()).await;
    publishing.put(0..3, "payment.inquiry");
    publishing.put(3..60, "payment.delivered");
    until("the others are published", async || publishing.count("payment.delivered", "confirmed") >= 57.0).await;
    assert_eq!(publishing.count("payment.inquiry", "confirmed"), 1.0);
    // Each that is taken out makes room for one.
    let channel = world.channel().await;
    let mut taken = BTreeSet::new();
    until("all have had room", async || {
        if let Some(got) = channel.basic_get("full".into(), BasicGetOptions { no_ack: true }).await.unwrap() {
            taken.insert(got.delivery.data.clone());
        }
        taken.len() == 3
    })
    .await;
    publishing.is_empty().await;
    publishing.stop().await;
}

#[tokio::test]
async fn what_can_never_be_published_is_put_aside_and_holds_up_no_other() {
    let mut world = World::new("outbox-aside").await;
    let publishing = Publishing::start(&mut world, 20).await;
    bound_queue(&world, "told", "payment.#", FieldTable::default()).await;
    // More than a batch of them, and in front of all others.
    for id in 0..40 {
        // No frame carries such a routing key.
        let (routing_key, message_id) = ("k".repeat(300), format!("m-{id}"));
        publishing.store.put(Outgoing { id, routing_key, message_id, body: body(id) });
    }
    publishing.put(40..60, "payment.delivered");
    until("the others leave", async || publishing.count("payment.delivered", "confirmed") == 20.0).await;
    let put_aside = || publishing.store.postponed.load(Ordering::SeqCst);
    until("each is tried", async || put_aside() == 40).await;
    publishing.put(60..80, "payment.delivered");
    until("and again", async || publishing.count("payment.delivered", "confirmed") == 40.0).await;
    assert_eq!(put_aside(), 40, "once");
    assert_eq!(publishing.store.outbox_len().await.unwrap(), 40, "they stay");
    publishing.stop().await;
}
