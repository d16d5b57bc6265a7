//! Key pairs of the three public-key algorithms. They are in the repository for everybody to read: for tests only.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

use super::fixture;

/// One key pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPair {
    /// As tokens and settings write it.
    pub(crate) name: &'static str,
    pub(crate) algorithm: Algorithm,
    stem: &'static str,
}

pub(crate) const RS256: KeyPair = KeyPair { name: "RS256", algorithm: Algorithm::RS256, stem: "test-only-rs256" };
pub(crate) const ES256: KeyPair = KeyPair { name: "ES256", algorithm: Algorithm::ES256, stem: "test-only-es256" };
pub(crate) const EDDSA: KeyPair = KeyPair { name: "EdDSA", algorithm: Algorithm::EdDSA, stem: "test-only-eddsa" };
/// Another pair of the same algorithm.
pub(crate) const OTHER_RS256: KeyPair = KeyPair { stem: "test-only-other-rs256", ..RS256 };
pub(crate) const OTHER_ES256: KeyPair = KeyPair { stem: "test-only-other-es256", ..ES256 };
pub(crate) const OTHER_EDDSA: KeyPair = KeyPair { stem: "test-only-other-eddsa", ..EDDSA };
pub(crate) const ALL: [KeyPair; 3] = [RS256, ES256, EDDSA];

impl KeyPair {
    pub(crate) fn public_pem_path(&self) -> String {
        fixture(&format!("{}.public.pem", self.stem)).display().to_string()
    }

    pub(crate) fn public_pem(&self) -> Vec<u8> {
        std::fs::read(self.public_pem_path()).expect("a fixture")
    }

    pub(crate) fn signing_key(&self) -> EncodingKey {
        let pem = std::fs::read(fixture(&format!("{}.private.pem", self.stem))).expect("a fixture");
        let key = match self.algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(&pem),
            _ => EncodingKey::from_ed_pem(&pem),
        };
        key.expect("a key of its algorithm")
    }

    /// The public half as a member of a JWK set.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signing_key(), self.algorithm).expect("a public half");
        jwk.common.key_id = Some(kid.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }
}
