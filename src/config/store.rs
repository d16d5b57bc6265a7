//! The settings of the store.

use serde::{Deserialize, Serialize};

use super::range::{self, KEEP_S_MAX};
use super::{Secret, Span};

/// `[store]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Store {
    pub url: Secret,
    #[serde(deserialize_with = "range::at_least::<_, _, 1>")]
    pub batch_events_max: usize,
    #[serde(deserialize_with = "range::within::<_, _, 1, 64>")]
    pub readers: usize,
    #[serde(deserialize_with = "range::waiting")]
    pub reads_waiting_max: usize,
    #[serde(deserialize_with = "range::wait")]
    pub answer_timeout_s: u64,
    pub cache_kib: u32,
    #[serde(deserialize_with = "range::within::<_, _, 2, 10_000>")]
    pub postgres_connections_max: usize,
    #[serde(deserialize_with = "range::wait")]
    pub postgres_timeout_s: u64,
    #[serde(deserialize_with = "range::span_within::<_, 0, KEEP_S_MAX>")]
    pub keep: Span,
}

impl Store {
    /// True of a file of this node's own, false of a server that nodes share.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.url.expose().starts_with("sqlite://")
    }
}
