//! Numbers as texts, exactly: never by way of a floating-point number.

use std::borrow::Cow;

/// Of either sign. A number that is larger or smaller is none of those that are read here.
const EXPONENT_MAX: i32 = 30;

/// The number without its exponent: `1.7643078E9`, as Java writes a `double`, is `1764307800`. What has none stays as it is.
/// Not set where it is no number.
pub(super) fn without_exponent(text: &str) -> Option<Cow<'_, str>> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return Some(Cow::Borrowed(text)) };
    let exponent: i32 = exponent.parse().ok().filter(|exponent| (-EXPONENT_MAX..=EXPONENT_MAX).contains(exponent))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    Some(Cow::Owned(match usize::try_from(point) {
        Ok(point) if point >= digits.len() => format!("{digits:0<point$}"),
        Ok(point) if point > 0 => format!("{}.{}", &digits[..point], &digits[point..]),
        _ => format!("0.{}{digits}", "0".repeat(usize::try_from(point.unsigned_abs()).ok()?)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_moves_the_point_and_nothing_else() {
        for (text, plain) in [
            ("19.99", "19.99"),
            ("1.7643078E9", "1764307800"),
            ("1764307800E0", "1764307800.0"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1.0E7", "10000000"),
            ("1.23456E2", "123.456"),
            ("1.5E-3", "0.0015"),
            ("12E-1", "1.20"),
            ("12.5e-2", "0.125"),
        ] {
            assert_eq!(without_exponent(text).as_deref(), Some(plain), "{text}");
        }
        for bad in
            ["e3", "1e", "1.e3", ".5e3", "-1e3", "1e31", "1e-31", "1e3.5", "1e1e1", "1 e3", "１e3", "1e99999999999"]
        {
            assert_eq!(without_exponent(bad), None, "{bad}");
        }
    }
}
