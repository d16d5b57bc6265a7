//! Payment results as publishers write them.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::MERCHANT;

static EVENTS: AtomicI64 = AtomicI64::new(0);

/// The plain form with all that is needed. Each event has an id of its own and happened after the one before it.
pub(crate) fn event(order_id: &str, status: &str) -> Value {
    let n = EVENTS.fetch_add(1, Ordering::Relaxed);
    json!({
        "event_id": format!("event-{n}"),
        "merchant_id": MERCHANT,
        "order_id": order_id,
        "status": status,
        "occurred_at": second(n),
    })
}

/// The n-th second of 2026, as RFC 3339.
pub(crate) fn second(n: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(1_767_225_600 + n).expect("within range");
    at.format(&Rfc3339).expect("a year of four digits")
}
