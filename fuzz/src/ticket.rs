//! Tickets. The input is a text of three lines: how it is signed, the header, and the claims; or anything else, which is
//! then the ticket itself.
//!
//! The first line is `hs256` (the service's secret), `other` (another secret), `none` (no signature) or `raw=SIGNATURE`.
//! In the claims `$600` stands for the moment 600 s ahead, so that seeds do not age.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use payment_notifier::payment::{MerchantId, OrderId};
use payment_notifier::runtime::unix_s;
use payment_notifier::tickets::{Refusal, Ticket, Verifier};
use ring::hmac;
use serde_json::Value;

use crate::{SECRET, SETTINGS};

/// The limits of docs/PROTOCOL.md.
const LEEWAY_S: i64 = 30;
const LIFETIME_S_MAX: i64 = 86_400;
const TICKET_BYTES_MAX: usize = 4096;
const ORDERS_MAX: usize = 20;

static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::load(&SETTINGS.tickets).expect("the settings can be used"));

/// One ticket.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let ticket = minted(text).unwrap_or_else(|| text.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let begun_s = unix_s();
    match runtime.block_on(VERIFIER.verify(&ticket)) {
        Ok(checked) => assert!(is_good(&ticket, &checked, begun_s), "accepted without reason: {text}"),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) {
    assert!(["invalid_ticket", "ticket_expired"].contains(&refusal.code()), "{refusal:?}");
    assert!(!refusal.reason().is_empty() && !refusal.to_string().contains(char::is_control));
}

/// A ticket that is made as the input says.
pub(crate) fn minted(text: &str) -> Option<String> {
    let (how, rest) = text.split_once('\n')?;
    let (header, claims) = rest.split_once('\n')?;
    let signed = format!("{}.{}", encoded(header), encoded(&with_moments(claims)));
    let signature = match how {
        "hs256" => encoded(hmac::sign(&key(SECRET), signed.as_bytes())),
        "other" => encoded(hmac::sign(&key("another-secret-of-more-than-32-bytes"), signed.as_bytes())),
        "none" => String::new(),
        _ => how.strip_prefix("raw=")?.to_owned(),
    };
    Some(format!("{signed}.{signature}"))
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn with_moments(claims: &str) -> String {
    let mut parts = claims.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').len();
        match part[..digits].parse::<i64>() {
            Ok(ahead_s) => text.push_str(&unix_s().saturating_add(ahead_s).to_string()),
            Err(_no_number) => text.push_str(&part[..digits]),
        }
        text.push_str(&part[digits..]);
    }
    text
}

/// The contract, section 2, read anew: another library checks the signature, and the claims are looked at one by one.
fn is_good(text: &str, ticket: &Ticket, begun_s: i64) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return false;
    };
    let (Some(header), Some(claims)) = (json(header), json(claims)) else {
        return false;
    };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return false;
    };
    let signed = &text[..text.rfind('.').expect("two dots")];
    let now_s = unix_s();
    let (exp_s, nbf_s) = (claims["exp"].as_f64(), claims.get("nbf").and_then(Value::as_f64));
    let audience = match &claims["aud"] {
        Value::Array(many) => many.iter().any(|one| one == "payment-notifier"),
        one => one == "payment-notifier",
    };
    let orders: Vec<&str> = match &claims["order_id"] {
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    text.len() <= TICKET_BYTES_MAX
        && header["alg"] == "HS256"
        && ["crit", "enc", "zip"].iter().all(|name| header.get(name).is_none_or(Value::is_null))
        && hmac::verify(&key(SECRET), signed.as_bytes(), &signature).is_ok()
        && audience
        && exp_s.is_some_and(|exp_s| {
            exp_s >= (begun_s - LEEWAY_S) as f64 && exp_s < (now_s + LIFETIME_S_MAX + LEEWAY_S + 1) as f64
        })
        && nbf_s.is_none_or(|nbf_s| nbf_s <= (now_s + LEEWAY_S + 1) as f64)
        && claims["sub"].as_str().is_some_and(|sub| (1..=256).contains(&sub.len()))
        && claims["merchant_id"].as_str().is_some_and(|id| MerchantId::new(id).as_ref() == Ok(&ticket.merchant_id))
        && (1..=ORDERS_MAX).contains(&orders.len())
        && orders.iter().all(|id| OrderId::new(id).is_ok_and(|id| ticket.order_ids.contains(&id)))
        && ticket.order_ids.iter().all(|id| orders.contains(&id.as_str()))
        && ticket.ends_at_s >= begun_s
        && ticket.ends_at_s <= now_s + LIFETIME_S_MAX + LEEWAY_S
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
