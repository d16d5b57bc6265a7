//! A length of time as people write it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Each unit with its seconds, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A whole number of seconds: `90`, `"90"`, `"90s"`, `"30m"`, `"12h"` or `"180d"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// Of so many seconds.
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// In milliseconds, no more than fit.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0.saturating_mul(1000)
    }

    /// As the standard library has it.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Not set where the text is no span.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, seconds) =
            UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds))).unwrap_or((text, 1));
        let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        all_digits.then(|| digits.parse::<u64>().ok()?.checked_mul(seconds).map(Self)).flatten()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| self.0 > 0 && self.0.is_multiple_of(*seconds));
        let (unit, seconds) = unit.unwrap_or(&('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a duration such as \"90s\", \"30m\", \"12h\" or \"180d\"")]
        enum Either {
            Seconds(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Seconds(seconds) => Ok(Self(seconds)),
            Either::Text(text) => Self::parse(&text).ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "{text:?} is not a duration such as \"90s\", \"30m\", \"12h\" or \"180d\""
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_shown_as_people_write_them() {
        for (text, seconds, shown) in [
            ("90", 90, "90s"),
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("12h", 43_200, "12h"),
            ("180d", 15_552_000, "180d"),
            ("0s", 0, "0s"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.seconds(), span.to_string().as_str()), (seconds, shown), "{text}");
        }
        for text in ["", "s", "-1s", "1.5h", "1w", "1 m", "99999999999999999999", "999999999999999999d"] {
            assert_eq!(Span::parse(text), None, "{text:?}");
        }
    }
}
