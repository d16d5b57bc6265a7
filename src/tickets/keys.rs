//! Keys that tickets are checked with. Each knows its one algorithm and, where it is bound, its one merchant.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::public_key;
use crate::config::TicketKey;
use crate::payment::MerchantId;
use crate::runtime::Object;

/// Keys that one set may hold; more are ignored.
const JWKS_KEYS_MAX: usize = 64;

/// Of the keys that a set may hold: a shared secret has no place in what is published.
pub(super) const SET_ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Why keys cannot be used: one line that names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub(super) String);

pub(super) struct VerifyingKey {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) merchant_id: Option<MerchantId>,
    pub(super) decoding: DecodingKey,
}

impl VerifyingKey {
    pub(super) fn hs256(secret: &str) -> Self {
        let decoding = DecodingKey::from_secret(secret.as_bytes());
        Self { kid: None, algorithm: Algorithm::HS256, merchant_id: None, decoding }
    }

    pub(super) fn from_file(key: &TicketKey) -> Result<Self, LoadError> {
        let pem = read(&key.public_key_file)?;
        let algorithm = match key.algorithm.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            _ => Algorithm::EdDSA,
        };
        let file = key.public_key_file.display();
        let decoding = public_key::from_pem(algorithm, &pem);
        let decoding = decoding.map_err(|clause| LoadError(format!("tickets.keys: {file} {clause}")))?;
        let merchant_id = match key.merchant_id.as_str() {
            "" => None,
            id => Some(MerchantId::new(id).map_err(|e| LoadError(format!("tickets.keys: merchant_id {e}")))?),
        };
        let kid = Some(key.kid.clone()).filter(|kid| !kid.is_empty());
        Ok(Self { kid, algorithm, merchant_id, decoding })
    }

    /// Not set for a key that is not for signatures, of another kind, or weak.
    fn from_jwk(json: &Value) -> Option<Self> {
        let Object(jwk) = serde_json::from_value::<Object<Jwk>>(json.clone()).ok()?;
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return None;
        }
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::EllipticCurve(p), None | Some(KeyAlgorithm::ES256))
                if p.curve == EllipticCurve::P256 =>
            {
                Algorithm::ES256
            }
            (AlgorithmParameters::OctetKeyPair(p), None | Some(KeyAlgorithm::EdDSA))
                if p.curve == EllipticCurve::Ed25519 =>
            {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let merchant_id = match json.get("merchant_id").map(|id| id.as_str().map(MerchantId::new)) {
            None => None,
            Some(Some(Ok(id))) => Some(id),
            Some(_) => return None,
        };
        Some(Self { kid: jwk.common.key_id, algorithm, merchant_id, decoding: decoding(&jwk.algorithm)? })
    }
}

/// RFC 7518, 6.2.1, 6.3.1 and RFC 8037, 2.
fn decoding(parameters: &AlgorithmParameters) -> Option<DecodingKey> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let key = match parameters {
        AlgorithmParameters::RSA(rsa) => public_key::from_rsa(&bytes(&rsa.n)?, &bytes(&rsa.e)?),
        AlgorithmParameters::EllipticCurve(ec) => {
            public_key::from_p256(&[vec![4], bytes(&ec.x)?, bytes(&ec.y)?].concat())
        }
        AlgorithmParameters::OctetKeyPair(pair) => public_key::from_ed25519(&bytes(&pair.x)?),
        _ => return None,
    };
    key.ok()
}

/// Reads a JSON Web Key Set (RFC 7517), passing over the keys that cannot be used.
pub(super) fn parse_jwks(bytes: &[u8]) -> Result<Vec<VerifyingKey>, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|e| format!("not JSON: {e}"))?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or("has no member \"keys\"")?;
    let usable: Vec<_> = keys.iter().take(JWKS_KEYS_MAX).filter_map(VerifyingKey::from_jwk).collect();
    if usable.is_empty() {
        return Err(format!("none of its {} keys is an RS256, ES256 or EdDSA signature key", keys.len()));
    }
    Ok(usable)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|e| LoadError(format!("tickets: cannot read {}: {e}", path.display())))
}
