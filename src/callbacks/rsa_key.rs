//! A provider's RSA public key, from whichever file its console hands out.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::config::rsa_fault;

/// What the verifier's arithmetic can do.
const BITS_MAX: usize = 8192;

/// Verifies RSA PKCS#1 v1.5 with SHA-256.
#[derive(Debug)]
pub(super) struct RsaKey {
    /// RSAPublicKey of RFC 8017 in DER, as ring takes it.
    der: Box<[u8]>,
}

/// What a key file holds.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) key: RsaKey,
    /// The serial number in hexadecimal capitals without leading zeros, where the file is a certificate.
    pub(super) certificate_serial: Option<String>,
}

impl RsaKey {
    /// True if `signature` was made over `message` with the private half.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.der).verify(message, signature).is_ok()
    }

    fn new(rsa: &RSAPublicKey<'_>, der: &[u8]) -> Result<Self, String> {
        match rsa_fault(rsa.modulus, rsa.exponent, BITS_MAX) {
            Some(fault) => Err(fault),
            None => Ok(Self { der: der.into() }),
        }
    }

    fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, String> {
        match info.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::new(&rsa, &info.subject_public_key.data),
            _ => Err("does not hold an RSA key".to_owned()),
        }
    }
}

impl KeyFile {
    /// Reads a file: PEM of an X.509 certificate, of a public key (`PUBLIC KEY`, `RSA PUBLIC KEY`), or the bare base64
    /// of a public key, which is what Alipay's console shows. Of several blocks the first counts.
    ///
    /// # Errors
    /// A clause that goes after the name of the setting: `… holds a private key`.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("({}): {e}", path.display()))?;
        Self::parse(&text).map_err(|e| format!("({}) {e}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let Some(pem) = Pem::iter_from_buffer(text.as_bytes()).next() else {
            let bare: String = text.split_whitespace().collect();
            return match STANDARD.decode(bare) {
                Ok(der) if !der.is_empty() => Self::from_public_key(&der),
                _ => Err("is neither PEM nor base64".to_owned()),
            };
        };
        let pem = pem.map_err(|e| format!("is not PEM: {e}"))?;
        match pem.label.as_str() {
            "CERTIFICATE" => Self::from_certificate(&pem),
            "PUBLIC KEY" => Self::from_public_key(&pem.contents),
            "RSA PUBLIC KEY" => match RSAPublicKey::from_der(&pem.contents) {
                Ok(([], rsa)) => Ok(Self { key: RsaKey::new(&rsa, &pem.contents)?, certificate_serial: None }),
                _ => Err("holds an RSA PUBLIC KEY that cannot be read".to_owned()),
            },
            label if label.ends_with("PRIVATE KEY") => {
                Err("holds a private key; what is wanted is the provider's public key".to_owned())
            }
            label => Err(format!("holds {label:?}, not a public key or certificate")),
        }
    }

    fn from_public_key(der: &[u8]) -> Result<Self, String> {
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], info)) => Ok(Self { key: RsaKey::from_info(&info)?, certificate_serial: None }),
            _ => Err("holds a public key that cannot be read".to_owned()),
        }
    }

    fn from_certificate(pem: &Pem) -> Result<Self, String> {
        let certificate = pem.parse_x509().map_err(|e| format!("holds a certificate that cannot be read: {e}"))?;
        let key = RsaKey::from_info(certificate.public_key())?;
        let serial: String = certificate.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self { key, certificate_serial: Some(serial.trim_start_matches('0').to_owned()) })
    }
}
