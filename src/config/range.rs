//! Values that carry their range: read by `#[serde(deserialize_with = …)]`, so that a key's limits stand beside its type.

use serde::de::{Deserialize, Deserializer, Error};

use super::Span;

/// The longest of any wait, in seconds or milliseconds: a clock that is asked for a moment far beyond its range ends the
/// program.
pub(super) const WAIT_MAX: u64 = 31_536_000;
/// A hundred years in seconds: beyond that the clock ends before the span does.
pub(super) const KEEP_S_MAX: u64 = 100 * WAIT_MAX;
/// Far more than a machine has room for.
const WAITING_MAX: u64 = 1_000_000_000;
/// What RabbitMQ takes as the name of a queue or an exchange.
const AMQP_NAME_BYTES_MAX: usize = 255;
const MERCHANT_ID_CHARACTERS_MAX: usize = 64;

/// A whole number from `MIN` to `MAX`.
pub(super) fn within<'de, D, T, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Copy + TryInto<u64>,
{
    let value = T::deserialize(deserializer)?;
    check_within::<D::Error, MIN, MAX>(value.try_into().unwrap_or(u64::MAX)).map(|()| value)
}

/// A whole number from `MIN` on, as large as its type.
pub(super) fn at_least<'de, D, T, const MIN: u64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Copy + TryInto<u64>,
{
    within::<D, T, MIN, { u64::MAX }>(deserializer)
}

/// A number of things that may wait, at least one and fewer than a queue can be made for.
pub(super) fn waiting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within::<D, usize, 1, WAITING_MAX>(deserializer)
}

/// A length of time in seconds or milliseconds, neither none nor endless.
pub(super) fn wait<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within::<D, u64, 1, WAIT_MAX>(deserializer)
}

/// A span from `MIN_S` to `MAX_S` seconds.
pub(super) fn span_within<'de, D, const MIN_S: u64, const MAX_S: u64>(deserializer: D) -> Result<Span, D::Error>
where
    D: Deserializer<'de>,
{
    let span = Span::deserialize(deserializer)?;
    match span.seconds() {
        seconds if seconds > MAX_S => Err(D::Error::custom(format!("must be at most {}", Span::from_seconds(MAX_S)))),
        seconds => check_within::<D::Error, MIN_S, MAX_S>(seconds).map(|()| span),
    }
}

fn check_within<E: Error, const MIN: u64, const MAX: u64>(value: u64) -> Result<(), E> {
    match value {
        value if value < MIN => Err(E::custom(format!("must be at least {MIN}"))),
        value if value > MAX => Err(E::custom(format!("must be at most {MAX}"))),
        _ => Ok(()),
    }
}

/// The name of an exchange, a queue or a binding.
pub(super) fn amqp_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let fits = (1..=AMQP_NAME_BYTES_MAX).contains(&name.len());
    fits.then_some(name).ok_or_else(|| D::Error::custom(format!("must be 1 to {AMQP_NAME_BYTES_MAX} bytes")))
}

/// A merchant, or an empty text for none.
pub(super) fn merchant_id_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match name.len() <= MERCHANT_ID_CHARACTERS_MAX && name.bytes().all(is_allowed) {
        true => Ok(name),
        false => {
            Err(D::Error::custom(format!("must be 1 to {MERCHANT_ID_CHARACTERS_MAX} characters of A-Z a-z 0-9 _ . -")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::Error as ValueError;

    use super::*;

    #[test]
    fn a_range_ends_where_it_says() {
        let read = |value: u64| within::<_, u64, 2, 5>(IntoDeserializer::<ValueError>::into_deserializer(value));
        assert_eq!((read(2), read(5)), (Ok(2), Ok(5)));
        assert_eq!(read(1).unwrap_err().to_string(), "must be at least 2");
        assert_eq!(read(6).unwrap_err().to_string(), "must be at most 5");
        let span =
            |text: &'static str| span_within::<_, 1, 86_400>(IntoDeserializer::<ValueError>::into_deserializer(text));
        assert_eq!(span("1d").map(Span::seconds), Ok(86_400));
        assert_eq!(span("25h").unwrap_err().to_string(), "must be at most 1d");
        assert_eq!(span("0s").unwrap_err().to_string(), "must be at least 1");
    }

    #[test]
    fn names_are_what_the_other_side_takes() {
        let amqp = |text: &str| amqp_name(IntoDeserializer::<ValueError>::into_deserializer(text)).is_ok();
        assert!(amqp("payments") && amqp(&"x".repeat(255)) && !amqp("") && !amqp(&"x".repeat(256)));
        let merchant =
            |text: &str| merchant_id_or_none(IntoDeserializer::<ValueError>::into_deserializer(text)).is_ok();
        assert!(merchant("") && merchant("shop-1_A.b") && !merchant("a b") && !merchant("é"));
        assert!(merchant(&"x".repeat(64)) && !merchant(&"x".repeat(65)));
    }
}
