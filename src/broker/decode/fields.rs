//! The payment object of the contract, field by field.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Reject;
use super::explained::Origins;
use super::json::{is_empty, members, short, text, written_members};
use crate::payment::{
    Currency, Display, Event, EventId, Key, MerchantId, Money, OrderId, Reason, Refund, RefundStatus, Status,
    Timestamp, limits,
};

/// What stands in for fields that the object lacks. Each is taken only if it is needed.
pub(super) struct Fallback<'a> {
    pub(super) event_id: &'a dyn Fn() -> Result<EventId, Reject>,
    pub(super) occurred_at: &'a dyn Fn() -> Result<Option<Timestamp>, Reject>,
    pub(super) merchant_id: Option<&'a MerchantId>,
}

const NAMES: [&str; 12] = [
    "event_id",
    "merchant_id",
    "order_id",
    "status",
    "occurred_at",
    "amount",
    "provider",
    "provider_transaction_id",
    "provider_status",
    "refund",
    "reason",
    "display",
];

pub(super) fn payment(object: &str, fallback: &Fallback<'_>) -> Result<Event, Reject> {
    let [
        event_id,
        merchant_id,
        order_id,
        status,
        occurred_at,
        amount,
        provider,
        transaction_id,
        provider_status,
        refund,
        reason,
        display,
    ] = members(object, "", &NAMES)?;
    let merchant_id = match text(merchant_id, "merchant_id")? {
        Some(text) => MerchantId::new(&text).map_err(|rule| Reject::malformed("merchant_id", rule))?,
        None => fallback.merchant_id.cloned().ok_or_else(|| Reject::missing("merchant_id"))?,
    };
    let order_id = text(order_id, "order_id")?.ok_or_else(|| Reject::missing("order_id"))?;
    let order_id = OrderId::new(&order_id).map_err(|rule| Reject::malformed("order_id", rule))?;
    let key = Key::new(merchant_id, order_id);
    let about = |reject: Reject| {
        let named = text(event_id, "event_id").ok().flatten().and_then(|text| EventId::new(&text).ok());
        let id = named.or_else(|| (fallback.event_id)().ok());
        reject.of_event(key.clone(), id.as_ref().map_or("", EventId::as_str))
    };
    let rest = || {
        let status = text(status, "status")?.ok_or_else(|| Reject::missing("status"))?;
        let status: Status = status.parse().map_err(|rule| Reject::unknown_status("status", &status, rule))?;
        let occurred_at = match time(occurred_at)? {
            Some(at) => at,
            None => (fallback.occurred_at)()?.ok_or_else(|| Reject::missing("occurred_at"))?,
        };
        let event_id = match text(event_id, "event_id")? {
            Some(text) => EventId::new(&text).map_err(|rule| Reject::malformed("event_id", rule))?,
            None => (fallback.event_id)()?,
        };
        let mut event = Event::new(key.clone(), event_id, status, occurred_at);
        event.amount = money(amount, "amount")?;
        event.provider = short(provider, "provider", limits::PROVIDER_BYTES_MAX)?;
        event.provider_transaction_id =
            short(transaction_id, "provider_transaction_id", limits::PROVIDER_TRANSACTION_ID_BYTES_MAX)?;
        event.provider_status = short(provider_status, "provider_status", limits::PROVIDER_STATUS_BYTES_MAX)?;
        event.refund = refund_of(refund)?;
        event.reason = reason_of(reason)?;
        event.display = display_of(display)?;
        Ok(event)
    };
    rest().map_err(about)
}

/// Where each field is in the object that `prefix` leads to.
///
/// # Errors
/// As [`payment`] has.
pub(super) fn origins(object: &str, prefix: &str) -> Result<Origins, Reject> {
    let found = NAMES.into_iter().zip(members(object, "", &NAMES)?);
    let is_given = |name, value| name != "occurred_at" || !matches!(time(value), Ok(None));
    let present = found.filter_map(|(name, value)| value.filter(|_| is_given(name, value)).map(|_value| name));
    let fields = present.flat_map(|name| match name {
        "refund" => vec!["refund.status", "refund.amount"],
        "reason" => vec!["reason.code", "reason.message"],
        name => vec![name],
    });
    Ok(fields.map(|field| (field, format!("{prefix}/{}", field.replace('.', "/")))).collect())
}

fn time(value: Option<&RawValue>) -> Result<Option<Timestamp>, Reject> {
    let Some(text) = text(value, "occurred_at")? else { return Ok(None) };
    let at = Timestamp::parse(&text).map_err(|rule| Reject::malformed("occurred_at", rule))?;
    Ok(Some(at).filter(|at| !at.is_unset()))
}

/// PHP writes an object without members as `[]`.
fn is_not_empty_array(raw: &&RawValue) -> bool {
    !raw.get().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'))
}

fn money(value: Option<&RawValue>, field: &str) -> Result<Option<Money>, Reject> {
    let Some(raw) = value.filter(is_not_empty_array) else {
        return Ok(None);
    };
    let written = written_members(raw.get(), &format!("{field}."), &["value", "currency"])?;
    // What Go and Java write of an amount that was not set.
    match written {
        [None, None] => {}
        [value, None] if value.is_some_and(is_empty) => return Ok(None),
        [value, Some(currency)] if is_empty(currency) && value.is_none_or(|raw| is_empty(raw) || raw.get() == "0") => {
            return Ok(None);
        }
        _ => {}
    }
    let [value, currency] = written.map(|value| value.filter(|raw| !is_empty(raw)));
    let (value_field, currency_field) = (format!("{field}.value"), format!("{field}.currency"));
    let value = value.ok_or_else(|| Reject::missing(&value_field))?.get();
    // Digits alone: a fraction, an exponent or a text would be money by guesswork.
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let rule = "must be a whole number of minor units, at least 0";
    let value: i64 = value.parse().ok().filter(|_| digits).ok_or_else(|| Reject::malformed(&value_field, rule))?;
    let currency = text(currency, &currency_field)?.ok_or_else(|| Reject::missing(&currency_field))?;
    let currency = Currency::new(&currency).map_err(|rule| Reject::malformed(&currency_field, rule))?;
    Money::new(value, currency).map(Some).map_err(|rule| Reject::malformed(&value_field, rule))
}

fn refund_of(value: Option<&RawValue>) -> Result<Option<Refund>, Reject> {
    let Some(raw) = value.filter(is_not_empty_array) else {
        return Ok(None);
    };
    let written = written_members(raw.get(), "refund.", &["status", "amount"])?;
    let [status, amount] = written.map(|value| value.filter(|raw| !is_empty(raw)));
    // What Go and Java write of a refund that was not set. One with other members, or with none, is a mistake.
    if written.iter().any(Option::is_some) && status.is_none() && money(amount, "refund.amount")?.is_none() {
        return Ok(None);
    }
    let status = text(status, "refund.status")?.ok_or_else(|| Reject::missing("refund.status"))?;
    let known = RefundStatus::ALL.into_iter().find(|known| known.as_str() == status);
    let rule = "must be one of processing, partial, full";
    let status = known.ok_or_else(|| Reject::unknown_status("refund.status", &status, rule))?;
    Ok(Some(Refund { status, amount: money(amount, "refund.amount")? }))
}

fn reason_of(value: Option<&RawValue>) -> Result<Option<Reason>, Reject> {
    let Some(raw) = value.filter(is_not_empty_array) else {
        return Ok(None);
    };
    let [code, message] = members(raw.get(), "reason.", &["code", "message"])?;
    let code = short(code, "reason.code", limits::REASON_CODE_BYTES_MAX)?;
    let message = short(message, "reason.message", limits::REASON_MESSAGE_BYTES_MAX)?;
    Ok(Some(Reason { code, message }).filter(|reason| reason.code.is_some() || reason.message.is_some()))
}

fn display_of(value: Option<&RawValue>) -> Result<Option<Display>, Reject> {
    let display = value.map(Display::new);
    if display.as_ref().is_some_and(|display| display.as_str().len() > limits::DISPLAY_BYTES_MAX) {
        let rule = format!("must be at most {} bytes of JSON", limits::DISPLAY_BYTES_MAX);
        return Err(Reject::malformed("display", rule));
    }
    Ok(display)
}

/// The plain form of the contract, for what this service publishes itself.
#[must_use]
pub fn encode(event: &Event) -> Vec<u8> {
    let mut json = Writer::open();
    json.text("event_id", Some(event.event_id.as_str()));
    json.text("merchant_id", Some(event.key.merchant_id.as_str()));
    json.text("order_id", Some(event.key.order_id.as_str()));
    json.text("status", Some(event.status.as_str()));
    json.text("occurred_at", Some(event.occurred_at.as_str()));
    json.raw("amount", event.amount.map(money_json));
    json.text("provider", event.provider.as_deref());
    json.text("provider_transaction_id", event.provider_transaction_id.as_deref());
    json.text("provider_status", event.provider_status.as_deref());
    json.raw("refund", event.refund.map(refund_json));
    json.raw("reason", event.reason.as_ref().map(reason_json));
    json.raw("display", event.display.as_ref().map(|display| Cow::Borrowed(display.as_str())));
    json.close().into_bytes()
}

fn money_json(money: Money) -> Cow<'static, str> {
    let mut json = Writer::open();
    json.raw("value", Some(Cow::Owned(money.value().to_string())));
    json.text("currency", Some(&String::from(money.currency())));
    Cow::Owned(json.close())
}

fn refund_json(refund: Refund) -> Cow<'static, str> {
    let mut json = Writer::open();
    json.text("status", Some(refund.status.as_str()));
    json.raw("amount", refund.amount.map(money_json));
    Cow::Owned(json.close())
}

fn reason_json(reason: &Reason) -> Cow<'static, str> {
    let mut json = Writer::open();
    json.text("code", reason.code.as_deref());
    json.text("message", reason.message.as_deref());
    Cow::Owned(json.close())
}

/// Writes an object by hand: serde's writer may fail, and nothing here can.
struct Writer(String);

impl Writer {
    fn open() -> Self {
        Self("{".to_owned())
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        let quoted = value.map(|text| serde_json::Value::from(text).to_string());
        self.raw(name, quoted.map(Cow::Owned));
    }

    fn raw(&mut self, name: &str, json: Option<Cow<'_, str>>) {
        let Some(json) = json else {
            return;
        };
        let comma = if self.0.len() > 1 { "," } else { "" };
        self.0.push_str(&format!("{comma}\"{name}\":{json}"));
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
