//! What the mappings have in common: texts of a provider in, a checked event out.
//!
//! A notification of a refund is an event of status `succeeded` that occurred when the *refund* did:
//! - Only what was paid can be refunded, so `succeeded` is true, and the contract has no other place for it: refunds are
//!   an axis of their own.
//! - Among `succeeded` events the earlier decides the state, and a refund is always later than its payment. So the
//!   payment's own event stays the one that pages see, whichever of the two arrives first.
//! - Partial refunds are ordered among themselves by the same field, later over earlier, which the time of the payment
//!   could not do.
//!
//! A refund that came to nothing carries `succeeded` and no refund: money did not go back.

use super::Provider;
use super::receipt::Fault;
use crate::payment::{
    Currency, Event, EventId, Key, MerchantId, Money, OrderId, Reason, Refund, Status, Timestamp, limits,
};

/// An event before its texts are checked.
pub(super) struct Draft<'a> {
    pub(super) provider: Provider,
    pub(super) merchant_id: &'a MerchantId,
    pub(super) event_id: &'a str,
    pub(super) order_id: &'a str,
    pub(super) transaction_id: Option<&'a str>,
    pub(super) provider_status: &'a str,
    pub(super) status: Status,
    pub(super) occurred_at: Timestamp,
    pub(super) amount: Option<Money>,
    pub(super) refund: Option<Refund>,
    pub(super) reason: Option<Reason>,
}

impl Draft<'_> {
    /// # Errors
    /// `malformed` for an identifier or text that an event cannot hold.
    pub(super) fn event(self) -> Result<Event, Fault> {
        let order_id = OrderId::new(self.order_id);
        let order_id = order_id
            .ok()
            .ok_or(Fault::malformed("order number (order_id_from) is not 1 to 64 of A-Z a-z 0-9 _ . - * | @"))?;
        let event_id = EventId::new(self.event_id);
        let event_id = event_id.ok().ok_or(Fault::malformed("notification id is not 1 to 256 bytes"))?;
        let key = Key::new(self.merchant_id.clone(), order_id);
        let mut event = Event::new(key, event_id, self.status, self.occurred_at);
        event.amount = self.amount;
        event.provider = Some(self.provider.as_str().into());
        if let Some(id) = self.transaction_id.filter(|id| !id.is_empty()) {
            require(id.len() <= limits::PROVIDER_TRANSACTION_ID_BYTES_MAX, "transaction number is too long")?;
            event.provider_transaction_id = Some(id.into());
        }
        require(self.provider_status.len() <= limits::PROVIDER_STATUS_BYTES_MAX, "status is too long")?;
        event.provider_status = Some(self.provider_status.into());
        event.refund = self.refund;
        event.reason = self.reason;
        Ok(event)
    }
}

fn require(holds: bool, otherwise: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::malformed(otherwise)) }
}

/// `value` minor units of a currency given by its code in capitals.
///
/// # Errors
/// `malformed` below zero, or where the code is not three capitals.
pub(super) fn money(value: i64, currency: &str) -> Result<Money, Fault> {
    let money = Currency::new(currency).and_then(|currency| Money::new(value, currency));
    money.ok().ok_or(Fault::malformed("amount is negative or its currency is not an ISO 4217 code"))
}

/// # Errors
/// `malformed` where the text is not RFC 3339.
pub(super) fn rfc3339(text: &str) -> Result<Timestamp, Fault> {
    Timestamp::parse(text).ok().ok_or(Fault::malformed("time is not RFC 3339"))
}

/// Words for the page. A text that is empty or longer than an event may hold is left out: it decides nothing.
pub(super) fn reason(code: Option<&str>, message: Option<&str>) -> Option<Reason> {
    let fitting = |text: Option<&str>, bytes_max: usize| {
        text.filter(|text| !text.is_empty() && text.len() <= bytes_max).map(Box::from)
    };
    let code = fitting(code, limits::REASON_CODE_BYTES_MAX);
    let message = fitting(message, limits::REASON_MESSAGE_BYTES_MAX);
    (code.is_some() || message.is_some()).then_some(Reason { code, message })
}
