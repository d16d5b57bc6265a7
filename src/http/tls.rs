//! TLS of the listener for pages, by files that may be exchanged while it runs.
//!
//! A connection is kept small: no session is stored, and a handshake that does not come to an end is given up. A
//! certificate that cannot be used never replaces one that can.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::net::TcpStream;

use super::handshakes::{HandshakeSlot, Handshakes};
use super::tls_stream::TlsStream;
use crate::config::Http;
use crate::runtime::{Contents, Tasks, WatchedFiles};
use crate::telemetry::Metrics;

/// Between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Why TLS cannot be served: one line that names the setting.
#[derive(Debug, thiserror::Error)]
#[error("http.tls_cert_file, http.tls_key_file: {0}")]
pub struct TlsError(String);

/// How connections of the listener become TLS connections.
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
    handshakes: Handshakes,
    handshake_timeout: Duration,
    metrics: Metrics,
    files: tokio::sync::Mutex<WatchedFiles>,
}

/// The certificate in use, for the handshakes to come.
#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads certificate and key. Not set where the settings name none.
    ///
    /// # Errors
    /// [`TlsError`] for files that cannot be read or do not fit each other.
    pub fn load(http: &Http, metrics: &Metrics) -> Result<Option<Self>, TlsError> {
        if http.tls_cert_file.as_os_str().is_empty() {
            return Ok(None);
        }
        let (files, contents) = WatchedFiles::open(paths(http));
        let (key, expires_at_s) = certified_key(contents).map_err(TlsError)?;
        metrics.begin_tls();
        metrics.set_tls_certificate_expires(expires_at_s);
        metrics.tls_certificate_loaded("ok");
        let certificate = Arc::new(Certificate(RwLock::new(Arc::new(key))));
        let config = config(Arc::clone(&certificate)).map_err(|error| TlsError(error.to_string()))?;
        Ok(Some(Self {
            config: Arc::new(config),
            certificate,
            handshakes: Handshakes::new(http.tls_handshakes_max),
            handshake_timeout: Duration::from_secs(http.tls_handshake_timeout_s),
            metrics: metrics.clone(),
            files: tokio::sync::Mutex::new(files),
        }))
    }

    /// Proves that the files can be used.
    ///
    /// # Errors
    /// As for [`Tls::load`].
    pub fn check(http: &Http) -> Result<(), TlsError> {
        if http.tls_cert_file.as_os_str().is_empty() {
            return Ok(());
        }
        let (_, contents) = WatchedFiles::open(paths(http));
        certified_key(contents).map(drop).map_err(TlsError)
    }

    /// A slot for one handshake. Not set where as many are under way as may be. `address` is not set for one without limits.
    pub(super) fn begin(&self, address: Option<IpAddr>) -> Option<HandshakeSlot> {
        let slot = self.handshakes.begin(address);
        if slot.is_none() {
            self.metrics.tls_handshake("refused");
        }
        slot
    }

    /// Not set for a peer that does not come to the end of it in time, or speaks something else.
    pub(super) async fn handshake(&self, stream: TcpStream, slot: HandshakeSlot) -> Option<Box<TlsStream<TcpStream>>> {
        let accepting = async {
            let mut stream = Box::new(TlsStream::new(stream, Arc::clone(&self.config))?);
            std::future::poll_fn(|context| stream.poll_handshake(context)).await?;
            Ok::<_, std::io::Error>(stream)
        };
        let accepted = tokio::time::timeout(self.handshake_timeout, accepting).await;
        drop(slot);
        let (result, stream) = match accepted {
            Ok(Ok(stream)) => ("ok", Some(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                ("failed", None)
            }
            Err(_elapsed) => ("timed_out", None),
        };
        self.metrics.tls_handshake(result);
        stream
    }

    /// Looks at the files until the tasks are told to stop, and takes what they hold for the handshakes to come.
    pub async fn watch(self: Arc<Self>, tasks: Tasks) {
        let mut files = self.files.lock().await;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = tasks.stopping() => return,
            }
            if let Some(contents) = files.changed().await {
                self.take(contents);
            }
        }
    }

    fn take(&self, contents: Contents) {
        match certified_key(contents) {
            Ok((key, expires_at_s)) => {
                *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                self.metrics.set_tls_certificate_expires(expires_at_s);
                self.metrics.tls_certificate_loaded("ok");
                tracing::info!(expires_at_s, "certificate changed");
            }
            Err(error) => {
                self.metrics.tls_certificate_loaded("error");
                tracing::error!(error, "changed certificate cannot be used, the previous one stays in use");
            }
        }
    }
}

fn paths(http: &Http) -> Vec<PathBuf> {
    vec![http.tls_cert_file.clone(), http.tls_key_file.clone()]
}

fn config(certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A page that comes back brings its session along, sealed; here nothing is held for one that may never come.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    // What is sent before the peer has proved that it is there could be sent to anybody.
    config.send_half_rtt_data = false;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The key with its chain, and when the first of the chain expires.
fn certified_key(contents: Contents) -> Result<(CertifiedKey, i64), String> {
    let contents = contents?;
    let [certificates, key] = contents.as_slice() else {
        return Err("two files are needed".to_owned());
    };
    let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate file is not PEM: {error}"))?;
    let first = chain.first().ok_or("the certificate file holds no certificate")?;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(first).map_err(|error| format!("not a certificate: {error}"))?;
    let expires_at_s = parsed.validity().not_after.timestamp();
    // The error could repeat what stands in the file.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_unreadable| "the key file holds no private key in PEM")?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| error.to_string())?;
    Ok((key, expires_at_s))
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
