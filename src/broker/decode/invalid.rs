//! Why the settings in `[payments]` cannot be used.

use crate::payment::InvalidId;

/// A setting that cannot be used: one line that names it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidSettings {
    /// `payments.default_merchant` is none.
    #[error("payments.default_merchant {0}")]
    DefaultMerchant(#[from] InvalidId),
    /// One of `[[payments.mappings]]` cannot work.
    #[error("payments.mappings, number {number} of {count}, {fault}")]
    Mapping {
        /// Which, counted from 1.
        number: usize,
        /// How many there are.
        count: usize,
        /// The key, and what is wrong with it.
        fault: String,
    },
}
