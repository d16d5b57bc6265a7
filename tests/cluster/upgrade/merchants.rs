//! What merchants are told, by all programs of a test.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};

use crate::support::{Vhost, within};

const EVENTS: &str = "payment-notifier.events";
const QUEUE: &str = "told";

/// One message for merchants.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) event: Value,
    /// Those that are texts.
    pub(super) headers: BTreeMap<String, String>,
}

impl Message {
    pub(super) fn kind(&self) -> &str {
        self.event["type"].as_str().expect("a type")
    }

    pub(super) fn order_id(&self) -> &str {
        self.event["data"]["order_id"].as_str().expect("an order")
    }

    fn is(&self, kind: &str, order_id: &str) -> bool {
        self.kind() == kind && self.order_id() == order_id
    }
}

/// A back end that listens from before the start of any program.
pub(super) struct Merchants {
    _connection: Connection,
    channel: Channel,
    consumer: Consumer,
    /// In the order in which they came.
    pub(super) heard: Vec<Message>,
}

impl Merchants {
    pub(super) async fn of(vhost: &Vhost) -> Self {
        vhost.put("exchanges", EVENTS, &json!({ "type": "topic", "durable": true })).await;
        vhost.put("queues", QUEUE, &json!({ "durable": true })).await;
        vhost.bind_by(EVENTS, QUEUE, "payment.#").await;
        let properties = ConnectionProperties::default().with_connection_name("test merchants".into());
        let connection = within("AMQP connects", Connection::connect(&vhost.amqp_url(), properties)).await;
        let connection = connection.expect("RabbitMQ accepts us");
        let channel = connection.create_channel().await.expect("a channel");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer = channel.basic_consume(QUEUE.into(), "test".into(), options, FieldTable::default()).await;
        Self { _connection: connection, channel, consumer: consumer.expect("the queue exists"), heard: Vec::new() }
    }

    /// The next message, or `None` for a mark of ours.
    async fn next(&mut self) -> Option<&Message> {
        let delivery = within("an event for merchants", self.consumer.next()).await.expect("open").expect("a delivery");
        if delivery.exchange.as_str().is_empty() {
            return None;
        }
        let id = delivery.properties.message_id().as_ref().expect("an id").to_string();
        let headers = delivery.properties.headers().iter().flat_map(|table| table.inner().iter());
        let headers = headers.filter_map(|(name, value)| match value {
            AMQPValue::LongString(text) => Some((name.to_string(), text.to_string())),
            _ => None,
        });
        let headers = headers.collect();
        let event: Value = serde_json::from_slice(&delivery.data).expect("JSON");
        assert_eq!((&event["id"], &event["type"]), (&id.as_str().into(), &delivery.routing_key.as_str().into()));
        self.heard.push(Message { id, event, headers });
        self.heard.last()
    }

    /// Listens until these are told of each order.
    pub(super) async fn are_told(&mut self, kind: &str, orders: &[String]) {
        let of_kind = self.heard.iter().filter(|message| message.kind() == kind);
        let heard: BTreeSet<&str> = of_kind.map(Message::order_id).collect();
        let mut missing: BTreeSet<&str> = orders.iter().map(String::as_str).filter(|id| !heard.contains(id)).collect();
        while !missing.is_empty() {
            if let Some(message) = self.next().await
                && message.kind() == kind
            {
                missing.remove(message.order_id());
            }
        }
    }

    /// What is told of this kind of an order, the last of it.
    pub(super) async fn is_told(&mut self, kind: &str, order_id: &str) -> Value {
        self.are_told(kind, &[order_id.to_owned()]).await;
        let told = self.heard.iter().rev().find(|message| message.is(kind, order_id));
        told.expect("it was heard").event["data"].clone()
    }

    /// Listens to all that the queue holds.
    pub(super) async fn are_told_all(&mut self) {
        let options = BasicPublishOptions::default();
        let mark = self.channel.basic_publish("".into(), QUEUE.into(), options, b"", BasicProperties::default());
        within("a message leaves", mark).await.expect("the channel is open");
        while self.next().await.is_some() {}
    }

    /// Checks that nothing was told twice: no message, and no order of the same.
    pub(super) fn were_told_once(&self) {
        let mut times = BTreeMap::<_, usize>::new();
        for message in &self.heard {
            *times.entry((message.kind(), message.order_id())).or_default() += 1;
        }
        times.retain(|_, times| *times > 1);
        assert!(times.is_empty(), "told more than once: {times:?}");
    }
}
