//! One payment result as a publisher sent it, checked.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{EventId, Key, Money, Refund, Status, Timestamp};

/// Bounds on the free texts of an event, in bytes.
pub mod limits {
    /// `provider`.
    pub const PROVIDER_BYTES_MAX: usize = 64;
    /// `provider_transaction_id`.
    pub const PROVIDER_TRANSACTION_ID_BYTES_MAX: usize = 128;
    /// `provider_status`.
    pub const PROVIDER_STATUS_BYTES_MAX: usize = 128;
    /// `reason.code`.
    pub const REASON_CODE_BYTES_MAX: usize = 128;
    /// `reason.message`.
    pub const REASON_MESSAGE_BYTES_MAX: usize = 2048;
    /// `display`, white space between tokens not counted.
    pub const DISPLAY_BYTES_MAX: usize = 2048;
}

/// Why the payment stands where it does, in words for the page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// A stable code for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Box<str>>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Box<str>>,
}

/// JSON of the publisher's that goes to the page as it is, but for white space between tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Display(Arc<str>);

impl Display {
    /// Takes one JSON value and drops the white space between its tokens, so that it fits on one line.
    #[must_use]
    pub fn new(value: &RawValue) -> Self {
        let mut compact = String::with_capacity(value.get().len());
        let (mut in_string, mut escaped) = (false, false);
        for c in value.get().chars() {
            if in_string {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
            } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
                continue;
            } else {
                in_string = c == '"';
            }
            compact.push(c);
        }
        Self(compact.into())
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Display {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(<S::Error as serde::ser::Error>::custom)?;
        raw.serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Display {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self::new(&raw))
    }
}
impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One payment result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whose payment, and which.
    pub key: Key,
    /// By which a repetition is known.
    pub event_id: EventId,
    /// What happened.
    pub status: Status,
    /// When it happened, by the publisher's clock.
    pub occurred_at: Timestamp,
    /// The amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Who moved the money, e.g. `wechat_pay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    /// The provider's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_transaction_id: Option<Box<str>>,
    /// The provider's own word for the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_status: Option<Box<str>>,
    /// The refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Refund>,
    /// Reason to show on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Anything else for the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<Display>,
}

impl Event {
    /// An event with nothing but what is needed.
    #[must_use]
    pub fn new(key: Key, event_id: EventId, status: Status, occurred_at: Timestamp) -> Self {
        Self {
            key,
            event_id,
            status,
            occurred_at,
            amount: None,
            provider: None,
            provider_transaction_id: None,
            provider_status: None,
            refund: None,
            reason: None,
            display: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_loses_white_space_between_tokens_only() {
        let raw: Box<RawValue> =
            serde_json::from_str("{ \"a b\" : [1.50, \"x \\\" \\\\\" ,\n 12345678901234567890 ] }").unwrap();
        assert_eq!(Display::new(&raw).as_str(), r#"{"a b":[1.50,"x \" \\",12345678901234567890]}"#);
    }
}
