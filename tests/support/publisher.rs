//! Who publishes payment results, and who looks at the dead letters.

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use serde_json::Value;

use super::{Vhost, wait_for, within};

/// A publisher that waits for confirms. The exchange must exist, as it does once the service is ready.
pub(crate) struct Publisher {
    // Dropping it would close the channel.
    _connection: Connection,
    channel: Channel,
}

impl Publisher {
    pub(crate) async fn connect(vhost: &Vhost) -> Self {
        Self::connect_to(&vhost.amqp_url()).await
    }

    /// By the address of a user, or of a proxy.
    pub(crate) async fn connect_to(amqp_url: &str) -> Self {
        let (connection, channel) = open(amqp_url).await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        Self { _connection: connection, channel }
    }

    /// Publishes a body with no properties at all, as pika does, and waits for the confirm.
    pub(crate) async fn publish(&self, body: &Value) {
        self.publish_bytes(body.to_string().as_bytes(), BasicProperties::default()).await;
    }

    /// Publishes many, in no order, and waits for all confirms: one after the other each would wait for a disk.
    pub(crate) async fn publish_all(&self, bodies: impl IntoIterator<Item = Value>) {
        let publish = |body: Value| async move { self.publish(&body).await };
        futures_util::stream::iter(bodies).map(publish).buffer_unordered(16).collect::<()>().await;
    }

    /// Publishes any bytes with any properties.
    pub(crate) async fn publish_bytes(&self, body: &[u8], properties: BasicProperties) {
        self.send("payment.result.test", body, properties).await;
    }

    /// Publishes any bytes with a routing key of their own.
    pub(crate) async fn publish_with(&self, routing_key: &str, body: &[u8]) {
        self.send(routing_key, body, BasicProperties::default()).await;
    }

    async fn send(&self, routing_key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = self.channel.basic_publish("payments".into(), routing_key.into(), options, body, properties);
        let confirm = within("a message leaves", sent).await.expect("the channel is open");
        let confirmation = within("a confirm", confirm).await.expect("the channel is open");
        assert!(matches!(confirmation, Confirmation::Ack(None)), "{confirmation:?}");
    }
}

impl Publisher {
    /// Takes the one message of a queue and refuses it, again and again, until the broker has had enough of it. How often
    /// it was delivered.
    #[allow(clippy::disallowed_methods, reason = "a consumer that cannot settle is what is tested")]
    pub(crate) async fn refuse_until_gone(&self, queue: &str) -> u32 {
        let mut deliveries = 0;
        wait_for("the broker takes the message away", async || {
            let got = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("open");
            let Some(got) = got else {
                return (ready_on(&self.channel, queue).await == 0).then_some(());
            };
            let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            deliveries += 1;
            got.acker.nack(requeue).await.expect("open");
            None
        })
        .await;
        deliveries
    }
}

/// Messages that are ready in a queue.
pub(crate) async fn ready(amqp_url: &str, queue: &str) -> u64 {
    let (connection, channel) = open(amqp_url).await;
    let ready = ready_on(&channel, queue).await;
    connection.close(200, "OK".into()).await.expect("open");
    ready
}

async fn ready_on(channel: &Channel, queue: &str) -> u64 {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(queue.into(), passive, FieldTable::default());
    within("the queue answers", declared).await.expect("the queue exists").message_count().into()
}

/// A message that was put aside.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) reason: String,
    pub(crate) error: String,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

/// Takes messages out of the dead-letter queue.
pub(crate) struct DeadLetters {
    _connection: Connection,
    _channel: Channel,
    consumer: Consumer,
}

impl DeadLetters {
    pub(crate) async fn of(vhost: &Vhost) -> Self {
        let (connection, channel) = open(&vhost.amqp_url()).await;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let queue = "payment-notifier.dead-letters".into();
        let consumer = channel.basic_consume(queue, "test".into(), options, FieldTable::default()).await;
        Self { _connection: connection, _channel: channel, consumer: consumer.expect("the queue exists") }
    }

    pub(crate) async fn next(&mut self) -> DeadLetter {
        let delivery = within("a dead letter", self.consumer.next()).await.expect("open").expect("a delivery");
        let text = |name: &str| {
            let headers = delivery.properties.headers().as_ref();
            match headers.and_then(|headers| headers.inner().get(name)) {
                Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
                other => panic!("{name} is {other:?}"),
            }
        };
        DeadLetter {
            reason: text("x-reason"),
            error: text("x-error"),
            body: delivery.data.clone(),
            properties: delivery.properties,
        }
    }
}

async fn open(amqp_url: &str) -> (Connection, Channel) {
    let properties = ConnectionProperties::default().with_connection_name("test".into());
    let connection = within("AMQP connects", Connection::connect(amqp_url, properties)).await;
    let connection = connection.expect("RabbitMQ accepts us");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

/// A header table.
pub(crate) fn headers(pairs: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    table
}
