//! TLS to RabbitMQ, by the authorities that this system trusts.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Reads the authorities anew each time, so that one that was added counts with the next connection.
///
/// # Errors
/// Where nobody is trusted, or the peer is not `server`.
pub(super) async fn handshake(server: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(server.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = builder.with_root_certificates(roots()?).with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

fn roots() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(io::Error::other(format!("this system trusts no certificate authority{why}")));
    }
    Ok(roots)
}
