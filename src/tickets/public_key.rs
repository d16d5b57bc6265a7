//! A public key for tickets, held against what its algorithm wants before any ticket comes.

use jsonwebtoken::{Algorithm, DecodingKey};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::config::rsa_fault;

/// What the arithmetic behind RS256 can do.
const RSA_BITS_MAX: usize = 4096;
/// RFC 8032, 5.1.5.
const ED25519_BYTES: usize = 32;
/// RFC 5480, 2.1.1 and RFC 8410, 3.
const EC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const ED25519: &str = "1.3.101.112";

/// Reads PEM of a public key (`PUBLIC KEY`, `RSA PUBLIC KEY`) or of a certificate. Of several blocks the first counts.
///
/// # Errors
/// A clause that goes after the name of the file.
pub(super) fn from_pem(algorithm: Algorithm, bytes: &[u8]) -> Result<DecodingKey, String> {
    let pem = Pem::iter_from_buffer(bytes).next().ok_or("is not PEM")?.map_err(|e| format!("is not PEM: {e}"))?;
    match (pem.label.as_str(), algorithm) {
        ("PUBLIC KEY", _) => match SubjectPublicKeyInfo::from_der(&pem.contents) {
            Ok(([], info)) => from_info(algorithm, &info),
            _ => Err("holds a public key that cannot be read".to_owned()),
        },
        ("CERTIFICATE", _) => match pem.parse_x509() {
            Ok(certificate) => from_info(algorithm, certificate.public_key()),
            Err(error) => Err(format!("holds a certificate that cannot be read: {error}")),
        },
        ("RSA PUBLIC KEY", Algorithm::RS256) => match RSAPublicKey::from_der(&pem.contents) {
            Ok(([], rsa)) => from_rsa(rsa.modulus, rsa.exponent),
            _ => Err("holds an RSA PUBLIC KEY that cannot be read".to_owned()),
        },
        (label, _) if label.ends_with("PRIVATE KEY") => Err("holds a private key; its public key is needed".to_owned()),
        (label, _) => Err(format!("holds {label:?}, not a public key for {algorithm:?}")),
    }
}

/// From the two numbers of an RSA key, big-endian.
pub(super) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<DecodingKey, String> {
    match rsa_fault(modulus, exponent, RSA_BITS_MAX) {
        Some(fault) => Err(fault),
        None => Ok(DecodingKey::from_rsa_raw_components(modulus, exponent)),
    }
}

/// From a point of P-256 as SEC 1 writes it.
pub(super) fn from_p256(point: &[u8]) -> Result<DecodingKey, String> {
    let key = DecodingKey::from_ec_der(point);
    is_a_point(Algorithm::ES256, &key).then_some(key).ok_or_else(|| "does not hold a point on P-256".to_owned())
}

/// From a point of Ed25519 as RFC 8032 writes it.
pub(super) fn from_ed25519(point: &[u8]) -> Result<DecodingKey, String> {
    let key = DecodingKey::from_ed_der(point);
    // The length first: the verifier takes it for granted.
    let is_good = point.len() == ED25519_BYTES && is_a_point(Algorithm::EdDSA, &key);
    is_good.then_some(key).ok_or_else(|| "does not hold a point on Ed25519".to_owned())
}

fn from_info(algorithm: Algorithm, info: &SubjectPublicKeyInfo<'_>) -> Result<DecodingKey, String> {
    let kind = info.algorithm.algorithm.to_id_string();
    let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok()).map(|oid| oid.to_id_string());
    let point = &info.subject_public_key.data;
    match (algorithm, info.parsed()) {
        (Algorithm::RS256, Ok(PublicKey::RSA(rsa))) => from_rsa(rsa.modulus, rsa.exponent),
        (Algorithm::ES256, _) if kind == EC_KEY && curve.as_deref() == Some(P256) => from_p256(point),
        (Algorithm::EdDSA, _) if kind == ED25519 => from_ed25519(point),
        _ => Err(format!("does not hold a public key for {algorithm:?}")),
    }
}

/// Whether a verifier takes the key: it looks at it before the signature, which is none here.
fn is_a_point(algorithm: Algorithm, key: &DecodingKey) -> bool {
    jsonwebtoken::crypto::verify("", &[], key, algorithm).is_ok()
}
