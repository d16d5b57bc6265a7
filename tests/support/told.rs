//! A merchant's back end that listens to what the service tells it.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::Value;

use super::{Vhost, within};

const EVENTS: &str = "payment-notifier.events";
const BY_MERCHANT: &str = "payment-notifier.by-merchant";

/// A queue of its own, bound to the service's events, and all that it has heard.
pub(crate) struct Told {
    _connection: Connection,
    consumer: Consumer,
    /// In the order in which they came.
    pub(crate) heard: Vec<Value>,
}

impl Told {
    /// Listens to the types that `binding` matches. The exchange must exist, as it does once the service is ready.
    pub(crate) async fn of(vhost: &Vhost, binding: &str) -> Self {
        Self::bound(vhost, EVENTS, binding, FieldTable::default()).await
    }

    /// Listens to one merchant's events alone, by a headers exchange as docs/operations/rabbitmq.md has it.
    pub(crate) async fn of_merchant(vhost: &Vhost, merchant_id: &str) -> Self {
        let properties = ConnectionProperties::default().with_connection_name("test operator".into());
        let connection =
            within("AMQP connects", Connection::connect(&vhost.amqp_url(), properties)).await.expect("open");
        let channel = connection.create_channel().await.expect("a channel");
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared =
            channel.exchange_declare(BY_MERCHANT.into(), ExchangeKind::Headers, durable, FieldTable::default());
        declared.await.expect("an exchange");
        let bound = channel.exchange_bind(
            BY_MERCHANT.into(),
            EVENTS.into(),
            "payment.#".into(),
            ExchangeBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("both exist");
        let mut arguments = FieldTable::default();
        for (name, value) in [("x-match", "all"), ("merchant_id", merchant_id)] {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        Self::bound(vhost, BY_MERCHANT, "", arguments).await
    }

    async fn bound(vhost: &Vhost, exchange: &str, binding: &str, arguments: FieldTable) -> Self {
        let properties = ConnectionProperties::default().with_connection_name("test merchant".into());
        let connection =
            within("AMQP connects", Connection::connect(&vhost.amqp_url(), properties)).await.expect("open");
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue =
            channel.queue_declare(ShortString::default(), options, FieldTable::default()).await.expect("a queue");
        let name = queue.name().clone();
        let bound =
            channel.queue_bind(name.clone(), exchange.into(), binding.into(), QueueBindOptions::default(), arguments);
        bound.await.expect("the exchange exists");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(name, "test".into(), options, FieldTable::default()).await;
        Self { _connection: connection, consumer: consumer.expect("the queue exists"), heard: Vec::new() }
    }

    /// The next event, its envelope checked.
    pub(crate) async fn next(&mut self) -> Value {
        let delivery = within("an event for merchants", self.consumer.next()).await.expect("open").expect("a delivery");
        let event: Value = serde_json::from_slice(&delivery.data).expect("JSON");
        let properties = &delivery.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(text(properties.content_type()), "application/cloudevents+json");
        assert_eq!(*properties.delivery_mode(), Some(2), "persistent");
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(
            (&event["id"], &event["type"]),
            (&text(properties.message_id()).into(), &delivery.routing_key.as_str().into())
        );
        let headers = properties.headers().as_ref().map(|table| table.inner().clone()).unwrap_or_default();
        let header = |name: &str| match headers.get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string().into(),
            _ => Value::Null,
        };
        let data = &event["data"];
        assert_eq!(event["subject"], data["order_id"]);
        assert_eq!(
            (header("type"), header("merchant_id"), header("order_id")),
            (event["type"].clone(), data["merchant_id"].clone(), data["order_id"].clone())
        );
        assert!(event["source"].as_str().is_some_and(|source| source.starts_with("payment-notifier/")), "{event}");
        self.heard.push(event.clone());
        event
    }

    /// Listens until an event of this type comes for the order.
    pub(crate) async fn next_of(&mut self, kind: &str, order_id: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == kind && event["data"]["order_id"] == order_id {
                return event;
            }
        }
    }

    /// The types of what was heard of an order.
    pub(crate) fn types_of(&self, order_id: &str) -> Vec<&str> {
        let of_order = self.heard.iter().filter(|event| event["data"]["order_id"] == order_id);
        of_order.filter_map(|event| event["type"].as_str()).collect()
    }

    /// How often each event was heard, by its id.
    pub(crate) fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for event in &self.heard {
            *times.entry(event["id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
        times
    }
}
