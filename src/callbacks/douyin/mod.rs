//! Douyin mini-programs: verify the signature, check whose it is, map it.
//!
//! There are two kinds of notice. Those of the general trade system are signed in headers over the raw body, with the
//! platform's RSA key. Those of the older guaranteed payment (`ecpay`) bear in their body a SHA-1 over some of its fields and
//! a token that both sides know.
//!
//! Rules: the Douyin open platform, "支付结果回调" of both, and "签名算法".

mod map;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use super::order_id_from::OrderIdFrom;
use super::receipt::{Fault, Meaning};
use super::rsa_key::{KeyFile, RsaKey};
use super::{Code, Error};
use crate::config::{DouyinAccount, is_placeholder};
use crate::payment::MerchantId;
use crate::runtime::Object;

/// Keys or tokens that may be in force at once: the one that goes and the one that comes, and no long search.
const KEYS_MAX: usize = 4;
const TOKEN_BYTES_MIN: usize = 3;

/// One merchant's account.
pub(super) struct Account {
    merchant_id: MerchantId,
    app_id: Box<str>,
    order_id_from: OrderIdFrom,
    /// Of the platform. Notices do not name theirs.
    keys: Vec<RsaKey>,
    /// For guaranteed payment.
    tokens: Vec<Box<str>>,
}

/// The body of either kind.
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "type")]
    kind: Box<str>,
    /// JSON as a text.
    msg: Box<str>,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    nonce: Value,
    /// Guaranteed payment alone has it.
    msg_signature: Option<Box<str>>,
}

impl Account {
    /// # Errors
    /// [`Error`] that names a key under `section`.
    pub(super) fn load(section: &str, merchant_id: MerchantId, settings: &DouyinAccount) -> Result<Self, Error> {
        if settings.app_id.is_empty() {
            return Err(Error::new(format!("{section}.app_id"), "must not be empty"));
        }
        let (files, tokens) = (&settings.public_key_files, &settings.tokens);
        if files.is_empty() && tokens.is_empty() {
            return Err(Error::new(section, "needs public_key_files or tokens"));
        }
        for (name, count) in [("public_key_files", files.len()), ("tokens", tokens.len())] {
            if count > KEYS_MAX {
                return Err(Error::new(format!("{section}.{name}"), format!("must be at most {KEYS_MAX}")));
            }
        }
        let mut keys = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let file = KeyFile::read(file);
            let file = file.map_err(|clause| Error::new(format!("{section}.public_key_files[{index}]"), clause))?;
            keys.push(file.key);
        }
        for (index, token) in tokens.iter().enumerate() {
            let entry = format!("{section}.tokens[{index}]");
            if token.expose().len() < TOKEN_BYTES_MIN {
                return Err(Error::new(entry, format!("must be at least {TOKEN_BYTES_MIN} bytes")));
            }
            if is_placeholder(token.expose()) {
                return Err(Error::new(entry, "is a placeholder from an example"));
            }
            if tokens[..index].contains(token) {
                return Err(Error::new(entry, "appears twice"));
            }
        }
        let order_id_from = OrderIdFrom::read(section, &settings.order_id_from, "cp_extra")?;
        let tokens = tokens.iter().map(|token| token.expose().into()).collect();
        Ok(Self { merchant_id, app_id: settings.app_id.as_str().into(), order_id_from, keys, tokens })
    }

    /// # Errors
    /// `bad_signature`, `foreign` or `malformed`. Never `stale`: it is not known whether a notice that is sent again is
    /// signed again, and a repetition is known by its event id.
    pub(super) fn receive(&self, headers: &HeaderMap, body: &[u8]) -> Result<Meaning, Fault> {
        let by_key = self.verify(headers, body);
        let read: Option<Object<Notification>> = serde_json::from_slice(body).ok();
        let notification = match (by_key, read) {
            (Ok(()), read) => read.ok_or(Fault::malformed("not a notification"))?.0,
            (Err(_), Some(Object(notification))) if notification.msg_signature.is_some() => {
                self.verify_token(&notification)?;
                notification
            }
            (Err(fault), _) => return Err(fault),
        };
        // Refunds, settlements and agreements come to the same address.
        if notification.kind.as_ref() != "payment" {
            return Ok(Meaning::Nothing("event_type"));
        }
        let account =
            map::Account { merchant_id: &self.merchant_id, app_id: &self.app_id, order_id_from: self.order_id_from };
        let sent_at = headers.get("byte-timestamp").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let sent_at_unix_s = sent_at.unwrap_or_else(|| text(&notification.timestamp)).parse().ok();
        account.meaning(&notification.msg, sent_at_unix_s)
    }

    /// RSA PKCS#1 v1.5 with SHA-256 over `timestamp\nnonce\nbody\n`.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
        let header = |name: &str, detail| {
            headers.get(name).map(http::HeaderValue::as_bytes).ok_or(Fault::new(Code::BadSignature, detail))
        };
        let timestamp = header("byte-timestamp", "no Byte-Timestamp")?;
        let nonce = header("byte-nonce-str", "no Byte-Nonce-Str")?;
        let signature = STANDARD.decode(header("byte-signature", "no Byte-Signature")?).unwrap_or_default();
        let message = [timestamp, b"\n", nonce, b"\n", body, b"\n"].concat();
        if self.keys.iter().any(|key| key.verifies(&message, &signature)) {
            return Ok(());
        }
        Err(Fault::new(Code::BadSignature, "Byte-Signature does not match"))
    }

    /// SHA-1 over token, timestamp, nonce and `msg`, sorted as texts and put together; those without a value are left out.
    /// `type` is not signed.
    fn verify_token(&self, notification: &Notification) -> Result<(), Fault> {
        let fault = |detail| Fault::new(Code::BadSignature, detail);
        let signature = notification.msg_signature.as_deref().ok_or(fault("no msg_signature"))?;
        let (timestamp, nonce) = (text(&notification.timestamp), text(&notification.nonce));
        let mut fits = subtle::Choice::from(0);
        for token in &self.tokens {
            let mut parts = [token.as_ref(), timestamp.as_str(), nonce.as_str(), notification.msg.as_ref()];
            parts.sort_unstable();
            let expected = digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes());
            let expected: String = expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            fits |= expected.as_bytes().ct_eq(signature.as_bytes());
        }
        if bool::from(fits) { Ok(()) } else { Err(fault("msg_signature does not match")) }
    }
}

/// Documented as texts; a number is what its digits are.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests are of `sha1sum`.
    #[test]
    fn the_token_is_sorted_among_what_it_signs() {
        let account = Account {
            merchant_id: MerchantId::new("shop").unwrap(),
            app_id: "tt1".into(),
            order_id_from: OrderIdFrom::MerchantNumber,
            keys: Vec::new(),
            tokens: vec!["old token".into(), "tok".into()],
        };
        let verify = |timestamp: Value, nonce: Value, signature: &str| {
            let (kind, msg_signature) = ("payment".into(), Some(signature.into()));
            account.verify_token(&Notification { kind, msg: r#"{"a":1}"#.into(), timestamp, nonce, msg_signature })
        };
        assert!(verify("1644399124".into(), "797".into(), "fdc5b9c009a76873a171fb2b9701c5e3239f0261").is_ok());
        assert!(verify(1_644_399_124.into(), 797.into(), "fdc5b9c009a76873a171fb2b9701c5e3239f0261").is_ok());
        assert!(verify("1644399124".into(), "".into(), "c5601204ed50a03e6864975272ae75f63e295429").is_ok());
        assert!(verify("1644399124".into(), Value::Null, "c5601204ed50a03e6864975272ae75f63e295429").is_ok());
        for (timestamp, nonce, signature) in [
            ("1644399125", "797", "fdc5b9c009a76873a171fb2b9701c5e3239f0261"),
            ("1644399124", "798", "fdc5b9c009a76873a171fb2b9701c5e3239f0261"),
            ("1644399124", "797", "c5601204ed50a03e6864975272ae75f63e295429"),
            ("1644399124", "797", ""),
        ] {
            let fault = verify(timestamp.into(), nonce.into(), signature).unwrap_err();
            assert_eq!(fault.code, Code::BadSignature, "{timestamp} {nonce} {signature}");
        }
    }
}
