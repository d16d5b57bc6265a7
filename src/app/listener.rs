//! Binds a listener's address, or names the setting of one that cannot be bound.

use std::net::SocketAddr;

use super::error::Error;
use crate::http::{Server, ServerOptions};
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

pub(super) async fn bind(
    key: &'static str,
    address: SocketAddr,
    router: axum::Router,
    options: &ServerOptions,
    metrics: Option<&Metrics>,
    tasks: &Tasks,
) -> Result<Server, Error> {
    let server = Server::bind(address, router, options.clone(), metrics.cloned(), tasks.clone()).await;
    server.map_err(|source| Error::Listen { key, address, source })
}
