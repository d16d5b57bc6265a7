//! WeChat Pay, API v3: verify the signature over the raw body, decrypt the resource, map it.
//!
//! Rules: the WeChat Pay documentation, "APIv3 签名验证" and "支付通知".

mod map;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::order_id_from::OrderIdFrom;
use super::receipt::{Fault, Meaning, check_age};
use super::rsa_key::{KeyFile, RsaKey};
use super::{Code, Error};
use crate::config::{WechatPayAccount, weakness};
use crate::payment::MerchantId;
use crate::runtime::Object;

/// WeChat Pay sends a few notifications with a signature that starts so, to see that they are refused.
const PROBE_PREFIX: &[u8] = b"WECHATPAY/SIGNTEST/";

/// One merchant's account.
pub(super) struct Account {
    merchant_id: MerchantId,
    mch_id: Option<Box<str>>,
    order_id_from: OrderIdFrom,
    api_v3_key: LessSafeKey,
    /// By serial. Two are live at once while WeChat Pay changes from one to the next.
    keys: Vec<(Box<str>, RsaKey)>,
}

#[derive(Deserialize)]
struct Notification<'a> {
    id: Box<str>,
    create_time: Box<str>,
    event_type: Box<str>,
    /// Read where the type may be one of a payment: of other kinds nothing more is asked.
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource {
    algorithm: Box<str>,
    ciphertext: Box<str>,
    associated_data: Option<Box<str>>,
    nonce: Box<str>,
}

impl Account {
    /// # Errors
    /// [`Error`] that names a key under `section`.
    pub(super) fn load(section: &str, merchant_id: MerchantId, settings: &WechatPayAccount) -> Result<Self, Error> {
        let secret = settings.api_v3_key.expose().as_bytes();
        let Ok(api_v3_key) = UnboundKey::new(&AES_256_GCM, secret) else {
            let clause = format!("must be exactly 32 bytes, has {}", secret.len());
            return Err(Error::new(format!("{section}.api_v3_key"), clause));
        };
        if let Some(clause) = weakness(settings.api_v3_key.expose()) {
            return Err(Error::new(format!("{section}.api_v3_key"), clause));
        }
        if settings.keys.is_empty() {
            return Err(Error::new(format!("{section}.keys"), "must hold at least one key"));
        }
        let mut keys: Vec<(Box<str>, RsaKey)> = Vec::with_capacity(settings.keys.len());
        for (index, key) in settings.keys.iter().enumerate() {
            let entry = format!("{section}.keys[{index}]");
            let serial = key.serial.trim().trim_start_matches('0');
            if serial.is_empty() {
                return Err(Error::new(format!("{entry}.serial"), "must not be empty"));
            }
            if keys.iter().any(|(known, _)| known.eq_ignore_ascii_case(serial)) {
                return Err(Error::new(format!("{entry}.serial"), format!("{serial:?} appears twice")));
            }
            let file = KeyFile::read(&key.public_key_file);
            let file = file.map_err(|clause| Error::new(format!("{entry}.public_key_file"), clause))?;
            if let Some(actual) = file.certificate_serial
                && !serial.eq_ignore_ascii_case(&actual)
            {
                return Err(Error::new(format!("{entry}.serial"), format!("must be {actual}, the certificate's")));
            }
            keys.push((serial.into(), file.key));
        }
        let mch_id = Some(settings.mch_id.as_str()).filter(|id| !id.is_empty()).map(Box::from);
        let order_id_from = OrderIdFrom::read(section, &settings.order_id_from, "attach")?;
        Ok(Self { merchant_id, mch_id, order_id_from, api_v3_key: LessSafeKey::new(api_v3_key), keys })
    }

    /// # Errors
    /// Any [`Code`] but `unknown_account`.
    pub(super) fn receive(&self, headers: &HeaderMap, body: &[u8], now_unix_s: i64) -> Result<Meaning, Fault> {
        self.verify(headers, body, now_unix_s)?;
        let Object(notification): Object<Notification<'_>> =
            serde_json::from_slice(body).ok().ok_or(Fault::malformed("not a notification of API v3"))?;
        let kind = notification.event_type.as_ref();
        if kind != "TRANSACTION.SUCCESS" && !kind.starts_with("REFUND.") {
            return Ok(Meaning::Nothing("event_type"));
        }
        let resource = notification.resource.and_then(|resource| serde_json::from_str(resource.get()).ok());
        let Object(resource): Object<Resource> = resource.ok_or(Fault::malformed("resource cannot be read"))?;
        let envelope = map::Envelope {
            merchant_id: &self.merchant_id,
            mch_id: self.mch_id.as_deref(),
            order_id_from: self.order_id_from,
            id: &notification.id,
            create_time: &notification.create_time,
        };
        envelope.meaning(&self.decrypt(&resource)?)
    }

    /// RSA PKCS#1 v1.5 with SHA-256 over `timestamp\nnonce\nbody\n`.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now_unix_s: i64) -> Result<(), Fault> {
        let header = |name: &str, detail| {
            headers.get(name).map(http::HeaderValue::as_bytes).ok_or(Fault::new(Code::BadSignature, detail))
        };
        let signature = header("wechatpay-signature", "no Wechatpay-Signature")?;
        if signature.starts_with(PROBE_PREFIX) {
            return Err(Fault::new(Code::Probe, "WeChat Pay's own test"));
        }
        let timestamp = header("wechatpay-timestamp", "no Wechatpay-Timestamp")?;
        let nonce = header("wechatpay-nonce", "no Wechatpay-Nonce")?;
        let serial = header("wechatpay-serial", "no Wechatpay-Serial")?;
        // A number may be written with zeros before it, in the settings and in the header.
        let zeros = serial.iter().take_while(|byte| **byte == b'0').count();
        let key = self.keys.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(&serial[zeros..]));
        let (_, key) = key.ok_or(Fault::new(Code::UnknownKey, "Wechatpay-Serial names none of the account's keys"))?;
        let message = [timestamp, b"\n", nonce, b"\n", body, b"\n"].concat();
        let signature = STANDARD.decode(signature).unwrap_or_default();
        if !key.verifies(&message, &signature) {
            return Err(Fault::new(Code::BadSignature, "Wechatpay-Signature does not match"));
        }
        let timestamp = std::str::from_utf8(timestamp).ok().and_then(|text| text.parse().ok());
        check_age(timestamp.ok_or(Fault::malformed("Wechatpay-Timestamp is not a number"))?, now_unix_s)
    }

    fn decrypt(&self, resource: &Resource) -> Result<Vec<u8>, Fault> {
        let fault = |detail| Fault::new(Code::Undecryptable, detail);
        if resource.algorithm.as_ref() != "AEAD_AES_256_GCM" {
            return Err(fault("resource.algorithm is not AEAD_AES_256_GCM"));
        }
        let nonce: [u8; NONCE_LEN] =
            resource.nonce.as_bytes().try_into().ok().ok_or(fault("resource.nonce is not 12 bytes"))?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(resource.associated_data.as_deref().unwrap_or_default().as_bytes());
        let ciphertext = STANDARD.decode(resource.ciphertext.as_bytes());
        let mut ciphertext = ciphertext.ok().ok_or(fault("resource.ciphertext is not base64"))?;
        match self.api_v3_key.open_in_place(nonce, aad, &mut ciphertext) {
            Ok(plaintext) => Ok(plaintext.to_vec()),
            Err(ring::error::Unspecified) => Err(fault("api_v3_key does not decrypt it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of WeChat Pay's own documentation.
    #[test]
    fn the_published_vector_decrypts_and_nothing_near_it_does() {
        let key = UnboundKey::new(&AES_256_GCM, b"a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb").unwrap();
        let account = Account {
            merchant_id: MerchantId::new("shop").unwrap(),
            mch_id: None,
            order_id_from: OrderIdFrom::MerchantNumber,
            api_v3_key: LessSafeKey::new(key),
            keys: Vec::new(),
        };
        let decrypt = |algorithm: &str, ciphertext: &str, associated_data: Option<&str>, nonce: &str| {
            account.decrypt(&Resource {
                algorithm: algorithm.into(),
                ciphertext: ciphertext.into(),
                associated_data: associated_data.map(Box::from),
                nonce: nonce.into(),
            })
        };
        const GCM: &str = "AEAD_AES_256_GCM";
        const TEXT: &str = "ulwSiIajGClcvcOYvOQ7+l+0PAbzzwI=";
        const NONCE: &str = "uluk4a9R25RW";
        assert_eq!(decrypt(GCM, TEXT, Some("associatedData"), NONCE).unwrap(), b"message");
        for (algorithm, ciphertext, aad, nonce) in [
            ("AEAD_AES_128_GCM", TEXT, Some("associatedData"), NONCE),
            (GCM, "vlwSiIajGClcvcOYvOQ7+l+0PAbzzwI=", Some("associatedData"), NONCE),
            (GCM, "ulw=", Some("associatedData"), NONCE),
            (GCM, "", Some("associatedData"), NONCE),
            (GCM, "not base64", Some("associatedData"), NONCE),
            (GCM, TEXT, Some("associateddata"), NONCE),
            (GCM, TEXT, None, NONCE),
            (GCM, TEXT, Some("associatedData"), "uluk4a9R25RX"),
            (GCM, TEXT, Some("associatedData"), "uluk4a9R25R"),
        ] {
            assert_eq!(decrypt(algorithm, ciphertext, aad, nonce).unwrap_err().code, Code::Undecryptable);
        }
    }
}
