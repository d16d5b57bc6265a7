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
/// lower-case `t`; those are refused). Two forms beside RFC 3339 are read and shown as RFC 3339: without seconds, as
/// Java writes a time whose seconds are zero, and with an offset without its colon, as PHP's `DATE_ISO8601` has it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp {
    at: OffsetDateTime,
    text: Box<str>,
}

const TEXT_BYTES_MAX: usize = 64;
/// 0001-01-02T00:00:00Z.
const SECOND_DAY_UNIX_S: i64 = -62_135_510_400;
const DATE_BYTES: usize = "2026-01-31".len();
const SECONDS: std::ops::Range<usize> = "2026-01-31T08:30:".len().."2026-01-31T08:30:00".len();

impl Timestamp {
    /// Reads RFC 3339.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] for any other text, a date without an offset among them.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        match text.as_bytes().get(DATE_BYTES) {
            Some(b'T') => Self::parse_stored(text),
            _ => Err(InvalidTimestamp),
        }
    }

    /// The same, but with whatever of the letters of a time between the date and the time of day: the parser takes it, and so
    /// did [`Timestamp::parse`] once.
    fn parse_stored(text: &str) -> Result<Self, InvalidTimestamp> {
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'+' | b'T' | b'Z');
        if text.len() > TEXT_BYTES_MAX || !text.bytes().all(plain) {
            return Err(InvalidTimestamp);
        }
        if let Some(read) = Self::read(text) {
            return Ok(read);
        }
        // What is stored is read again, so the limit holds for it too.
        let text = completed(text).filter(|text| text.len() <= TEXT_BYTES_MAX).ok_or(InvalidTimestamp)?;
        Self::read(&text).ok_or(InvalidTimestamp)
    }

    fn read(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        // JavaScript knows no leap second: it is shown as the last moment before it.
        if text.get(SECONDS) == Some("60") {
            return Self::from_offset_date_time(at).ok();
        }
        Some(Self { at, text: text.into() })
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
        Self::from_unix_ns(i128::from(ms) * 1_000_000)
    }

    /// From nanoseconds since 1970.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] where the year would not have four digits.
    pub fn from_unix_ns(ns: i128) -> Result<Self, InvalidTimestamp> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(ns);
        at.ok().ok_or(InvalidTimestamp).and_then(Self::from_offset_date_time)
    }

    fn from_offset_date_time(at: OffsetDateTime) -> Result<Self, InvalidTimestamp> {
        match at.format(&Rfc3339) {
            Ok(text) => Ok(Self { at, text: text.into() }),
            Err(_year_out_of_range) => Err(InvalidTimestamp),
        }
    }

    /// True for what Go and .NET write of a time that was not set: the first moment of the year 1, in whatever offset.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.at.unix_timestamp() < SECOND_DAY_UNIX_S
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

/// With the seconds and with the colon of the offset, where only they are missing. ASCII in, ASCII out.
fn completed(text: &str) -> Option<String> {
    const MINUTES_BYTES: usize = "2026-01-31T08:30".len();
    let (minutes, rest) = text.split_at_checked(MINUTES_BYTES)?;
    let (seconds, offset) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let seconds = if seconds.is_empty() { ":00" } else { seconds };
    let colon = match offset.as_bytes() {
        [b'+' | b'-', digits @ ..] if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) => ":",
        _ => "",
    };
    let (hours, rest) = offset.split_at(if colon.is_empty() { 0 } else { 3 });
    Some(format!("{minutes}{seconds}{hours}{colon}{rest}"))
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
        Self::parse_stored(&text)
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
    fn the_time_of_what_was_not_set_is_known_in_any_offset() {
        for (text, is_unset) in [
            ("0001-01-01T00:00:00Z", true),
            ("0001-01-01T00:00:00.000+00:00", true),
            ("0001-01-01T08:00:00+08:00", true),
            ("0001-01-01T00:00:00+08:00", true),
            ("0001-01-01T00:00:00-05:00", true),
            ("0001-01-02T00:00:00Z", false),
            ("1970-01-01T00:00:00Z", false),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().is_unset(), is_unset, "{text}");
        }
    }

    #[test]
    fn what_old_javascript_engines_cannot_parse_is_refused() {
        for bad in [
            "2026-01-31 08:30:00Z",
            "2026-01-31t08:30:00z",
            "2026-01-31-08:30:00Z",
            "2026-01-31:08:30:00Z",
            "2026-01-31Z08:30:00Z",
            "2026-01-31008:30:00Z",
            "2026-01-31.08:30Z",
            "2026-01-31-08:30+0800",
            "2026-01-31T08:30:00",
            "2026-02-30T00:00:00Z",
            "1769819400",
            "",
        ] {
            assert_eq!(Timestamp::parse(bad).unwrap_err(), InvalidTimestamp, "{bad}");
        }
    }

    #[test]
    fn what_was_stored_when_more_was_taken_can_be_read() {
        let stored: Timestamp = serde_json::from_str("\"2026-01-31-08:30:00Z\"").unwrap();
        assert_eq!(stored, Timestamp::parse("2026-01-31T08:30:00Z").unwrap());
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn a_leap_second_is_shown_as_javascript_can_read_it() {
        for (written, shown) in [
            ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.999999999Z"),
            ("2027-01-01T07:59:60+08:00", "2027-01-01T07:59:59.999999999+08:00"),
            ("2027-01-01T07:59:60+0800", "2027-01-01T07:59:59.999999999+08:00"),
        ] {
            let read = Timestamp::parse(written).unwrap();
            assert_eq!(read.as_str(), shown);
            assert_eq!(Timestamp::parse(shown).unwrap(), read);
        }
    }

    #[test]
    fn what_java_and_php_leave_out_is_completed() {
        for (written, shown) in [
            ("2026-11-28T13:30+08:00", "2026-11-28T13:30:00+08:00"),
            ("2026-11-28T05:30Z", "2026-11-28T05:30:00Z"),
            ("2026-11-28T13:30:00+0800", "2026-11-28T13:30:00+08:00"),
            ("2026-11-28T13:30:00.250-0330", "2026-11-28T13:30:00.250-03:30"),
            ("2026-11-28T13:30+0800", "2026-11-28T13:30:00+08:00"),
        ] {
            let read = Timestamp::parse(written).unwrap();
            assert_eq!(read.as_str(), shown, "{written}");
            assert_eq!(Timestamp::parse(shown).unwrap(), read);
        }
        for bad in [
            "2026-11-28T13:30",
            "2026-11-28T13:30.5Z",
            "2026-11-28T13+08:00",
            "2026-11-28T13:30:00+08",
            "2026-11-28T13:30:00+080",
            "2026-11-28T13:30:00+08000",
            "2026-11-28T13:3+08:00",
            "2026-11-28T25:30+08:00",
            "2026-11-28T13:30:00+9900",
            "2026-11-28",
            "20261128T133000Z",
            &format!("2026-11-28T13:30:00.{}+0800", "0".repeat(TEXT_BYTES_MAX - 25)),
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
