//! Amounts in minor units.

use serde::{Deserialize, Serialize};

/// Why an amount is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// The value is below zero.
    #[error("must not be negative")]
    Negative,
    /// The currency is not three capital letters.
    #[error("must be an ISO 4217 code of three capital letters")]
    Currency,
}

/// An ISO 4217 alphabetic code, e.g. `CNY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// Takes three capital letters.
    ///
    /// # Errors
    /// [`InvalidMoney::Currency`] for anything else.
    pub fn new(code: &str) -> Result<Self, InvalidMoney> {
        match code.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|x| x.is_ascii_uppercase()) => Ok(Self([*a, *b, *c])),
            _ => Err(InvalidMoney::Currency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidMoney;
    fn try_from(code: String) -> Result<Self, InvalidMoney> {
        Self::new(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0.iter().map(|b| char::from(*b)).collect()
    }
}

/// An amount of money: `{ "value": 1999, "currency": "CNY" }` is 19.99 yuan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money {
    value: i64,
    currency: Currency,
}

impl Money {
    /// An amount in the currency's minor unit (fen, cent; yen for JPY).
    ///
    /// # Errors
    /// [`InvalidMoney::Negative`] below zero.
    pub fn new(value: i64, currency: Currency) -> Result<Self, InvalidMoney> {
        if value < 0 {
            return Err(InvalidMoney::Negative);
        }
        Ok(Self { value, currency })
    }

    /// The number of minor units.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.value
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }
}
