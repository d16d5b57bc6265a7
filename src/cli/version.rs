//! What `--version` says: the version, and what it was built from.

use std::sync::LazyLock;

use crate::runtime::rfc3339;

/// The commit, as whoever builds a release sets it (scripts/build-release). It is not asked of git, or each commit would make
/// the program anew.
const COMMIT: Option<&str> = option_env!("PAYMENT_NOTIFIER_COMMIT");
/// Seconds since 1970 (<https://reproducible-builds.org/specs/source-date-epoch/>): the time of that commit.
const BUILT_AT_S: Option<&str> = option_env!("SOURCE_DATE_EPOCH");

static LONG: LazyLock<String> = LazyLock::new(|| long_of(COMMIT, BUILT_AT_S));

/// `0.2.0 (commit 0123456789ab, built 2026-01-31)`.
pub(super) fn long() -> &'static str {
    &LONG
}

fn long_of(commit: Option<&str>, built_at_s: Option<&str>) -> String {
    let commit = commit.filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    let built = built_at_s.and_then(|text| text.parse().ok()).map(rfc3339).unwrap_or_default();
    let day = built.get(..10).unwrap_or("unknown");
    format!("{} (commit {commit}, built {day})", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let version = env!("CARGO_PKG_VERSION");
        let said = |commit, built_at_s| long_of(commit, built_at_s).replacen(version, "V", 1);
        assert_eq!(said(Some("0123456789ab"), Some("1769819400")), "V (commit 0123456789ab, built 2026-01-31)");
        assert_eq!(said(None, None), "V (commit unknown, built unknown)");
        assert_eq!(said(Some(""), Some("")), "V (commit unknown, built unknown)");
        assert_eq!(said(None, Some("yesterday")), "V (commit unknown, built unknown)");
    }
}
