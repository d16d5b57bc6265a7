//! What went wrong for a page or a back end, as a problem document, and each code that one may carry.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::StatusCode;

use crate::http::Problem;
use crate::runtime::unix_s;
use crate::store;
use crate::tickets::{MintError, Refusal};

const WARN_INTERVAL_S: u64 = 60;

/// Each code that a page or a back end may be refused with, on HTTP and on WebSocket.
pub(super) const CODES: [&str; 15] = [
    "bad_request",
    "invalid_ticket",
    "ticket_expired",
    "invalid_api_key",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "timeout",
    "no_such_version",
    "too_large",
    "unsupported_media_type",
    "rate_limited",
    "too_many_subscriptions",
    "internal",
    "unavailable",
];

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = if refusal == Refusal::Forbidden { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        Self::new(status, refusal.code(), refusal.to_string())
    }
}

/// Says that the store cannot be read, once a minute of this process: while it is away every request meets it.
pub(super) fn warn_seldom(error: &store::Error) {
    static LAST_S: AtomicI64 = AtomicI64::new(0);
    let (now_s, last_s) = (unix_s(), LAST_S.load(Ordering::Relaxed));
    let is_due = now_s.abs_diff(last_s) >= WARN_INTERVAL_S;
    if is_due && LAST_S.compare_exchange(last_s, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        tracing::warn!(%error, "store not usable for requests");
    } else {
        tracing::debug!(%error, "store not usable for a request");
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Overloaded => tracing::debug!("read refused: overloaded"),
            error @ store::Error::Unavailable(_) => warn_seldom(&error),
            error => tracing::error!(%error, "store not usable for a request"),
        }
        Self::unavailable("the payment cannot be read at the moment")
    }
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Signing => Self::internal(error.to_string()),
            bounds => Self::bad_request(bounds.to_string()),
        }
    }
}
