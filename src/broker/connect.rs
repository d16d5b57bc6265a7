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

/// `amqp.url` with the heartbeat of its query, or that of the settings.
pub(super) fn uri(amqp: &config::Amqp) -> Result<AMQPUri, Error> {
    // The parser's own words would repeat the address.
    let Ok(mut uri) = amqp.url.expose().parse::<AMQPUri>() else {
        return Err(Error::Address);
    };
    if uri.vhost.len() > VHOST_BYTES_MAX {
        return Err(Error::Address);
    }
    let heartbeat = uri.query.heartbeat.unwrap_or(amqp.heartbeat_s);
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

/// Connects within `amqp.connect_timeout_s`: TCP, TLS and the AMQP handshake together. lapin has no such bound itself,
/// and leaks a thread for each attempt that is given up, so callers wait between attempts.
pub(super) async fn connect(amqp: &config::Amqp, purpose: Purpose, instance: &str) -> Result<Connection, Error> {
    let attempt = Connection::connect_uri(uri(amqp)?, properties(purpose, instance));
    let failed = |reason| Error::Connect { address: amqp.url.redacted(), reason };
    match tokio::time::timeout(Duration::from_secs(amqp.connect_timeout_s), attempt).await {
        Ok(connected) => connected.map_err(|error| failed(reason(&error))),
        Err(_elapsed) => Err(failed(format!("no answer in {} s", amqp.connect_timeout_s))),
    }
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
        let plain = uri(&amqp("amqp://u:p@h/v")).unwrap();
        assert_eq!(plain.query.heartbeat, Some(10));
        let given = uri(&amqp("amqp://u:p@h/v?heartbeat=3&channel_max=1")).unwrap();
        assert_eq!((given.query.heartbeat, given.query.channel_max), (Some(3), None));
    }

    #[test]
    fn an_error_never_repeats_the_address() {
        for bad in ["amqp://u:hunter2@h:99999/v".to_owned(), format!("amqp://u:hunter2@h/{}", "v".repeat(256))] {
            let error = uri(&amqp(&bad)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
