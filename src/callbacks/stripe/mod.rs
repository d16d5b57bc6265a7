//! Stripe: verify `Stripe-Signature` over the raw body, map the event's object.
//!
//! Rules: Stripe's documentation, "Verify webhook signatures manually" and the API reference of events.

mod map;

use http::HeaderMap;
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::receipt::{Fault, Meaning, check_age};
use super::{Code, Error};
use crate::config::{StripeAccount, is_placeholder};
use crate::payment::MerchantId;

/// What `order_id_from` is where it is not set.
const ORDER_ID_FROM: &str = "metadata.order_id";
const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES_MIN: usize = 16;
const TAG_BYTES: usize = 32;

/// One merchant's account.
pub(super) struct Account {
    merchant_id: MerchantId,
    /// More than one while a secret is being rolled.
    keys: Vec<hmac::Key>,
    /// The key of the metadata under which the merchant puts the order number.
    order_id_key: Box<str>,
}

impl Account {
    /// # Errors
    /// [`Error`] that names a key under `section`.
    pub(super) fn load(section: &str, merchant_id: MerchantId, settings: &StripeAccount) -> Result<Self, Error> {
        let key = format!("{section}.signing_secrets");
        if settings.signing_secrets.is_empty() {
            return Err(Error::new(key, "must hold at least one secret"));
        }
        let mut keys = Vec::with_capacity(settings.signing_secrets.len());
        for (index, secret) in settings.signing_secrets.iter().enumerate() {
            let entry = format!("{key}[{index}]");
            let text = secret.expose();
            if !text.starts_with(SECRET_PREFIX) || text.len() < SECRET_PREFIX.len() + SECRET_BYTES_MIN {
                return Err(Error::new(entry, "must be the endpoint's whole signing secret: whsec_ and what follows"));
            }
            if is_placeholder(&text[SECRET_PREFIX.len()..]) {
                return Err(Error::new(entry, "is a placeholder from an example"));
            }
            if settings.signing_secrets[..index].contains(secret) {
                return Err(Error::new(entry, "appears twice"));
            }
            // Stripe's key is the secret as it is written, its prefix too.
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()));
        }
        let order_id_from =
            Some(settings.order_id_from.as_str()).filter(|text| !text.is_empty()).unwrap_or(ORDER_ID_FROM);
        let Some(order_id_key) = order_id_from.strip_prefix("metadata.").filter(|key| !key.is_empty()) else {
            return Err(Error::new(
                format!("{section}.order_id_from"),
                "must be metadata. and a key of the metadata, e.g. metadata.order_id",
            ));
        };
        Ok(Self { merchant_id, keys, order_id_key: order_id_key.into() })
    }

    /// # Errors
    /// `bad_signature`, `stale` or `malformed`.
    pub(super) fn receive(&self, headers: &HeaderMap, body: &[u8], now_unix_s: i64) -> Result<Meaning, Fault> {
        self.verify(headers, body, now_unix_s)?;
        map::meaning(&self.merchant_id, &self.order_id_key, body)
    }

    /// HMAC-SHA256 over `t.body`, with `t` just as it is written.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now_unix_s: i64) -> Result<(), Fault> {
        let fault = |detail| Fault::new(Code::BadSignature, detail);
        let header = headers.get("stripe-signature").ok_or(fault("no Stripe-Signature"))?;
        let header = header.to_str().ok().ok_or(fault("Stripe-Signature is not ASCII"))?;
        let (signed_at, tags) = parse(header).ok_or(fault("Stripe-Signature must have exactly one t"))?;
        let mut fits = subtle::Choice::from(0);
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            context.update(signed_at.as_bytes());
            context.update(b".");
            context.update(body);
            let expected = context.sign();
            for tag in &tags {
                fits |= expected.as_ref().ct_eq(tag);
            }
        }
        if !bool::from(fits) {
            return Err(fault("no v1 in Stripe-Signature matches"));
        }
        check_age(signed_at.parse().ok().ok_or(Fault::malformed("t is not a number"))?, now_unix_s)
    }
}

/// `t=1700000000,v1=…,v1=…,v0=…`: the time and each v1. Other schemes are weaker or for tests, and are passed over.
fn parse(header: &str) -> Option<(&str, Vec<[u8; TAG_BYTES]>)> {
    let mut signed_at = None;
    let mut tags = Vec::new();
    for (name, value) in header.split(',').filter_map(|item| item.split_once('=')) {
        match name.trim() {
            "t" if signed_at.replace(value.trim()).is_some() => return None,
            "v1" => tags.extend(unhex(value.trim())),
            _ => {}
        }
    }
    signed_at.map(|signed_at| (signed_at, tags))
}

fn unhex(text: &str) -> Option<[u8; TAG_BYTES]> {
    if text.len() != 2 * TAG_BYTES || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut tag = [0; TAG_BYTES];
    for (index, byte) in tag.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_gives_its_time_and_every_readable_v1() {
        let (one, two) = ("00".repeat(32), "Ff".repeat(32));
        let header = format!("t=12, v1={one},v0={two},v1={two},v1=00,v1=é,v1,=");
        assert_eq!(parse(&header), Some(("12", vec![[0; 32], [255; 32]])));
        assert_eq!(parse("t=1"), Some(("1", vec![])));
        for bad in ["", "v1=00", "t=1,t=2", "t"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
