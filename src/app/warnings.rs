//! What is logged at the start for an operator.

use crate::config::Settings;
use crate::runtime::raise_open_files;
use crate::tickets::Verifier;

/// For the store, the broker, the operators' listener, the runtime and connections that are being refused.
const OPEN_FILES_BESIDE_PAGES: u64 = 512;

pub(super) fn of_settings(settings: &Settings, verifier: &Verifier) {
    if settings.demo.enabled {
        tracing::warn!("demo.enabled: anyone can mint tickets and publish payments at /demo");
    }
    if !verifier.has_keys() {
        tracing::warn!("no ticket key is set: every page will be refused");
    }
}

/// A connection for which there is no file left is one that waits unanswered, so it is logged beforehand.
pub(super) fn of_open_files(connections_max: usize) {
    let open_files_max = raise_open_files();
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OPEN_FILES_BESIDE_PAGES);
    if needed > open_files_max {
        tracing::warn!(open_files_max, connections_max, "http.connections_max exceeds the limit on open files");
    }
}
