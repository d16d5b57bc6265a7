//! Why the service did not start.

use crate::http::TlsError;
use crate::tickets::LoadError;
use crate::{broker, callbacks, store, telemetry};

/// Why the service did not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keys for tickets cannot be loaded.
    #[error(transparent)]
    Tickets(#[from] LoadError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Accounts of payment providers cannot be loaded.
    #[error(transparent)]
    Callbacks(#[from] callbacks::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The service has stopped, and its store has not.
    #[error("the store did not close in {limit_s} s and was abandoned: what it had not stored was not acknowledged")]
    StoreNotClosed {
        /// How long it was waited for.
        limit_s: u64,
    },
    /// Logs or traces cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::logs::Error),
    /// The broker's address cannot be used.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// An event was not published.
    #[error(transparent)]
    Publish(#[from] broker::PublishError),
    /// An address cannot be bound.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: std::net::SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Metrics cannot be set up.
    #[error("metrics: {0}")]
    Metrics(String),
}
