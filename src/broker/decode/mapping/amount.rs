//! Amounts as minor units, exactly: never by way of a floating-point number.

use super::super::reject::Reject;
use super::decimal::without_exponent;
use super::pointers::Values;
use super::source::Source;
use crate::payment::{Currency, Money};

/// Where an amount is.
#[derive(Debug, Clone)]
pub(super) struct Amount {
    pub(super) value: Source,
    pub(super) currency: Source,
    /// Decimals of the minor unit, where the value is a decimal number of whole units.
    pub(super) scale: Option<u8>,
}

impl Amount {
    /// Not set where the value is absent.
    ///
    /// # Errors
    /// `malformed_field` and `missing_field`, by the names of the value and of the currency.
    pub(super) fn read(
        &self,
        values: &Values<'_, '_>,
        [value_name, currency_name]: [&str; 2],
    ) -> Result<Option<Money>, Reject> {
        let Some(value) = self.value.scalar(values, value_name)? else {
            return Ok(None);
        };
        let value =
            minor_units(&value, self.scale).ok_or_else(|| self.value.malformed(value_name, rule(self.scale)))?;
        let Some(currency) = self.currency.scalar(values, currency_name)? else {
            return Err(Reject::missing(&self.currency.named(currency_name)));
        };
        let currency = Currency::new(&currency.to_ascii_uppercase())
            .map_err(|_rule| self.currency.malformed(currency_name, "must be an ISO 4217 code of three letters"))?;
        Money::new(value, currency).map(Some).map_err(|rule| self.value.malformed(value_name, rule))
    }
}

/// What is wrong with a value that is no [`minor_units`].
pub(super) fn rule(scale: Option<u8>) -> String {
    match scale {
        None => "must be a whole number of minor units, at least 0; amount_scale reads decimals".to_owned(),
        Some(scale) => format!("must be a decimal number with at most {scale} decimals, at least 0"),
    }
}

/// `12.34`, `12.3` or `12` with a scale of 2 are 1234, 1230 and 1200. Zeros beyond the scale are allowed, as a column
/// `DECIMAL(18,4)` writes them, and so is an exponent, as Java has it in a `double` from ten million on.
pub(super) fn minor_units(text: &str, scale: Option<u8>) -> Option<i64> {
    let plain = scale.map(|_decimals| without_exponent(text).ok_or(())).transpose().ok()?;
    let text = plain.as_deref().unwrap_or(text);
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, decimals) = match (text.split_once('.'), scale) {
        (Some((whole, decimals)), Some(_)) if !decimals.is_empty() => (whole, decimals),
        (Some(_), _) => return None,
        (None, _) => (text, ""),
    };
    if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let scale = usize::from(scale.unwrap_or_default());
    let (kept, beyond) = decimals.split_at(decimals.len().min(scale));
    if beyond.bytes().any(|b| b != b'0') {
        return None;
    }
    format!("{whole}{kept:0<scale$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_become_minor_units_exactly() {
        for (text, scale, value) in [
            ("1999", None, 1999),
            ("0", None, 0),
            ("19.99", Some(2), 1999),
            ("19.9", Some(2), 1990),
            ("19", Some(2), 1900),
            ("19.9900", Some(2), 1999),
            ("0.1", Some(3), 100),
            ("500.00", Some(0), 500),
            ("1.234567899E7", Some(2), 1_234_567_899),
            ("1.0E7", Some(2), 1_000_000_000),
            ("1.0E-3", Some(3), 1),
            ("92233720368547758.07", Some(2), i64::MAX),
        ] {
            assert_eq!(minor_units(text, scale), Some(value), "{text}");
        }
        for (text, scale) in [
            ("19.99", None),
            ("1e3", None),
            ("-1", None),
            ("+1", None),
            (" 1", None),
            ("", None),
            ("19.999", Some(2)),
            ("1.9999E1", Some(2)),
            ("1.0E-3", Some(2)),
            ("-1.0E7", Some(2)),
            ("19.", Some(2)),
            (".5", Some(2)),
            ("1,999.00", Some(2)),
            ("1.9.9", Some(2)),
            ("0.5", Some(0)),
            ("９", Some(2)),
            ("92233720368547758.08", Some(2)),
        ] {
            assert_eq!(minor_units(text, scale), None, "{text}");
        }
    }
}
