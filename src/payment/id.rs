//! Identifiers. Each is checked once, where it enters, and is cheap to clone from then on.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a text is not an identifier. The sentence names the rule, never the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(&'static str);

const NAME_BYTES_MAX: usize = 64;
const EVENT_ID_BYTES_MAX: usize = 256;

fn check_name(text: &str) -> Result<(), InvalidId> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(allowed) {
        return Err(InvalidId("must be 1 to 64 of the characters A-Z a-z 0-9 _ . -"));
    }
    Ok(())
}

/// All that WeChat Pay allows in `out_trade_no`, and the dot.
fn check_order_id(text: &str) -> Result<(), InvalidId> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'*' | b'|' | b'@');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(allowed) {
        return Err(InvalidId("must be 1 to 64 of the characters A-Z a-z 0-9 _ . - * | @"));
    }
    Ok(())
}

fn check_event_id(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() || text.len() > EVENT_ID_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(InvalidId("must be 1 to 256 bytes without control characters"));
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule that the text breaks.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

id!(
    /// The merchant that a payment belongs to: 1 to 64 of `A-Z a-z 0-9 _ . -`.
    MerchantId,
    check_name
);
id!(
    /// The merchant's own order number (`out_trade_no` of WeChat Pay and Alipay): 1 to 64 of `A-Z a-z 0-9 _ . - * | @`.
    OrderId,
    check_order_id
);
id!(
    /// The key by which a repeated event is known: 1 to 256 bytes, no control characters.
    EventId,
    check_event_id
);

impl EventId {
    /// The first eight bytes of its SHA-256, big-endian: the id where 256 bytes are too many.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let digest = Sha256::digest(self.0.as_bytes());
        u64::from_be_bytes(std::array::from_fn(|i| digest[i]))
    }
}

/// What a payment is known by: the merchant and that merchant's order number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Whose payment it is.
    pub merchant_id: MerchantId,
    /// Which of that merchant's orders it pays.
    pub order_id: OrderId,
}

impl Key {
    /// Joins two checked identifiers.
    #[must_use]
    pub fn new(merchant_id: MerchantId, order_id: OrderId) -> Self {
        Self { merchant_id, order_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        for good in ["a", "A_b.c-9", &"x".repeat(64)] {
            assert!(OrderId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "订单", "a\n", "a%b", "a?b", "a#b", &"x".repeat(65)] {
            assert!(OrderId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn order_numbers_may_hold_what_wechat_pay_allows() {
        for number in ["20261128*1", "shop|1", "1@shop", "*|@"] {
            assert!(OrderId::new(number).is_ok(), "{number}");
            assert!(MerchantId::new(number).is_err(), "{number}");
        }
    }

    #[test]
    fn event_ids_take_any_text_but_control_characters() {
        assert!(EventId::new("事件/1 ?").is_ok());
        for bad in ["", "a\u{0}b", &"x".repeat(257)] {
            assert!(EventId::new(bad).is_err(), "{bad}");
        }
    }
}
