//! What kind of thing an entry of a timeline tells.

/// A kind of entry, as a picture shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Applied,
    Duplicate,
    Stale,
    Refused,
    Conflict,
    Watched,
    Pushed,
    Acknowledged,
    Undelivered,
    Inquired,
    Other,
}
