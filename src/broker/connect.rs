//! Opens connections that a person can tell apart in RabbitMQ's console. The address carries a password: it is never
//! part of an error or a log line, nor is any type that would print it.

use std::sync::Arc;
use std::time::Duration;

use lapin::{Connection, ConnectionProperties, ErrorKind};

use super::address::Address;
use super::error::Error;
use super::transport::{self, witness::Witness};
use crate::config;

/// What the connection is for; the middle of its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Consumer,
    Publisher,
    /// What merchants are refusal.
    Outbox,
    /// A command that looks after the dead letters.
    DeadLetters,
    /// What this node puts among the dead letters, or takes back from there.
    DeadLettersOut,
    /// What this node stores, on its way to the other nodes.
    LiveOut,
    /// What the other nodes store, on its way to this one.
    LiveIn,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Publisher => "publisher",
            Self::Outbox => "outbox",
            Self::DeadLetters => "dead-letters",
            Self::DeadLettersOut => "dead-letters-out",
            Self::LiveOut => "live-out",
            Self::LiveIn => "live-in",
        }
    }
}

/// Name, program, version, node and purpose, as the console shows them. Automatic recovery stays off.
pub(super) fn properties(purpose: Purpose, instance: &str) -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name(format!("payment-notifier {} {instance}", purpose.as_str()).into())
        .with_client_property("product".into(), "payment-notifier".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
        .with_client_property("node".into(), instance.into())
        .with_client_property("purpose".into(), purpose.as_str().into())
}

/// Connects by the first address that answers, each within `amqp.connect_timeout_s`: TCP, TLS and the AMQP handshake
/// together, for which lapin has no bound itself. Begins anywhere in the list, so that nodes spread over a cluster.
pub(super) async fn connect(
    addresses: &[Address],
    amqp: &config::Amqp,
    purpose: Purpose,
    instance: &str,
) -> Result<Connection, Error> {
    connect_witnessed(addresses, amqp, purpose, instance).await.map(|(connection, _witness)| connection)
}

/// The same, with what its frames hold of messages.
pub(super) async fn connect_witnessed(
    addresses: &[Address],
    amqp: &config::Amqp,
    purpose: Purpose,
    instance: &str,
) -> Result<(Connection, Arc<Witness>), Error> {
    let (limit_s, first) = (amqp.connect_timeout_s, rand::random_range(0..addresses.len().max(1)));
    let (before, from_first) = addresses.split_at(first);
    let mut failed = Vec::with_capacity(addresses.len());
    for address in from_first.iter().chain(before) {
        let (uri, runtime, witness) = transport::under(&address.uri);
        let attempt = Connection::connect_uri_with_runtime(uri, properties(purpose, instance), runtime);
        let why = match address.attempt(Duration::from_secs(limit_s), attempt).await {
            Some(Ok(connection)) => return Ok((connection, witness)),
            Some(Err(error)) => reason(&error),
            None => format!("no answer in {limit_s} s"),
        };
        failed.push((address.shown.clone(), why));
    }
    // In the order of the list, so that an outage reads the same each time.
    failed.rotate_right(first);
    Err(Error::Connect(failed))
}

/// What went wrong, in the broker's words where it gave any.
pub(super) fn reason(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => refusal.get_message().to_string(),
        _ => error.to_string(),
    }
}
