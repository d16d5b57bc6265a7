//! Tickets as a merchant's back end mints them, and the tokens of the hubs that it would use instead.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::event;
use super::target::MERCHANT;

/// For the benchmark only.
pub(crate) const SECRET: &str = "bench-only-secret-of-more-than-32-bytes";
const LIFE_S: i64 = 4 * 3600;

/// The service's.
pub(crate) fn mint(order: u32) -> String {
    sign(json!({
        "aud": "payment-notifier",
        "merchant_id": MERCHANT,
        "order_id": event::order(order),
        "sub": "openid-of-a-payer",
    }))
}

/// Centrifugo's for a connection.
pub(crate) fn centrifugo_connection(order: u32) -> String {
    sign(json!({ "sub": payer(order) }))
}

/// Centrifugo's for the channel of an order.
pub(crate) fn centrifugo_channel(order: u32, channel: &str) -> String {
    sign(json!({ "sub": payer(order), "channel": channel }))
}

/// Mercure's for who subscribes to these topics and publishes to those.
pub(crate) fn mercure(subscribe: &[String], publish: &[&str]) -> String {
    sign(json!({ "mercure": { "subscribe": subscribe, "publish": publish } }))
}

fn payer(order: u32) -> String {
    format!("openid-of-payer-{order}")
}

/// With an end that no run reaches.
fn sign(mut claims: Value) -> String {
    claims["exp"] = json!(payment_notifier::runtime::unix_s() + LIFE_S);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}
