//! What went wrong for an operator, as a problem document.

use crate::http::Problem;
use crate::store;

/// The store cannot be used. What went wrong inside is logged here and not sent.
pub(super) fn store_problem(error: store::Error) -> Problem {
    match error {
        store::Error::Overloaded => tracing::debug!("read refused: overloaded"),
        error => tracing::error!(%error, "store not usable for an operator's request"),
    }
    Problem::unavailable("the payment cannot be read at the moment")
}
