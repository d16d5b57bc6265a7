//! Points in time as publishers write them.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A text that is not an RFC 3339 date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 date and time with its offset, e.g. 2026-01-31T08:30:00Z")]
pub struct InvalidTimestamp;

/// An instant, compared as an instant, that is shown again just as it was written: a publisher finds its own text
/// on the page, and a page never meets a form that old JavaScript engines cannot parse (RFC 3339 allows a space or a
/// lower-case `t`; those are refused).
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp {
    at: OffsetDateTime,
    text: Box<str>,
}

const TEXT_BYTES_MAX: usize = 64;

impl Timestamp {
    /// Reads RFC 3339.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] for any other text, a date without an offset among them.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'+' | b'T' | b'Z');
        if text.len() > TEXT_BYTES_MAX || !text.bytes().all(plain) {
            return Err(InvalidTimestamp);
        }
        match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(at) => Ok(Self { at, text: text.into() }),
            Err(_not_rfc3339) => Err(InvalidTimestamp),
        }
    }

    /// From whole seconds since 1970, as AMQP's `timestamp` property gives them.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] where the year would not have four digits.
    pub fn from_unix_s(seconds: u64) -> Result<Self, InvalidTimestamp> {
        let at = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        at.ok_or(InvalidTimestamp).and_then(Self::from_offset_date_time)
    }

    /// From milliseconds since 1970.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] where the year would not have four digits.
    pub fn from_unix_ms(ms: i64) -> Result<Self, InvalidTimestamp> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
        at.ok().ok_or(InvalidTimestamp).and_then(Self::from_offset_date_time)
    }

    fn from_offset_date_time(at: OffsetDateTime) -> Result<Self, InvalidTimestamp> {
        match at.format(&Rfc3339) {
            Ok(text) => Ok(Self { at, text: text.into() }),
            Err(_year_out_of_range) => Err(InvalidTimestamp),
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Milliseconds since 1970, rounded down.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        i64::try_from(self.at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Timestamp {}
impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        Self::parse(&text)
    }
}
impl From<Timestamp> for String {
    fn from(t: Timestamp) -> Self {
        t.text.into()
    }
}
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_in_two_offsets_is_equal_and_keeps_its_text() {
        let utc = Timestamp::parse("2026-01-31T00:30:00Z").unwrap();
        let china = Timestamp::parse("2026-01-31T08:30:00.000+08:00").unwrap();
        assert_eq!(utc, china);
        assert_eq!(china.as_str(), "2026-01-31T08:30:00.000+08:00");
        assert_eq!(utc.unix_ms(), 1_769_819_400_000);
    }

    #[test]
    fn what_old_javascript_engines_cannot_parse_is_refused() {
        for bad in [
            "2026-01-31 08:30:00Z",
            "2026-01-31t08:30:00z",
            "2026-01-31T08:30:00",
            "2026-02-30T00:00:00Z",
            "1769819400",
            "",
        ] {
            assert_eq!(Timestamp::parse(bad).unwrap_err(), InvalidTimestamp, "{bad}");
        }
    }

    #[test]
    fn seconds_of_amqp_become_rfc3339() {
        assert_eq!(Timestamp::from_unix_s(1_769_819_400).unwrap().as_str(), "2026-01-31T00:30:00Z");
        assert!(Timestamp::from_unix_s(u64::MAX).is_err());
    }
}
