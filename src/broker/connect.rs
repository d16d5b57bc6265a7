//! Opens connections that a person can tell apart in RabbitMQ's console. The address carries a password: it is never
//! part of an error or a log line, nor is any type that would print it.

use std::time::Duration;

use lapin::uri::{AMQPQueryString, AMQPUri};
use lapin::{Connection, ConnectionProperties, ErrorKind};

use super::Error;
use crate::config;

/// A vhost longer than this makes lapin panic.
const VHOST_BYTES_MAX: usize = 255;

/// What the connection is for; the middle of its name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Consumer,
    Publisher,
    /// A command that looks after the dead letters.
    DeadLetters,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Publisher => "publisher",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// A place where the broker is reached.
#[derive(Clone)]
pub(super) struct Address {
    /// Holds the password.
    pub(super) uri: AMQPUri,
    /// For errors and logs.
    pub(super) shown: String,
}

/// Each address of `amqp.url` with the heartbeat of its query, or that of the settings. At least one.
pub(super) fn addresses(amqp: &config::Amqp) -> Result<Vec<Address>, Error> {
    let addresses = amqp.url.addresses();
    addresses.iter().map(|url| Ok(Address { uri: uri(url, amqp.heartbeat_s)?, shown: url.redacted() })).collect()
}

fn uri(url: &config::Secret, heartbeat_s: u16) -> Result<AMQPUri, Error> {
    // The parser's own words would repeat the address.
    let Ok(mut uri) = url.expose().parse::<AMQPUri>() else {
        return Err(Error::Address);
    };
    if uri.vhost.len() > VHOST_BYTES_MAX {
        return Err(Error::Address);
    }
    let heartbeat = uri.query.heartbeat.unwrap_or(heartbeat_s);
    uri.query = AMQPQueryString { heartbeat: Some(heartbeat), ..AMQPQueryString::default() };
    Ok(uri)
}

/// Name, program, version and node, as the console shows them. Automatic recovery stays off.
pub(super) fn properties(purpose: Purpose, instance: &str) -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name(format!("payment-notifier {} {instance}", purpose.as_str()).into())
        .with_client_property("product".into(), "payment-notifier".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
        .with_client_property("instance".into(), instance.into())
}

/// Connects by the first address that answers, each within `amqp.connect_timeout_s`: TCP, TLS and the AMQP handshake
/// together. Begins anywhere in the list, so that nodes spread over a cluster. lapin has no such bound itself, and leaks a
/// thread for each attempt that is given up, so callers wait between calls.
pub(super) async fn connect(amqp: &config::Amqp, purpose: Purpose, instance: &str) -> Result<Connection, Error> {
    let mut addresses = addresses(amqp)?;
    let first = rand::random_range(0..addresses.len().max(1));
    addresses.rotate_left(first);
    let mut failed = Vec::with_capacity(addresses.len());
    for Address { uri, shown } in addresses {
        let attempt = Connection::connect_uri(uri, properties(purpose, instance));
        let why = match tokio::time::timeout(Duration::from_secs(amqp.connect_timeout_s), attempt).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => reason(&error),
            Err(_elapsed) => format!("no answer in {} s", amqp.connect_timeout_s),
        };
        failed.push((shown, why));
    }
    // In the order of the list, so that an outage reads the same each time.
    failed.rotate_right(first);
    Err(Error::Connect(failed))
}

/// What went wrong, in the broker's words where it gave any.
pub(super) fn reason(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(told) => told.get_message().to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn amqp(url: &str) -> config::Amqp {
        let mut amqp = config::load(None).unwrap().amqp;
        amqp.url = Secret::new(url);
        amqp
    }

    #[test]
    fn the_heartbeat_is_the_addresss_or_the_settings_and_no_other_query_counts() {
        let both = addresses(&amqp("amqp://u:p@h/v,amqp://u:p@i/v?heartbeat=3&channel_max=1")).unwrap();
        let [plain, given] = &both[..] else { panic!("two") };
        assert_eq!(plain.uri.query.heartbeat, Some(10));
        assert_eq!((given.uri.query.heartbeat, given.uri.query.channel_max), (Some(3), None));
        assert_eq!((plain.shown.as_str(), given.shown.as_str()), ("amqp://u:…@h/v", "amqp://u:…@i/v"));
    }

    #[test]
    fn an_error_never_repeats_the_address() {
        for bad in ["amqp://u:hunter2@h:99999/v".to_owned(), format!("amqp://u:hunter2@h/{}", "v".repeat(256))] {
            let bad = amqp(&format!("amqp://u:p@h/v,{bad}"));
            let Err(error) = addresses(&bad) else { panic!("{bad:?}") };
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
