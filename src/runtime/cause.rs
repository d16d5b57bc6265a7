//! Why something failed.

use std::error::Error;

/// The deepest cause, which says most: those above it name only what was being done.
pub fn last_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}
