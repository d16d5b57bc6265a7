//! The one error of the settings.

/// Why the settings cannot be used: one line that names the key and its source.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct Error(pub(super) String);
