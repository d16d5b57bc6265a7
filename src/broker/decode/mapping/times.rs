//! Times of others: RFC 3339, a number since 1970, or a text of a given form in a given time zone.

use super::decimal::without_exponent;
use super::time_format::TimeFormat;
use super::zones::Zone;
use crate::payment::Timestamp;

/// As seconds this would lie past the year 5000, as milliseconds in 1973.
const SECONDS_MAX: u64 = 100_000_000_000;
const MILLISECONDS_MAX: u64 = SECONDS_MAX * 1_000;
const MICROSECONDS_MAX: u64 = MILLISECONDS_MAX * 1_000;
const NS_PER_S: i128 = 1_000_000_000;
/// How a time begins that Go or .NET was not given, with an offset or without.
const UNSET: &str = "0001-01-01";
const FRACTION_DIGITS_MAX: usize = 9;

/// How one mapping reads times.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    format: Option<TimeFormat>,
    /// That of times without an offset.
    zone: Option<Zone>,
}

impl Times {
    /// By `time_format` and `time_zone`, either of which may be empty.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub(super) fn new(format: &str, zone: &str) -> Result<Self, (&'static str, String)> {
        let zone = match zone {
            "" => None,
            zone => Some(Zone::new(zone).map_err(|clause| ("time_zone", clause))?),
        };
        let format = match format {
            "" => None,
            format => Some(TimeFormat::new(format).map_err(|clause| ("time_format", clause))?),
        };
        if format.as_ref().is_some_and(|format| !format.has_offset()) && zone.is_none() {
            return Err(("time_format", "has no offset, so time_zone is needed".to_owned()));
        }
        Ok(Self { format, zone })
    }

    /// Reads one. Not set for what a publisher writes that has no time: zeros in whatever form, and the first moment of the
    /// year 1.
    ///
    /// # Errors
    /// What it must be: a clause that goes after the field's name.
    pub(super) fn read(&self, text: &str) -> Result<Option<Timestamp>, String> {
        if is_zeros(text) || text.starts_with(UNSET) {
            return Ok(None);
        }
        if let Some(format) = &self.format {
            let rfc3339 = format.rfc3339(text, self.zone.as_ref());
            let read = rfc3339.and_then(|text| Timestamp::parse(&text).ok());
            return read.map(Some).ok_or_else(|| format!("must be a time of the form {format}"));
        }
        if let Some(number) = number(text) {
            let rule = "must be seconds, milliseconds or microseconds since 1970; time_format reads a date";
            return match number {
                Some(0) => Ok(None),
                ns => ns.and_then(|ns| Timestamp::from_unix_ns(ns).ok()).map(Some).ok_or_else(|| rule.to_owned()),
            };
        }
        let local = || {
            let (date, time) = text.split_once([' ', 'T'])?;
            Timestamp::parse(&self.zone.as_ref()?.rfc3339(&format!("{date}T{time}"))?).ok()
        };
        match Timestamp::parse(text) {
            Ok(at) => Ok(Some(at).filter(|at| !at.is_unset())),
            Err(rule) => local().map(Some).ok_or_else(|| match &self.zone {
                Some(_) => "must be a date and time, e.g. 2026-01-31 08:30:00".to_owned(),
                None => rule.to_string(),
            }),
        }
    }
}

/// `0`, `0.0`, `00000000000000`, `0000-00-00 00:00:00`.
fn is_zeros(text: &str) -> bool {
    text.contains('0') && text.bytes().all(|b| matches!(b, b'0' | b'-' | b':' | b'.' | b' ' | b'T' | b'Z' | b'+'))
}

/// True for `20261128133000` and its like, with fewer parts and with milliseconds: as a number it would be a time that nobody
/// means.
fn is_date(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let within = |range, least: u32, most: u32| part(range).is_none_or(|value| (least..=most).contains(&value));
    matches!(text.len(), 8 | 12 | 14 | 17)
        && text.bytes().all(|b| b.is_ascii_digit())
        && within(0..4, 1970, 2099)
        && within(4..6, 1, 12)
        && within(6..8, 1, 31)
        && within(8..10, 0, 23)
        && within(10..12, 0, 59)
        && within(12..14, 0, 60)
}

/// Nanoseconds since 1970, where the text is a number: `Some(None)` if that is of no unit, or a date in digits.
fn number(text: &str) -> Option<Option<i128>> {
    let text = without_exponent(text)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then(|| {
        if is_date(whole) {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let ns_per_unit = match whole {
            whole if whole <= SECONDS_MAX => NS_PER_S,
            whole if whole <= MILLISECONDS_MAX => NS_PER_S / 1_000,
            whole if whole <= MICROSECONDS_MAX => NS_PER_S / 1_000_000,
            _ => return None,
        };
        let digits = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
        let billionths: i128 = format!("{digits:0<FRACTION_DIGITS_MAX$}").parse().ok()?;
        Some(i128::from(whole) * ns_per_unit + billionths * ns_per_unit / NS_PER_S)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, zone: &str, text: &str) -> Option<String> {
        Times::new(format, zone).unwrap().read(text).ok().flatten().map(|at| at.to_string())
    }

    #[test]
    fn numbers_are_read_by_their_size() {
        for (text, shown) in [
            ("1764307800", "2025-11-28T05:30:00Z"),
            ("1764307800.25", "2025-11-28T05:30:00.25Z"),
            ("1764307800123", "2025-11-28T05:30:00.123Z"),
            ("1764307800123456", "2025-11-28T05:30:00.123456Z"),
            ("1764307800123.5", "2025-11-28T05:30:00.1235Z"),
            ("1.7643078E9", "2025-11-28T05:30:00Z"),
            ("1.764307800123E12", "2025-11-28T05:30:00.123Z"),
        ] {
            assert_eq!(read("", "", text).as_deref(), Some(shown), "{text}");
            assert_eq!(read("", "+08:00", text).as_deref(), Some(shown), "{text}");
        }
        assert_eq!(Times::default().read("0"), Ok(None));
        for bad in
            ["1764307800123456789", "99999999999999999999999", "1.", ".5", "-1", "1e", "e9", "1e99", "-1e9", "１"]
        {
            assert!(Times::default().read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_in_digits_is_no_number_and_zeros_are_no_time() {
        for date in
            ["20261128", "202611281330", "20261128133000", "20261128133000123", "20261128133000.0", "2.0261128133E13"]
        {
            for zone in ["", "+08:00"] {
                let refused = Times::new("", zone).unwrap().read(date).unwrap_err();
                assert!(refused.contains("time_format"), "{refused}");
            }
        }
        assert_eq!(read("yyyyMMddHHmmss", "+08:00", "20261128133000").as_deref(), Some("2026-11-28T13:30:00+08:00"));
        assert_eq!(read("", "", "20269928").as_deref(), Some("1970-08-23T14:32:08Z"));
        for unset in [
            "0",
            "0.0",
            "0e0",
            "0E-7",
            "0.0E0",
            "00000000000000",
            "0000-00-00 00:00:00",
            "0000-00-00T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00",
            "0001-01-01 00:00:00",
        ] {
            for (format, zone) in [("", ""), ("", "+08:00")] {
                assert_eq!(Times::new(format, zone).unwrap().read(unset), Ok(None), "{unset}");
            }
        }
        for unset in ["0", "00000000000000", "0001-01-01 00:00:00"] {
            assert_eq!(Times::new("yyyyMMddHHmmss", "+08:00").unwrap().read(unset), Ok(None), "{unset}");
        }
    }

    #[test]
    fn local_times_are_those_of_the_zone() {
        for (zone, text, shown) in [
            ("+08:00", "2026-11-28 13:30:00", "2026-11-28T13:30:00+08:00"),
            ("Asia/Shanghai", "2026-11-28T13:30:00.320", "2026-11-28T13:30:00.320+08:00"),
            ("UTC", "2026-11-28 05:30", "2026-11-28T05:30:00Z"),
            ("Europe/Berlin", "2026-06-28 07:30", "2026-06-28T07:30:00+02:00"),
            ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T03:30:00+02:00"),
            ("+08:00", "2026-11-28T05:30:00Z", "2026-11-28T05:30:00Z"),
        ] {
            assert_eq!(read("", zone, text).as_deref(), Some(shown), "{text}");
        }
        assert_eq!(read("", "", "2026-11-28 13:30:00"), None);
        assert_eq!(read("", "+08:00", "28.11.2026 13:30:00"), None);
    }

    #[test]
    fn a_form_is_javas_or_that_of_strftime() {
        for (format, zone, text, shown) in [
            ("yyyyMMddHHmmss", "+08:00", "20261128133000", "2026-11-28T13:30:00+08:00"),
            ("yyyy-MM-dd HH:mm:ss.SSS", "+0800", "2026-11-28 13:30:00.250", "2026-11-28T13:30:00.250+08:00"),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "", "2026-11-28T13:30:00+08:00", "2026-11-28T13:30:00+08:00"),
            ("%Y-%m-%d %H:%M:%S", "Asia/Shanghai", "2026-11-28 13:30:00", "2026-11-28T13:30:00+08:00"),
            ("%d/%m/%Y %H:%M", "America/New_York", "28/06/2026 05:30", "2026-06-28T05:30:00-04:00"),
            ("yyyyMMddHHmmss X", "America/New_York", "20260628053000 Z", "2026-06-28T05:30:00Z"),
            ("%d/%m/%Y %H:%M", "Z", "28/11/2026 05:30", "2026-11-28T05:30:00Z"),
            ("%F %T.%f %z", "", "2026-11-28 13:30:00.123456 +0800", "2026-11-28T13:30:00.123456+08:00"),
        ] {
            assert_eq!(read(format, zone, text).as_deref(), Some(shown), "{format}");
        }
        for bad in ["2026112813300", "202611281330000", "20261328133000", "2026112813300x", ""] {
            assert_eq!(read("yyyyMMddHHmmss", "+08:00", bad), None, "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (format, zone, key) in [
            ("yyyy-MM-dd HH:mm:ss", "", "time_format"),
            ("yyyy-MM-dd", "Z", "time_format"),
            ("%Y-%m-%d %I:%M %p", "Z", "time_format"),
            ("dd MMM yyyy HH:mm", "Z", "time_format"),
            ("", "Europe/Bonn", "time_zone"),
            ("", "China", "time_zone"),
            ("", "+25:00", "time_zone"),
        ] {
            assert_eq!(Times::new(format, zone).unwrap_err().0, key, "{format} {zone}");
        }
    }
}
