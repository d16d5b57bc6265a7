//! Why the service cannot start with the keys that its settings name.

/// Why keys cannot be used: one line that names the setting.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub(super) String);
