//! Mints a ticket for one page: `cargo run --example ticket MERCHANT ORDER SUB`, with the shared secret in `TICKET_SECRET`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

const TTL: Duration = Duration::from_secs(15 * 60);
const SECRET_BYTES_MIN: usize = 32;

/// A JWT by HMAC-SHA256. `sub` is the payer: openid or user id. For several orders `order_id` is an array, of at most 20.
fn mint(secret: &str, merchant: &str, order: &str, sub: &str) -> Result<String, Box<dyn std::error::Error>> {
    #[allow(clippy::disallowed_methods, reason = "a program of its own, with no clock to be given")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let claims = json!({
        "aud": "payment-notifier",
        "merchant_id": merchant,
        "order_id": order,
        "sub": sub,
        "exp": (now + TTL).as_secs(),
    });
    // The default header says HS256.
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "what a program says to whoever runs it")]
fn main() -> ExitCode {
    let secret = std::env::var("TICKET_SECRET").unwrap_or_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let made = match arguments.as_slice() {
        [_, _, _] if secret.len() < SECRET_BYTES_MIN => {
            Err(format!("TICKET_SECRET must have at least {SECRET_BYTES_MIN} bytes").into())
        }
        [merchant, order, sub] => mint(&secret, merchant, order, sub),
        _ => Err("usage: ticket MERCHANT ORDER SUB".into()),
    };
    match made {
        Ok(ticket) => println!("{ticket}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
