//! What went wrong for a page or a back end, as a problem document, and each code that one may carry.

use axum::http::StatusCode;

use crate::http::Problem;
use crate::store;
use crate::tickets::{MintError, Refusal};

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

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            // Readiness and the log tell of it once, and not with each request.
            error @ (store::Error::Overloaded | store::Error::Unavailable(_)) => {
                tracing::debug!(%error, "store not usable for a request");
            }
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
