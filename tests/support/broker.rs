//! The RabbitMQ that tests use, and a vhost of it for each test.

use std::path::Path;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::http::blocking_request;
use super::repository;

/// Tests that may run at one time, each with its own service: more than a small machine has cores would only make all
/// of them slow.
const TESTS_MAX: usize = 4;

static TURNS: std::sync::LazyLock<Arc<Semaphore>> = std::sync::LazyLock::new(|| Arc::new(Semaphore::new(TESTS_MAX)));

/// Where RabbitMQ is and who we are there.
#[derive(Clone)]
pub(crate) struct Broker {
    user: String,
    password: String,
    amqp_authority: String,
    management_authority: String,
}

impl Broker {
    /// From `AMQP_URL` and `MANAGEMENT_URL`, else from the file that `scripts/broker up .run/test` writes.
    pub(crate) fn from_env() -> Self {
        let file = std::fs::read_to_string(repository().join(".run/test/env")).unwrap_or_default();
        Self::from_settings(|name| match std::env::var(name) {
            Ok(value) if !value.is_empty() => Some(value),
            _ => of_file(&file, name),
        })
    }

    /// The node whose folder this is, as `scripts/broker up` left it.
    #[allow(dead_code, reason = "only the fault tests have nodes of their own")]
    pub(crate) fn of_folder(folder: &Path) -> Self {
        let file = std::fs::read_to_string(folder.join("env")).unwrap_or_default();
        Self::from_settings(|name| of_file(&file, name))
    }

    fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Self {
        let (Some(amqp), Some(management)) = (setting("AMQP_URL"), setting("MANAGEMENT_URL")) else {
            panic!("no RabbitMQ to test with: run `scripts/broker up .run/test`, or set AMQP_URL and MANAGEMENT_URL");
        };
        let malformed = "AMQP_URL must be amqp://user:password@host:port/vhost";
        let rest = amqp.strip_prefix("amqp://").expect(malformed);
        let (login, place) = rest.rsplit_once('@').expect(malformed);
        let (user, password) = login.split_once(':').expect(malformed);
        let host = management.strip_prefix("http://").expect("MANAGEMENT_URL must be http://host:port");
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self {
            user: decoded(user),
            password: decoded(password),
            amqp_authority: place.split('/').next().unwrap_or_default().to_owned(),
            management_authority: host.trim_end_matches('/').to_owned(),
        }
    }

    /// Host and port of AMQP.
    pub(crate) fn amqp_authority(&self) -> &str {
        &self.amqp_authority
    }

    /// Calls the management API; panics if it does not answer, hands back what it answers.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string);
        let login = format!("{}:{}", self.user, self.password);
        let (status, text) = blocking_request(&self.management_authority, method, path, Some(&login), body.as_deref())
            .unwrap_or_else(|e| panic!("RabbitMQ's management API at {}: {e}", self.management_authority));
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn call_async(&self, method: &'static str, path: String, body: Option<Value>) -> (u16, Value) {
        let broker = self.clone();
        let call = tokio::task::spawn_blocking(move || broker.call(method, &path, body.as_ref()));
        call.await.expect("the management call does not panic")
    }
}

/// A vhost with a random name that lives as long as this value. Holding it is also the test's turn to run.
pub(crate) struct Vhost {
    name: String,
    broker: Broker,
    _turn: OwnedSemaphorePermit,
}

impl Vhost {
    /// Waits for the test's turn, then makes the vhost.
    pub(crate) async fn create() -> Self {
        Self::create_on(Broker::from_env()).await
    }

    /// The same on a broker of the test's own.
    pub(crate) async fn create_on(broker: Broker) -> Self {
        let turn = Arc::clone(&TURNS).acquire_owned().await.expect("the semaphore is never closed");
        let name = format!("test-{:016x}", rand::random::<u64>());
        let vhost = Self { name, broker, _turn: turn };
        vhost.make().await;
        vhost
    }

    /// Makes the vhost, or makes it again after [`Vhost::delete`], and lets our user do all in it.
    pub(crate) async fn make(&self) {
        let (status, answer) = self.broker.call_async("PUT", self.path("vhosts"), Some(json!({}))).await;
        assert!(status < 300, "PUT vhost: {status} {answer}");
        let path = format!("{}/{}", self.path("permissions"), encoded(&self.broker.user));
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        let (status, answer) = self.broker.call_async("PUT", path, Some(all)).await;
        assert!(status < 300, "PUT permissions: {status} {answer}");
    }

    /// Takes the vhost away, connections and all.
    pub(crate) async fn delete(&self) {
        let (status, answer) = self.broker.call_async("DELETE", self.path("vhosts"), None).await;
        assert!(status < 300, "DELETE vhost: {status} {answer}");
    }

    /// The address by which an AMQP client reaches this vhost.
    pub(crate) fn amqp_url(&self) -> String {
        self.amqp_url_at(&self.broker.amqp_authority)
    }

    /// The same by another host and port: a proxy's.
    pub(crate) fn amqp_url_at(&self, authority: &str) -> String {
        let Broker { user, password, .. } = &self.broker;
        format!("amqp://{}:{}@{authority}/{}", encoded(user), encoded(password), self.name)
    }

    /// The broker password, for proving that it is nowhere in the program's output.
    pub(crate) fn password(&self) -> &str {
        &self.broker.password
    }

    /// Closes the connections whose client-given name contains `part`, as an operator would in the console.
    /// Returns how many there were: the console learns of a connection some seconds after it was made.
    pub(crate) async fn close_connections(&self, part: &str) -> usize {
        let (_, list) = self.broker.call_async("GET", format!("{}/connections", self.path("vhosts")), None).await;
        let mut closed = 0;
        for connection in list.as_array().into_iter().flatten() {
            let given = connection["user_provided_name"].as_str().unwrap_or_default();
            if let Some(name) = connection["name"].as_str().filter(|_| given.contains(part)) {
                let path = format!("/api/connections/{}", encoded(name));
                let (status, _) = self.broker.call_async("DELETE", path, None).await;
                closed += usize::from(status < 300);
            }
        }
        closed
    }

    /// What the console says of a queue, an exchange or a binding: `get("queues", "payment-notifier.results")`.
    pub(crate) async fn get(&self, kind: &str, name: &str) -> Value {
        let name = if name.is_empty() { String::new() } else { format!("/{}", encoded(name)) };
        self.broker.call_async("GET", format!("{}{name}", self.path(kind)), None).await.1
    }

    /// Messages that are ready in a queue. The console's own figure is some seconds old, so a look at the messages counts.
    pub(crate) async fn ready(&self, queue: &str) -> u64 {
        super::publisher::ready(&self.amqp_url(), queue).await
    }

    /// The first message of a queue, as the console's *Get messages* shows it. It stays in its place.
    pub(crate) async fn peek(&self, queue: &str) -> Value {
        let path = format!("{}/{}/get", self.path("queues"), encoded(queue));
        let ask = json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" });
        let (status, answer) = self.broker.call_async("POST", path, Some(ask)).await;
        assert!(status < 300 && answer[0].is_object(), "POST get: {status} {answer}");
        answer[0].clone()
    }

    /// Moves all messages of a queue to another as the console's *Move messages* does, and waits until that has ended.
    pub(crate) async fn move_messages(&self, from: &str, to: &str) {
        let uri = format!("amqp:///{}", self.name);
        let shovel = json!({ "value": {
            "src-protocol": "amqp091", "src-uri": uri, "src-queue": from, "src-prefetch-count": 1000,
            "src-delete-after": "queue-length", "dest-protocol": "amqp091", "dest-uri": uri, "dest-queue": to,
            "dest-add-forward-headers": false, "ack-mode": "on-confirm",
        } });
        let path = format!("/api/parameters/shovel/{}/{}", self.name, encoded(&format!("Move from {from}")));
        let (status, answer) = self.broker.call_async("PUT", path.clone(), Some(shovel)).await;
        assert!(status < 300, "PUT shovel: {status} {answer}");
        super::wait_for("the shovel has ended", async || {
            (self.broker.call_async("GET", path.clone(), None).await.0 == 404).then_some(())
        })
        .await;
    }

    /// Takes a queue or an exchange away, as an operator would in the console.
    pub(crate) async fn remove(&self, kind: &str, name: &str) {
        let path = format!("{}/{}", self.path(kind), encoded(name));
        let (status, answer) = self.broker.call_async("DELETE", path, None).await;
        assert!(status < 300, "DELETE {kind} {name}: {status} {answer}");
    }

    /// Makes a queue or an exchange, as an operator would in the console.
    pub(crate) async fn put(&self, kind: &str, name: &str, definition: &Value) {
        let path = format!("{}/{}", self.path(kind), encoded(name));
        let (status, answer) = self.broker.call_async("PUT", path, Some(definition.clone())).await;
        assert!(status < 300, "PUT {kind} {name}: {status} {answer}");
    }

    /// Binds a queue to an exchange, with an empty routing key.
    pub(crate) async fn bind(&self, exchange: &str, queue: &str) {
        let path = format!("{}/e/{}/q/{}", self.path("bindings"), encoded(exchange), encoded(queue));
        let (status, answer) = self.broker.call_async("POST", path, Some(json!({ "routing_key": "" }))).await;
        assert!(status < 300, "POST binding: {status} {answer}");
    }

    /// Binds a queue to an exchange by a routing key.
    #[allow(dead_code, reason = "only the fault tests take bindings away")]
    pub(crate) async fn bind_by(&self, exchange: &str, queue: &str, key: &str) {
        let path = format!("{}/e/{}/q/{}", self.path("bindings"), encoded(exchange), encoded(queue));
        let (status, answer) = self.broker.call_async("POST", path, Some(json!({ "routing_key": key }))).await;
        assert!(status < 300, "POST binding: {status} {answer}");
    }

    /// Takes every binding of a queue to an exchange away.
    #[allow(dead_code, reason = "only the fault tests take bindings away")]
    pub(crate) async fn unbind(&self, exchange: &str, queue: &str) {
        let path = format!("{}/e/{}/q/{}", self.path("bindings"), encoded(exchange), encoded(queue));
        let (_, bindings) = self.broker.call_async("GET", path.clone(), None).await;
        for binding in bindings.as_array().into_iter().flatten() {
            let key = encoded(binding["properties_key"].as_str().unwrap_or_default());
            let (status, answer) = self.broker.call_async("DELETE", format!("{path}/{key}"), None).await;
            assert!(status < 300, "DELETE binding: {status} {answer}");
        }
    }

    /// Takes the first message out of a queue: its `payload`, its `properties`.
    pub(crate) async fn take(&self, queue: &str) -> Value {
        let path = format!("{}/{}/get", self.path("queues"), encoded(queue));
        let one = json!({ "count": 1, "ackmode": "ack_requeue_false", "encoding": "auto" });
        let (status, answer) = self.broker.call_async("POST", path, Some(one)).await;
        assert!(status < 300 && answer[0].is_object(), "POST get {queue}: {status} {answer}");
        answer[0].clone()
    }

    /// Imports the part of some definitions that lies in a vhost into this one.
    pub(crate) async fn import(&self, definitions: &Value) {
        let mut part = json!({});
        for kind in ["exchanges", "queues", "bindings", "policies"] {
            part[kind] = definitions[kind].clone();
        }
        let (status, answer) = self.broker.call_async("POST", self.path("definitions"), Some(part)).await;
        assert!(status < 300, "POST definitions: {status} {answer}");
    }

    /// Makes a user with these permissions in this vhost, for as long as the answer lives.
    pub(crate) async fn user(&self, permissions: &Value) -> User {
        let name = format!("{}-{:08x}", self.name, rand::random::<u32>());
        let user = User {
            broker: Broker { user: name.clone(), ..self.broker.clone() },
            owner: self.broker.clone(),
            vhost: self.name.clone(),
        };
        let login = json!({ "password": user.broker.password, "tags": "" });
        let (status, answer) = self.broker.call_async("PUT", format!("/api/users/{name}"), Some(login)).await;
        assert!(status < 300, "PUT user: {status} {answer}");
        let path = format!("{}/{name}", self.path("permissions"));
        let (status, answer) = self.broker.call_async("PUT", path, Some(permissions.clone())).await;
        assert!(status < 300, "PUT permissions: {status} {answer}");
        user
    }

    /// Its name, as definitions have it.
    #[allow(dead_code, reason = "the fault tests import no users")]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Imports definitions as they are, users and vhosts too.
    #[allow(dead_code, reason = "the fault tests import no users")]
    pub(crate) async fn import_all(&self, definitions: Value) {
        let (status, answer) = self.broker.call_async("POST", "/api/definitions".to_owned(), Some(definitions)).await;
        assert!(status < 300, "POST definitions: {status} {answer}");
    }

    /// A user who is there already, of this password; gone when the answer is.
    #[allow(dead_code, reason = "the fault tests import no users")]
    pub(crate) fn user_named(&self, name: String, password: String) -> User {
        let broker = Broker { user: name, password, ..self.broker.clone() };
        User { broker, owner: self.broker.clone(), vhost: self.name.clone() }
    }

    fn path(&self, kind: &str) -> String {
        format!("/api/{kind}/{}", self.name)
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let path = self.path("vhosts");
        let login = format!("{}:{}", self.broker.user, self.broker.password);
        // The vhost of a failed test may be gone already; its failure must not be hidden by another.
        drop(blocking_request(&self.broker.management_authority, "DELETE", &path, Some(&login), None));
    }
}

/// A user of a vhost, gone when this value is. Its password is ours.
pub(crate) struct User {
    broker: Broker,
    owner: Broker,
    vhost: String,
}

impl User {
    pub(crate) fn amqp_url(&self) -> String {
        let Broker { user, password, amqp_authority, .. } = &self.broker;
        format!("amqp://{}:{}@{amqp_authority}/{}", encoded(user), encoded(password), self.vhost)
    }

    /// Its name, for permissions.
    #[allow(dead_code, reason = "the fault tests change no user")]
    pub(crate) fn name(&self) -> &str {
        &self.broker.user
    }

    /// Another password, as an operator gives it in the console.
    #[allow(dead_code, reason = "the fault tests change no user")]
    pub(crate) async fn set_password(&mut self, password: &str) {
        password.clone_into(&mut self.broker.password);
        let login = json!({ "password": password, "tags": "" });
        let path = format!("/api/users/{}", self.broker.user);
        let (status, answer) = self.owner.call_async("PUT", path, Some(login)).await;
        assert!(status < 300, "PUT user: {status} {answer}");
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let login = format!("{}:{}", self.owner.user, self.owner.password);
        let path = format!("/api/users/{}", self.broker.user);
        drop(blocking_request(&self.owner.management_authority, "DELETE", &path, Some(&login), None));
    }
}

fn of_file(file: &str, name: &str) -> Option<String> {
    let mut settings = file.lines().filter_map(|line| line.split_once('='));
    settings.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
