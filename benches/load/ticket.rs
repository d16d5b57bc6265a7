//! Tickets as a merchant's back end mints them.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::event;
use super::target::MERCHANT;

/// For the benchmark only.
pub(crate) const SECRET: &str = "bench-only-secret-of-more-than-32-bytes";
const LIFE_S: i64 = 4 * 3600;

pub(crate) fn mint(order: u32) -> String {
    let exp = payment_notifier::runtime::unix_s() + LIFE_S;
    let claims = json!({
        "aud": "payment-notifier",
        "merchant_id": MERCHANT,
        "order_id": event::order(order),
        "sub": "openid-of-a-payer",
        "exp": exp,
    });
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}
