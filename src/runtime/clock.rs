//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 by this machine's clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970 by this machine's clock.
#[must_use]
pub fn unix_ms() -> i64 {
    unix_us().div_euclid(1000)
}

/// Seconds since 1970 by this machine's clock.
#[must_use]
pub fn unix_s() -> i64 {
    unix_ms().div_euclid(1000)
}
