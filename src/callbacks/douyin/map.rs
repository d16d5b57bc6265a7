//! The text `msg` of a verified notice to an event. Who paid is not even read.

use serde::Deserialize;
use serde_json::Value;

use crate::callbacks::draft::{Draft, money};
use crate::callbacks::order_id_from::OrderIdFrom;
use crate::callbacks::receipt::{Fault, Meaning};
use crate::callbacks::{Code, Provider};
use crate::payment::{MerchantId, Status, Timestamp};
use crate::runtime::Object;

/// Amounts are in fen.
const CURRENCY: &str = "CNY";
/// `pay_channel` and `way` of Douyin's own wallet; others are WeChat Pay and Alipay.
const DOUYIN_PAY: &str = "10";

/// Whose notices they are.
pub(super) struct Account<'a> {
    pub(super) merchant_id: &'a MerchantId,
    pub(super) app_id: &'a str,
    pub(super) order_id_from: OrderIdFrom,
}

/// The names of the general trade system; those of guaranteed payment (`ecpay`) are the aliases.
#[derive(Deserialize)]
struct Payment {
    #[serde(alias = "appid")]
    app_id: Box<str>,
    #[serde(alias = "cp_orderno")]
    out_order_no: Box<str>,
    /// Douyin's number of the order. Some notices of `ecpay` leave it out.
    order_id: Option<Box<str>>,
    payment_order_no: Option<Box<str>>,
    status: Box<str>,
    total_amount: Option<i64>,
    /// A number or a text.
    #[serde(default, alias = "way")]
    pay_channel: Value,
    #[serde(alias = "channel_no")]
    channel_pay_id: Option<Box<str>>,
    user_bill_pay_id: Option<Box<str>>,
    cp_extra: Option<Box<str>>,
    /// Milliseconds.
    event_time: Option<i64>,
    /// Seconds, in `ecpay`.
    paid_at: Option<i64>,
}

impl Account<'_> {
    /// `sent_at_unix_s` stands in for the time of the payment where `msg` has none.
    ///
    /// # Errors
    /// `malformed` or `foreign`.
    pub(super) fn meaning(&self, msg: &str, sent_at_unix_s: Option<i64>) -> Result<Meaning, Fault> {
        let Object(payment): Object<Payment> =
            serde_json::from_str(msg).ok().ok_or(Fault::malformed("msg is not a payment"))?;
        if payment.app_id.as_ref() != self.app_id {
            return Err(Fault::new(Code::Foreign, "app_id belongs to another application"));
        }
        match payment.status.as_ref() {
            "SUCCESS" => {}
            // Douyin's documents do not say that such an order can never be paid, so it is no final result.
            "CANCEL" => return Ok(Meaning::Nothing("not_paid")),
            _ => return Err(Fault::malformed("status is unknown")),
        }
        let order_id = self.order_id_from.of(&payment.out_order_no, payment.cp_extra.as_deref());
        let order_id = order_id.ok_or(Fault::malformed(
            "cp_extra is empty: give it the order number with each payment, or set order_id_from to out_trade_no",
        ))?;
        let order = filled(payment.order_id.as_deref()).or(filled(payment.payment_order_no.as_deref()));
        let order = order.ok_or(Fault::malformed("order_id is missing"))?;
        let draft = Draft {
            provider: Provider::Douyin,
            merchant_id: self.merchant_id,
            // Notices have no number of their own; a repeated one has the same order.
            event_id: &format!("douyin:{order}:{}", payment.status),
            order_id,
            transaction_id: Some(payment.transaction_id().unwrap_or(order)),
            provider_status: &payment.status,
            status: Status::Succeeded,
            occurred_at: payment.occurred_at(sent_at_unix_s)?,
            amount: payment.total_amount.map(|value| money(value, CURRENCY)).transpose()?,
            refund: None,
            reason: None,
        };
        Ok(Meaning::Payments(vec![draft.event()?]))
    }
}

impl Payment {
    /// The number that the payer finds on the bill: in Douyin's wallet Douyin's, else that of WeChat Pay or Alipay.
    fn transaction_id(&self) -> Option<&str> {
        let (own, channels) = (filled(self.user_bill_pay_id.as_deref()), filled(self.channel_pay_id.as_deref()));
        let is_own = match &self.pay_channel {
            Value::String(text) => text == DOUYIN_PAY,
            Value::Number(number) => number.to_string() == DOUYIN_PAY,
            _ => false,
        };
        if is_own { own.or(channels) } else { channels.or(own) }
    }

    fn occurred_at(&self, sent_at_unix_s: Option<i64>) -> Result<Timestamp, Fault> {
        let seconds = self.paid_at.or(sent_at_unix_s);
        let unix_ms = self.event_time.or(seconds.and_then(|seconds| seconds.checked_mul(1000)));
        let at = unix_ms.and_then(|ms| Timestamp::from_unix_ms(ms).ok());
        at.ok_or(Fault::malformed("time is missing or out of range"))
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
