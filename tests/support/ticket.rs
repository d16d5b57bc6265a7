//! Tickets as a merchant's back end mints them, and as an attacker would.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::MERCHANT;

/// For tests only.
pub(crate) const SECRET: &str = "test-only-secret-of-more-than-32-bytes";
/// For tests only.
pub(crate) const API_KEY: &str = "test-only-api-key-0001";
/// A payer that must never be found in a log.
pub(crate) const SUB: &str = "openid-of-a-payer-0001";

/// A good ticket for one order, or for several.
pub(crate) fn ticket(orders: impl Into<Value>) -> String {
    hs256(&claims(orders))
}

/// What a good ticket says. To be bent by the test.
pub(crate) fn claims(orders: impl Into<Value>) -> Value {
    json!({
        "aud": "payment-notifier",
        "merchant_id": MERCHANT,
        "order_id": orders.into(),
        "sub": SUB,
        "exp": now_s() + 600,
    })
}

/// Claims with some of them changed; `null` takes one away.
pub(crate) fn changed(mut claims: Value, changes: Value) -> Value {
    let all = claims.as_object_mut().expect("claims are an object");
    for (name, value) in changes.as_object().expect("changes are an object") {
        if value.is_null() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// Signed as the service's own secret signs.
pub(crate) fn hs256(claims: &Value) -> String {
    signed(&json!({ "alg": "HS256", "typ": "JWT" }), claims, &secret(SECRET.as_bytes()), Algorithm::HS256)
}

/// An HMAC key from any bytes.
pub(crate) fn secret(bytes: &[u8]) -> EncodingKey {
    EncodingKey::from_secret(bytes)
}

/// Any header, any claims, any key: the header need not tell the truth.
pub(crate) fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = unsigned(header, claims);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("the key fits the algorithm");
    format!("{message}.{signature}")
}

/// The first two parts of a token.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string()), base64(claims.to_string()))
}

/// As tokens encode.
pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    payment_notifier::runtime::unix_s()
}
