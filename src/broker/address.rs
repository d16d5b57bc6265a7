//! An address of the broker, and whether lapin can be given it.
//!
//! lapin leaves a thread behind for each attempt that is given up, and goes on trying in it. So an address that has given
//! no answer once is asked for a sign of life first, until it gives one: an outage of any length costs one thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::uri::{AMQPQueryString, AMQPUri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::Error;
use crate::config;

/// A vhost longer than this makes lapin panic.
const VHOST_BYTES_MAX: usize = 255;

/// What an AMQP client says first. A peer that expects something else answers that with an end or an alert.
const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// One of `amqp.url`.
pub(super) struct Address {
    /// Holds the password.
    pub(super) uri: AMQPUri,
    /// For errors and logs.
    pub(super) shown: String,
    is_silent: AtomicBool,
}

impl Address {
    /// Each of `amqp.url` with the heartbeat of its query, or that of the settings. At least one.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub(super) fn all(amqp: &config::Amqp) -> Result<Vec<Self>, Error> {
        let address = |url: &config::Secret| {
            let (uri, shown) = (uri(url, amqp.heartbeat_s)?, url.redacted());
            Ok(Self { uri, shown, is_silent: AtomicBool::new(false) })
        };
        amqp.url.addresses().iter().map(address).collect()
    }

    /// The outcome of an attempt to connect here, or nothing where there was none within `limit`, before which there may
    /// be as long a wait for a sign of life.
    pub(super) async fn attempt<T>(&self, limit: Duration, attempt: impl Future<Output = T>) -> Option<T> {
        if self.is_silent.load(Ordering::Relaxed) && timeout(limit, self.sign_of_life()).await.is_err() {
            return None;
        }
        let mut giving_up = GivingUp { is_silent: &self.is_silent, answered: false };
        let outcome = timeout(limit, attempt).await.ok()?;
        giving_up.answered = true;
        Some(outcome)
    }

    /// The attempt was given up by its own clock.
    pub(super) fn gave_no_answer(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    /// Ends with whatever the peer sends or does, a refusal included.
    async fn sign_of_life(&self) {
        let host_and_port = (self.uri.authority.host.as_str(), self.uri.authority.port);
        let asked = async {
            let mut peer = TcpStream::connect(host_and_port).await?;
            peer.write_all(PROTOCOL_HEADER).await?;
            peer.read_u8().await
        };
        // An error is a sign as good as any: lapin will meet it at once.
        drop(asked.await);
    }
}

/// Notes how an attempt ended, also where nobody waited for its end.
struct GivingUp<'a> {
    is_silent: &'a AtomicBool,
    answered: bool,
}

impl Drop for GivingUp<'_> {
    fn drop(&mut self) {
        self.is_silent.store(!self.answered, Ordering::Relaxed);
    }
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
        let both = Address::all(&amqp("amqp://u:p@h/v,amqp://u:p@i/v?heartbeat=3&channel_max=1")).unwrap();
        let [plain, given] = &both[..] else { panic!("two") };
        assert_eq!(plain.uri.query.heartbeat, Some(10));
        assert_eq!((given.uri.query.heartbeat, given.uri.query.channel_max), (Some(3), None));
        assert_eq!((plain.shown.as_str(), given.shown.as_str()), ("amqp://u:…@h/v", "amqp://u:…@i/v"));
    }

    #[test]
    fn an_error_never_repeats_the_address() {
        for bad in ["amqp://u:hunter2@h:99999/v".to_owned(), format!("amqp://u:hunter2@h/{}", "v".repeat(256))] {
            let bad = amqp(&format!("amqp://u:p@h/v,{bad}"));
            let Err(error) = Address::all(&bad) else { panic!("{bad:?}") };
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
