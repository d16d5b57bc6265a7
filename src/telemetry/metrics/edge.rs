//! What the listeners count of TLS, key sets and revocations.

use metrics::Label;

use super::Metrics;
use super::registry::{as_f64, counter, gauge};
use crate::telemetry::names;

impl Metrics {
    /// One TLS handshake by how it ended: ok, failed, timed_out, refused.
    pub fn tls_handshake(&self, result: &'static str) {
        self.count(names::TLS_HANDSHAKES, "result", result, 1);
    }

    /// One look at a changed certificate: ok, error.
    pub fn tls_certificate_loaded(&self, result: &'static str) {
        self.count(names::TLS_CERTIFICATE_LOADS, "result", result, 1);
    }

    /// One look at a key set for tickets, `url` or `file`: ok, error.
    pub fn key_set(&self, source: &'static str, result: &'static str) {
        let labels = vec![Label::new("source", source), Label::new("result", result)];
        counter(&self.inner.recorder, names::KEY_SETS, labels).increment(1);
    }

    /// Revocations in force.
    pub fn set_revocations(&self, count: usize) {
        gauge(&self.inner.recorder, names::REVOCATIONS, vec![]).set(as_f64(count));
    }

    /// When the certificate in use expires, seconds since 1970.
    pub fn set_tls_certificate_expires(&self, at_s: i64) {
        #[allow(clippy::cast_precision_loss, reason = "a date in seconds is far below 2^53")]
        gauge(&self.inner.recorder, names::TLS_CERTIFICATE_EXPIRES, vec![]).set(at_s as f64);
    }
}
