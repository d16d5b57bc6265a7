//! One of `[[payments.mappings]]`, as it is written. What it means is checked where it is compiled
//! (`broker/decode/mapping`), which knows the statuses, the pointers and the patterns.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::range;

/// Decimals that a minor unit may have.
const SCALE_MAX: u64 = 9;

/// How the bodies of one publisher are read. A field is a JSON pointer (RFC 6901), `=text` for a constant, or empty where it
/// is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Mapping {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub routing_key: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<Scalar>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub event_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub merchant_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses_ignored: Vec<Scalar>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub occurred_at: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time_format: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub amount_value: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub amount_currency: String,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scale")]
    pub amount_scale: Option<u8>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_transaction_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refund_status: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refund_statuses: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refund_amount_value: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refund_amount_currency: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason_code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason_message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display: String,
}

/// A text, a whole number or a truth of a body, as the text that it is compared by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scalar(String);

impl Scalar {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a string, a whole number, true or false")]
        enum Either {
            Text(String),
            Number(i64),
            Truth(bool),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::Number(number) => number.to_string(),
            Either::Truth(truth) => truth.to_string(),
        }))
    }
}

fn scale<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    range::within::<D, u8, 0, SCALE_MAX>(deserializer).map(Some)
}
