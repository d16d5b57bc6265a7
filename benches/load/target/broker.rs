//! The broker: where it is, and a vhost of it for each target.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{EXCHANGE, QUEUE};

/// Where AMQP is, and who we are there.
#[derive(Clone)]
pub(crate) struct Amqp {
    pub(crate) authority: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

pub(crate) struct Broker {
    pub(crate) amqp: Amqp,
    management: String,
    pub(crate) pid: u32,
}

/// A vhost that lives as long as this value.
pub(crate) struct Vhost {
    pub(crate) name: String,
    amqp: Amqp,
    api: Arc<Api>,
}

struct Api {
    authority: String,
    login: String,
}

impl Broker {
    /// From what `scripts/broker` writes.
    pub(crate) fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: use scripts/bench"));
        let url = var("AMQP_URL");
        let (login, place) = url.strip_prefix("amqp://").and_then(|rest| rest.rsplit_once('@')).unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let authority = place.split('/').next().unwrap().to_owned();
        Self {
            amqp: Amqp { authority, user: user.to_owned(), password: password.to_owned() },
            management: var("MANAGEMENT_URL").trim_start_matches("http://").to_owned(),
            pid: var("RABBITMQ_PID").parse().unwrap(),
        }
    }

    pub(crate) fn make_vhost(&self) -> Vhost {
        let Amqp { user, password, .. } = &self.amqp;
        let login = STANDARD.encode(format!("{user}:{password}"));
        let api = Arc::new(Api { authority: self.management.clone(), login });
        let name = format!("bench-{:08x}", rand::random::<u32>());
        api.call("PUT", &format!("/api/vhosts/{name}"), &json!({}));
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        api.call("PUT", &format!("/api/permissions/{name}/{user}"), &all);
        Vhost { name, amqp: self.amqp.clone(), api }
    }
}

impl Vhost {
    pub(crate) fn amqp_url(&self) -> String {
        let Amqp { authority, user, password } = &self.amqp;
        format!("amqp://{user}:{password}@{authority}/{}", self.name)
    }

    /// What the service would declare, so that every target has the same.
    pub(crate) fn make_topology(&self) {
        let name = &self.name;
        let dead_letters = "payment-notifier.dead-letters";
        let durable = |kind: &str| json!({ "type": kind, "durable": true });
        self.api.call("PUT", &format!("/api/exchanges/{name}/{EXCHANGE}"), &durable("topic"));
        self.api.call("PUT", &format!("/api/exchanges/{name}/{dead_letters}"), &durable("fanout"));
        let arguments = json!({
            "x-queue-type": "quorum", "x-dead-letter-exchange": dead_letters, "x-delivery-limit": 20,
        });
        let queue = json!({ "durable": true, "arguments": arguments });
        self.api.call("PUT", &format!("/api/queues/{name}/{QUEUE}"), &queue);
        let binding = json!({ "routing_key": "payment.#" });
        self.api.call("POST", &format!("/api/bindings/{name}/e/{EXCHANGE}/q/{QUEUE}"), &binding);
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // It may be dropped because something else has failed, which is what is to be seen.
        if let Err(error) = self.api.request("DELETE", &format!("/api/vhosts/{}", self.name), &Value::Null) {
            println!("the vhost {} stays: {error}", self.name);
        }
    }
}

impl Api {
    fn call(&self, method: &str, path: &str, body: &Value) {
        self.request(method, path, body).unwrap();
    }

    /// One request over HTTP/1.0, so that the answer has no chunks.
    fn request(&self, method: &str, path: &str, body: &Value) -> Result<(), String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (authority, login) = (&self.authority, &self.login);
        let failed = |e: std::io::Error| format!("{method} {path}: {e}");
        let mut stream = TcpStream::connect(authority).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(120))).map_err(failed)?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {authority}\r\nauthorization: Basic {login}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        if answer.starts_with("HTTP/1.1 20") { Ok(()) } else { Err(format!("{method} {path}: {answer}")) }
    }
}
