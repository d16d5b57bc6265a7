//! An event of Stripe's to an event of ours: `payment_intent.*` and `charge.refunded`. Who paid (customer, card, billing
//! details) is not even read.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::callbacks::Provider;
use crate::callbacks::draft::{Draft, money, reason};
use crate::callbacks::receipt::{Fault, Meaning};
use crate::payment::{MerchantId, Money, Refund, RefundStatus, Status, Timestamp};
use crate::runtime::Object;

/// From this API version on, a hold that is let go, wholly or by capturing less, is no longer reported as a refund
/// (Stripe's changelog, 2025-03-31.basil).
const HOLDS_ARE_NOT_REFUNDS_SINCE: &str = "2025-03-31";

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// What tells whether an event is read at all.
#[derive(Deserialize)]
struct Head {
    object: Option<Box<str>>,
    #[serde(rename = "type")]
    kind: Box<str>,
}

#[derive(Deserialize)]
struct Notification<'a> {
    id: Box<str>,
    #[serde(rename = "type")]
    kind: Box<str>,
    created: u64,
    api_version: Option<Box<str>>,
    #[serde(borrow)]
    data: Option<Object<Data<'a>>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Amounts as Stripe counts them, see [`amount`].
#[derive(Deserialize)]
struct PaymentIntent {
    id: Box<str>,
    status: Box<str>,
    amount: i64,
    amount_received: Option<i64>,
    currency: Box<str>,
    #[serde(default)]
    metadata: Value,
    last_payment_error: Option<Object<PaymentError>>,
    cancellation_reason: Option<Box<str>>,
}

#[derive(Deserialize)]
struct PaymentError {
    code: Option<Box<str>>,
    message: Option<Box<str>>,
}

/// `amount_refunded` is the sum of all refunds of the charge.
#[derive(Deserialize)]
struct Charge {
    id: Box<str>,
    payment_intent: Option<Box<str>>,
    amount: i64,
    amount_captured: Option<i64>,
    amount_refunded: i64,
    captured: bool,
    refunded: bool,
    currency: Box<str>,
    #[serde(default)]
    metadata: Value,
}

/// # Errors
/// `malformed`.
pub(super) fn meaning(merchant_id: &MerchantId, order_id_key: &str, body: &[u8]) -> Result<Meaning, Fault> {
    let Object(head): Object<Head> = serde_json::from_slice(body).ok().ok_or(Fault::malformed("not an event"))?;
    let of_intent = head.kind.starts_with("payment_intent.");
    // A thin event names its object and says nothing of it.
    let is_thin = head.object.is_some_and(|object| object.starts_with("v2."));
    if is_thin || (!of_intent && head.kind.as_ref() != "charge.refunded") {
        return Ok(Meaning::Nothing("event_type"));
    }
    let Object(notification): Object<Notification<'_>> =
        serde_json::from_slice(body).ok().ok_or(Fault::malformed("not an event of the first API"))?;
    let object = notification.data.as_ref().ok_or(Fault::malformed("no data.object"))?.object.get();
    let account = Account { merchant_id, order_id_key };
    if of_intent { account.intent(&notification, object) } else { account.refund(&notification, object) }
}

/// Whose events they are.
struct Account<'a> {
    merchant_id: &'a MerchantId,
    order_id_key: &'a str,
}

impl Account<'_> {
    fn intent(&self, notification: &Notification<'_>, object: &str) -> Result<Meaning, Fault> {
        let Object(intent): Object<PaymentIntent> =
            serde_json::from_str(object).ok().ok_or(Fault::malformed("not a payment intent"))?;
        let Some(order_id) = self.order_id(&intent.metadata) else { return Ok(Meaning::Nothing("no_order_id")) };
        // After a declined attempt the intent waits for another means of payment, so its status does not show the decline.
        let provider_status = match notification.kind.as_ref() {
            "payment_intent.payment_failed" => "payment_failed",
            _ => intent.status.as_ref(),
        };
        let status = match provider_status {
            // After a decline the payer may try again with the same intent.
            // API versions before 2019-02-11 call a payment method a source.
            "requires_payment_method" | "requires_source" | "requires_confirmation" | "payment_failed" => {
                Status::Pending
            }
            "requires_action" | "requires_source_action" => Status::RequiresAction,
            "processing" => Status::Processing,
            "requires_capture" => Status::Authorized,
            "succeeded" => Status::Succeeded,
            "canceled" => Status::Canceled,
            _ => return Err(Fault::malformed("status is unknown")),
        };
        // Less than was asked for may have been captured.
        let value = match (status, intent.amount_received) {
            (Status::Succeeded, Some(received)) if received > 0 => received,
            _ => intent.amount,
        };
        let why = match (status, &intent.last_payment_error) {
            (Status::Pending, Some(error)) => reason(error.code.as_deref(), error.message.as_deref()),
            (Status::Canceled, _) => reason(intent.cancellation_reason.as_deref(), None),
            _ => None,
        };
        let event = Draft {
            provider: Provider::Stripe,
            merchant_id: self.merchant_id,
            event_id: &notification.id,
            order_id,
            transaction_id: Some(&intent.id),
            provider_status,
            status,
            occurred_at: occurred_at(notification, step_ms(provider_status) * NS_PER_MS)?,
            amount: Some(amount(value, &intent.currency)?),
            refund: None,
            reason: why,
        };
        Ok(Meaning::Payments(vec![event.event()?]))
    }

    fn refund(&self, notification: &Notification<'_>, object: &str) -> Result<Meaning, Fault> {
        let Object(charge): Object<Charge> =
            serde_json::from_str(object).ok().ok_or(Fault::malformed("not a charge"))?;
        let captured = charge.amount_captured.unwrap_or(charge.amount);
        let refunded = charge.amount_refunded.saturating_sub(released(notification, &charge, captured));
        // A hold that was never captured: no money moved, so neither `succeeded` nor a refund would be true.
        if !charge.captured || refunded <= 0 {
            return Ok(Meaning::Nothing("hold_released"));
        }
        let Some(order_id) = self.order_id(&charge.metadata) else { return Ok(Meaning::Nothing("no_order_id")) };
        let whole = charge.refunded || refunded >= captured;
        let status = if whole { RefundStatus::Full } else { RefundStatus::Partial };
        let event = Draft {
            provider: Provider::Stripe,
            merchant_id: self.merchant_id,
            event_id: &notification.id,
            order_id,
            transaction_id: Some(charge.payment_intent.as_deref().unwrap_or(&charge.id)),
            provider_status: &notification.kind,
            status: Status::Succeeded,
            occurred_at: occurred_at(notification, if whole { 0 } else { refund_step_ns(refunded, captured) })?,
            amount: Some(amount(captured, &charge.currency)?),
            refund: Some(Refund { status, amount: Some(amount(refunded, &charge.currency)?) }),
            reason: None,
        };
        Ok(Meaning::Payments(vec![event.event()?]))
    }

    /// Stripe has no field for the merchant's order number. Metadata of a payment intent is copied to its charge.
    fn order_id<'a>(&self, metadata: &'a Value) -> Option<&'a str> {
        metadata.get(self.order_id_key).and_then(Value::as_str).filter(|id| !id.is_empty())
    }
}

/// How much of `amount_refunded` was only held and let go, because less was captured. An account may have had the later
/// behaviour before its version: then the remainder may not be in the sum, and subtracting it claims too little rather
/// than too much.
fn released(notification: &Notification<'_>, charge: &Charge, captured: i64) -> i64 {
    let is_reported_as_refund =
        notification.api_version.as_deref().is_some_and(|version| version < HOLDS_ARE_NOT_REFUNDS_SINCE);
    let remainder = charge.amount.saturating_sub(captured).max(0);
    if is_reported_as_refund && charge.amount_refunded >= remainder { remainder } else { 0 }
}

/// Stripe gives whole seconds, and several events of an intent often share one. Of open states the later counts, so each
/// step of an intent's life is put a millisecond after the one before it. What is final has Stripe's time as it is.
fn step_ms(provider_status: &str) -> u64 {
    match provider_status {
        "requires_confirmation" => 1,
        "requires_action" | "requires_source_action" => 2,
        "processing" => 3,
        "requires_capture" => 4,
        // It ends an attempt, whatever that had come to.
        "payment_failed" => 5,
        _ => 0,
    }
}

/// Of several refunds of one second, which each have the sum so far, the greatest sum is the last: the greater part of what
/// was captured, the later within the second.
fn refund_step_ns(refunded: i64, captured: i64) -> u64 {
    let ns = i128::from(refunded) * i128::from(NS_PER_S - 1) / i128::from(captured.max(1));
    u64::try_from(ns).unwrap_or(0).min(NS_PER_S - 1)
}

fn occurred_at(notification: &Notification<'_>, step_ns: u64) -> Result<Timestamp, Fault> {
    let unix_ns = i128::from(notification.created) * i128::from(NS_PER_S) + i128::from(step_ns);
    Timestamp::from_unix_ns(unix_ns).ok().ok_or(Fault::malformed("created is out of range"))
}

/// In minor units of ISO 4217. Three currencies Stripe counts otherwise: <https://docs.stripe.com/currencies>.
fn amount(value: i64, currency: &str) -> Result<Money, Fault> {
    let currency = currency.to_ascii_uppercase();
    let value = match currency.as_str() {
        // They have no minor unit any more; Stripe still wants two decimals, which are always 00.
        "ISK" | "UGX" => value / 100,
        // In whole units.
        "MGA" => value.checked_mul(100).ok_or(Fault::malformed("amount is out of range"))?,
        _ => value,
    };
    money(value, &currency)
}
