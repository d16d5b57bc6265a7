//! Which field of a notification is the order number that pages wait for.

use super::Error;

/// What each provider's accounts call the merchant's number of the order, or leave out.
const MERCHANT_NUMBER: &str = "out_trade_no";

/// `order_id_from` of an account whose provider gives both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderIdFrom {
    /// The merchant's number of the order at the provider. Shops that let a payer try again often use a new one each time.
    MerchantNumber,
    /// The text that the merchant gave with the order, and that comes back as it was.
    PassedText,
}

impl OrderIdFrom {
    /// Reads the setting of the account `section`; `passed_text` is the provider's name for that field.
    ///
    /// # Errors
    /// [`Error`] for any other name.
    pub(super) fn read(section: &str, setting: &str, passed_text: &str) -> Result<Self, Error> {
        match setting {
            "" | MERCHANT_NUMBER => Ok(Self::MerchantNumber),
            name if name == passed_text => Ok(Self::PassedText),
            _ => Err(Error::new(
                format!("{section}.order_id_from"),
                format!("must be {MERCHANT_NUMBER} or {passed_text}"),
            )),
        }
    }

    /// The order number, `None` where the notification has none there.
    pub(super) fn of<'a>(self, merchant_number: &'a str, passed_text: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::MerchantNumber => Some(merchant_number),
            Self::PassedText => passed_text.filter(|text| !text.is_empty()),
        }
    }
}
