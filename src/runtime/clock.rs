//! The one place that reads the wall clock, and how its times are written.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

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

/// Seconds since 1970 as RFC 3339; empty for a year beyond 9999.
#[must_use]
pub fn rfc3339(unix_s: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix_s).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// `2026-01-31T08:30:00.120Z`: always with three digits, so that columns stand.
#[must_use]
pub fn rfc3339_ms(unix_ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok();
    at.and_then(|at| at.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_three_digits_or_none() {
        assert_eq!(rfc3339_ms(1_769_819_400_000), "2026-01-31T00:30:00.000Z");
        assert_eq!(rfc3339(1_769_819_400), "2026-01-31T00:30:00Z");
    }
}
