//! A vhost, the room's parts over it, and a connection to look at it with.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use payment_notifier::broker::live;
use payment_notifier::broker::{Consumer, ConsumerParts, Options, Publisher};
use payment_notifier::config::{self, Secret};
use payment_notifier::hub::Hub;
use payment_notifier::payment::{Event, EventId, Key, MerchantId, OrderId, Status, Timestamp};
use payment_notifier::runtime::{Component, Health, Tasks};
use payment_notifier::store::{OutboxSignal, TimelineRecorder};
use payment_notifier::telemetry::Metrics;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::memory::Memory;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Where the broker is.
fn environment(name: &str) -> String {
    if let Ok(value) = std::env::var(name) {
        return value;
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/.run/test/env");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("no broker: set {name}, or run scripts/broker up .run/test")).to_owned()
}

/// Waits until `holds` answers true.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// RabbitMQ's management API.
#[derive(Clone)]
pub(crate) struct Management {
    url: String,
    user: String,
    password: String,
}

impl Management {
    fn new() -> Self {
        let login = environment("AMQP_URL");
        let login = login.split_once("://").unwrap().1.rsplit_once('@').unwrap().0;
        let (user, password) = login.split_once(':').unwrap();
        Self { url: environment("MANAGEMENT_URL"), user: user.into(), password: password.into() }
    }

    async fn try_call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<(u16, Value), String> {
        // Another test of this process may have installed it.
        let _either = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().map_err(|e| e.to_string())?;
        let request =
            client.request(method, format!("{}/api/{path}", self.url)).basic_auth(&self.user, Some(&self.password));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.timeout(Duration::from_secs(30)).send().await.map_err(|e| e.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method = method.parse().unwrap();
        let (status, answer) =
            self.try_call(method, path, body).await.unwrap_or_else(|e| panic!("no broker at {}: {e}", self.url));
        assert!(status < 300 || status == 404, "{path}: {status} {answer}");
        answer
    }
}

/// A vhost that is gone when this is dropped.
pub(crate) struct World {
    pub(crate) vhost: String,
    pub(crate) management: Management,
    pub(crate) amqp: config::Amqp,
    pub(crate) payments: config::Payments,
    pub(crate) outbox: config::Outbox,
    admin: Connection,
}

impl World {
    pub(crate) async fn new(name: &str) -> Self {
        let management = Management::new();
        let vhost = format!("test-{name}-{}", std::process::id());
        management.call("PUT", &format!("vhosts/{vhost}"), Some(json!({}))).await;
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        management.call("PUT", &format!("permissions/{vhost}/{}", management.user), Some(all)).await;
        let url = environment("AMQP_URL");
        let url = format!("{}/{vhost}", url.rsplit_once('/').unwrap().0);
        let settings = config::load(None).unwrap();
        let amqp =
            config::Amqp { url: Secret::new(url.clone()), lag_interval_s: 1, retry_longest_ms: 500, ..settings.amqp };
        let admin = Connection::connect(&url, ConnectionProperties::default()).await.expect("no broker at AMQP_URL");
        Self { vhost, management, amqp, payments: settings.payments, outbox: settings.outbox, admin }
    }

    pub(crate) fn options(&self) -> Options {
        let instance = format!("node-{}", self.vhost);
        Options {
            amqp: Arc::new(self.amqp.clone()),
            payments: self.payments.clone(),
            outbox: self.outbox.clone(),
            batch_events_max: 512,
            instance,
        }
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.admin.create_channel().await.unwrap()
    }

    /// Messages ready in a queue, and its consumers; not set where there is no such queue.
    pub(crate) async fn queue(&self, name: &str) -> Option<(u32, u32)> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = self.channel().await.queue_declare(name.into(), passive, FieldTable::default()).await.ok()?;
        Some((found.message_count(), found.consumer_count()))
    }

    /// Waits until a queue has so many messages and consumers: RabbitMQ counts them some time after it has answered.
    pub(crate) async fn queue_becomes(&self, name: &str, counts: (u32, u32)) {
        until(&format!("{name} has {counts:?}"), async || self.queue(name).await == Some(counts)).await;
    }

    /// Publishes as some other program would.
    pub(crate) async fn send(&self, body: &str, properties: BasicProperties) {
        let (exchange, options) = (self.amqp.exchange.as_str().into(), BasicPublishOptions::default());
        let key = "payment.result.test".into();
        let channel = self.channel().await;
        channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.unwrap();
        let sent = channel.basic_publish(exchange, key, options, body.as_bytes(), properties).await.unwrap();
        assert!(sent.await.unwrap().is_ack());
    }

    /// Takes one message out of the dead-letter queue, waiting for it.
    pub(crate) async fn dead_letter(&self) -> lapin::message::BasicGetMessage {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let queue = self.amqp.dead_letter_queue.as_str().into();
            if let Some(got) = self.channel().await.basic_get(queue, BasicGetOptions { no_ack: true }).await.unwrap() {
                return got;
            }
            assert!(Instant::now() < deadline, "no dead letter");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The names under which the broker knows this vhost's connections whose given name contains `part`.
    pub(crate) async fn connections(&self, part: &str) -> Vec<String> {
        let all = self.management.call("GET", &format!("vhosts/{}/connections", self.vhost), None).await;
        let of = |connection: &Value| {
            let name = connection["client_properties"]["connection_name"].as_str()?;
            name.contains(part).then(|| connection["name"].as_str().map(str::to_owned))?
        };
        all.as_array().map(|all| all.iter().filter_map(of).collect()).unwrap_or_default()
    }

    /// Closes those connections as an operator would, and answers how many there were.
    pub(crate) async fn close_connections(&self, part: &str) -> usize {
        let names = self.connections(part).await;
        for name in &names {
            let name = name.replace(' ', "%20").replace('>', "%3E");
            self.management.call("DELETE", &format!("connections/{name}"), None).await;
        }
        names.len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (management, path) = (self.management.clone(), format!("vhosts/{}", self.vhost));
        let gone = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(management.try_call(reqwest::Method::DELETE, &path, None)).map(drop)
        });
        drop(gone.join());
    }
}

/// A running consumer and what it works with.
pub(crate) struct Node {
    pub(crate) store: Arc<Memory>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) tasks: Tasks,
}

impl Node {
    pub(crate) async fn start(world: &World) -> Self {
        let node = Self::begin(world);
        until("the consumer is established", async || !node.faults().contains("consumer")).await;
        node
    }

    /// Without waiting for it to be established.
    pub(crate) fn begin(world: &World) -> Self {
        Self::begin_with(world, Memory::new())
    }

    pub(crate) fn begin_with(world: &World, store: Arc<Memory>) -> Self {
        Self::begin_telling(world, store, None)
    }

    /// A node that tells others what it stores.
    pub(crate) fn begin_telling(world: &World, store: Arc<Memory>, live: Option<live::LiveSender>) -> Self {
        let options = world.options();
        let publisher = Publisher::new(&options).unwrap();
        let node = Self {
            store,
            hub: Hub::new(),
            publisher,
            metrics: Metrics::new().unwrap(),
            health: Health::starting(),
            tasks: Tasks::new(),
        };
        node.health.ok(Component::Store);
        node.health.ok(Component::Node);
        let parts = ConsumerParts {
            store: node.store.clone(),
            live,
            hub: node.hub.clone(),
            publisher: node.publisher.clone(),
            timeline: TimelineRecorder::off(),
            outbox_signal: OutboxSignal::default(),
            metrics: node.metrics.clone(),
            health: node.health.clone(),
        };
        let consumer = Consumer::new(options, parts).unwrap();
        node.tasks.spawn(consumer.run(node.tasks.clone()));
        node
    }

    /// All faults as text: `consumer: why; …`
    pub(crate) fn faults(&self) -> String {
        let faults = self.health.faults();
        faults.iter().map(|(part, why)| format!("{}: {why}; ", part.as_str())).collect()
    }

    pub(crate) async fn stop(&self) {
        self.tasks.stop();
        self.tasks.join(Duration::from_secs(20)).await.expect("the consumer stops");
    }

    /// The value of a metric's line.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        metric_of(&self.metrics, line)
    }
}

/// The value of a metric's line, 0 where it is not there.
pub(crate) fn metric_of(metrics: &Metrics, line: &str) -> f64 {
    let text = metrics.render();
    let value = text.lines().find_map(|l| l.strip_prefix("payment_notifier_")?.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

pub(crate) fn key(order: &str) -> Key {
    Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap())
}

pub(crate) fn event(order: &str, event_id: &str, status: Status) -> Event {
    let at = Timestamp::parse("2026-01-31T08:30:00+08:00").unwrap();
    Event::new(key(order), EventId::new(event_id).unwrap(), status, at)
}

pub(crate) fn body(order: &str, event_id: &str, status: Status) -> String {
    String::from_utf8(payment_notifier::broker::decode::encode(&event(order, event_id, status))).unwrap()
}
