//! The publisher: AMQP with confirms for all that stand behind a broker, HTTP for what does not.

mod amqp;
mod http;

use mio::Registry;

pub(crate) use amqp::{Amqp, Key, Route};
pub(crate) use http::Http;

pub(crate) enum Publisher {
    Amqp(Amqp),
    Http(Http),
}

impl Publisher {
    /// Takes one event; it leaves with the next [`Publisher::flush`].
    pub(crate) fn publish(&mut self, n: u32, order: u32) {
        match self {
            Self::Amqp(amqp) => amqp.publish(n, order),
            Self::Http(http) => http.publish(n, order),
        }
    }

    pub(crate) fn flush(&mut self) {
        match self {
            Self::Amqp(amqp) => amqp.flush(),
            Self::Http(http) => http.flush(),
        }
    }

    /// The `part`-th of its sockets has something: whose events are confirmed by it.
    pub(crate) fn on_ready(&mut self, part: usize, confirmed: &mut Vec<u32>) {
        match self {
            Self::Amqp(amqp) => amqp.on_ready(confirmed),
            Self::Http(http) => http.on_ready(part, confirmed),
        }
    }

    /// Registers its sockets as `first_token`, `first_token + 1` and so on.
    pub(crate) fn register(&mut self, registry: &Registry, first_token: usize) {
        match self {
            Self::Amqp(amqp) => amqp.register(registry, first_token),
            Self::Http(http) => http.register(registry, first_token),
        }
    }
}
