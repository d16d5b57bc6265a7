//! Why the settings of the accounts cannot be used.

use std::fmt;

/// Why `[callbacks]` cannot be used: one line that names the key. Nothing of a secret is in it.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct Error(String);

impl Error {
    /// `key` with its index, e.g. `callbacks.alipay[0].app_id`, and a clause about it.
    pub(super) fn new(key: impl fmt::Display, clause: impl fmt::Display) -> Self {
        Self(format!("{key} {clause}"))
    }
}
