//! Time zones: a fixed offset, or a name of the IANA database, which is part of the program and not read from the machine.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use crate::payment::Timestamp;

const HOURS_MAX: u8 = 23;
const MINUTES_MAX: u8 = 59;
const SECONDS_PER_MINUTE: i32 = 60;
/// How many letters may differ for a name to be meant.
const DISTANCE_MAX: usize = 2;
const NAME_BYTES_MAX: usize = 64;

/// Where a time without an offset was written.
#[derive(Debug, Clone)]
pub(super) enum Zone {
    /// As RFC 3339 writes it: `+08:00`.
    Fixed(Box<str>),
    Named(TimeZone),
}

impl Zone {
    /// `Z`, `+08:00`, `+0800`, `+08` or a name of the IANA database.
    ///
    /// # Errors
    /// A clause that goes after `time_zone`.
    pub(super) fn new(zone: &str) -> Result<Self, String> {
        if let Some(offset) = of_digits(zone) {
            return Ok(Self::Fixed(offset));
        }
        let names = TimeZoneDatabase::bundled();
        if let Some(found) = names.get(zone).ok().filter(|found| !found.is_unknown()) {
            return Ok(Self::Named(found));
        }
        let meant = match closest(zone, &names) {
            Some(name) => format!(", did you mean {name:?}?"),
            None => String::new(),
        };
        Err(format!("{zone:?} must be an offset such as +08:00, or a name such as Asia/Shanghai{meant}"))
    }

    /// A local time, written as in RFC 3339 without the offset, with the offset in force then. The first of the two where
    /// it is there twice; moved by the gap where it is left out. Whether the numbers are those of a day is not looked at.
    /// Not set for another form.
    pub(super) fn rfc3339(&self, local: &str) -> Option<String> {
        let zone = match self {
            Self::Fixed(offset) => return Some(format!("{local}{offset}")),
            Self::Named(zone) => zone,
        };
        let at: DateTime = local.parse().ok()?;
        let (before, after) = match zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, offset),
            AmbiguousOffset::Fold { before, .. } => (before, before),
            AmbiguousOffset::Gap { before, after } => (before, after),
        };
        if let Some(offset) = written(before).filter(|_| before == after) {
            return Some(format!("{local}{offset}"));
        }
        // The time is written anew below, and more forms than those of RFC 3339 can be read above.
        Timestamp::parse(&format!("{local}Z")).ok()?;
        let instant = before.to_timestamp(at).ok()?;
        Some(match written(after) {
            Some(offset) => format!("{}{offset}", after.to_datetime(instant)),
            None => instant.to_string(),
        })
    }
}

/// Not set for an offset with seconds, which zones had a century ago and RFC 3339 cannot write.
fn written(offset: Offset) -> Option<String> {
    let seconds = offset.seconds();
    let (minutes, sign) = (seconds.abs() / SECONDS_PER_MINUTE, if seconds < 0 { '-' } else { '+' });
    match seconds {
        0 => Some("Z".to_owned()),
        _ if seconds % SECONDS_PER_MINUTE != 0 => None,
        _ => Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)),
    }
}

/// The name that was meant by a wrong one: without its continent, or mistyped. None of `Etc/GMT+8` and the like, which
/// lies eight hours to the west.
fn closest(wrong: &str, names: &TimeZoneDatabase) -> Option<String> {
    if wrong.len() > NAME_BYTES_MAX {
        return None;
    }
    let far = |name: &str| match name.rsplit_once('/') {
        Some((_, city)) if city.eq_ignore_ascii_case(wrong) => 0,
        Some(_) if wrong.contains('/') => strsim::levenshtein(name, wrong),
        _ => usize::MAX,
    };
    let names = names.available().filter(|name| !name.as_str().starts_with("Etc/"));
    let near = names.map(|name| (far(name.as_str()), name.to_string())).filter(|(far, _)| *far <= DISTANCE_MAX).min();
    near.map(|(_, name)| name)
}

/// An offset in any of the forms of ISO 8601. Not set for other texts.
pub(super) fn of_digits(text: &str) -> Option<Box<str>> {
    if text == "Z" {
        return Some(text.into());
    }
    let sign = text.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
    let digits = match text.as_bytes() {
        [_, rest @ ..] if rest.len() == 5 && rest[2] == b':' => format!("{}{}", text.get(1..3)?, text.get(4..6)?),
        [_, rest @ ..] if rest.len() == 2 => format!("{}00", text.get(1..)?),
        _ => text.get(1..)?.to_owned(),
    };
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let within = |part: &str, max: u8| part.parse::<u8>().is_ok_and(|value| value <= max);
    (within(hours, HOURS_MAX) && within(minutes, MINUTES_MAX)).then(|| format!("{sign}{hours}:{minutes}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_time_has_the_offset_in_force_then() {
        for (zone, local, shown) in [
            ("Asia/Shanghai", "2026-07-28T13:30:00.320", "2026-07-28T13:30:00.320+08:00"),
            ("asia/shanghai", "2026-11-28T13:30:00", "2026-11-28T13:30:00+08:00"),
            ("PRC", "2026-11-28T13:30:00", "2026-11-28T13:30:00+08:00"),
            ("Asia/Kathmandu", "2026-11-28T13:30:00", "2026-11-28T13:30:00+05:45"),
            ("UTC", "2026-11-28T13:30:00", "2026-11-28T13:30:00Z"),
            // To summer time: 02:00 to 03:00 are left out.
            ("Europe/Berlin", "2026-03-29T01:59:59.999", "2026-03-29T01:59:59.999+01:00"),
            ("Europe/Berlin", "2026-03-29T02:00:00", "2026-03-29T03:00:00+02:00"),
            ("Europe/Berlin", "2026-03-29T02:30:00.25", "2026-03-29T03:30:00.25+02:00"),
            ("Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T03:00:00+02:00"),
            ("America/New_York", "2026-03-08T01:59:59", "2026-03-08T01:59:59-05:00"),
            ("America/New_York", "2026-03-08T02:30:00", "2026-03-08T03:30:00-04:00"),
            ("America/New_York", "2026-03-08T03:00:00", "2026-03-08T03:00:00-04:00"),
            ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-04T02:45:00+11:00"),
            // And back: the hour that is there twice.
            ("Europe/Berlin", "2026-10-25T01:59:59", "2026-10-25T01:59:59+02:00"),
            ("Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T02:00:00+02:00"),
            ("Europe/Berlin", "2026-10-25T02:59:59", "2026-10-25T02:59:59+02:00"),
            ("Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T03:00:00+01:00"),
            ("America/New_York", "2026-11-01T00:59:59", "2026-11-01T00:59:59-04:00"),
            ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T01:30:00-04:00"),
            ("America/New_York", "2026-11-01T02:00:00", "2026-11-01T02:00:00-05:00"),
            ("Europe/London", "2026-12-28T13:30:00", "2026-12-28T13:30:00Z"),
            ("Europe/Berlin", "2126-07-28T13:30:00", "2126-07-28T13:30:00+02:00"),
            // An offset of -00:44:30.
            ("Africa/Monrovia", "1970-01-01T00:00:00", "1970-01-01T00:44:30Z"),
        ] {
            let read = Zone::new(zone).unwrap().rfc3339(local);
            assert_eq!(read.as_deref(), Some(shown), "{zone} {local}");
            assert!(Timestamp::parse(shown).is_ok(), "{shown}");
        }
    }

    #[test]
    fn what_is_no_local_time_is_none_in_a_named_zone() {
        let zone = Zone::new("Europe/Berlin").unwrap();
        for bad in [
            "",
            "2026-13-28T13:30:00",
            "20260329T023000",
            "2026-03-29 02:30:00",
            "2026-03-29T02:30:00Z",
            "2026-03-29T02:30:00+02:00",
            "2026-03-29T02:30:00[Europe/Berlin]",
            "2026-03-29T02",
        ] {
            let read = zone.rfc3339(bad).map(|text| Timestamp::parse(&text));
            assert!(!matches!(read, Some(Ok(_))), "{bad}: {read:?}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_the_one_that_was_meant() {
        for (wrong, meant) in [
            ("Europe/Berln", Some("Europe/Berlin")),
            ("America/New York", Some("America/New_York")),
            ("shanghai", Some("Asia/Shanghai")),
            ("Asia/Beijing", None),
            ("China", None),
            ("GMT+8", None),
            ("Etc/Unknown", None),
            ("../../etc/passwd", None),
            ("+25:00", None),
            (" ", None),
        ] {
            let told = Zone::new(wrong).unwrap_err();
            assert!(told.starts_with(&format!("{wrong:?} must be an offset")), "{told}");
            assert_eq!(
                told.split_once("did you mean ").map(|(_, name)| name),
                meant.map(|m| format!("{m:?}?")).as_deref()
            );
        }
    }

    /// By its name and by its rules every zone of the database can be had.
    #[test]
    fn all_names_of_the_database_are_taken() {
        let names: Vec<String> = TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
        assert!(names.len() > 400, "{}", names.len());
        for name in names {
            let read = Zone::new(&name).unwrap().rfc3339("2026-07-28T13:30:00");
            assert!(read.is_some_and(|text| Timestamp::parse(&text).is_ok()), "{name}");
        }
    }
}
