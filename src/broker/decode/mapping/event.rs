//! From the values of a body to an event.

use super::super::decoded::Decoded;
use super::super::explained::Origins;
use super::super::fields::Fallback;
use super::super::reject::Reject;
use super::amount::Amount;
use super::compiled::{Fields, RefundFields};
use super::pointers::Values;
use super::source::Source;
use crate::payment::{
    Display, Event, EventId, Key, MerchantId, OrderId, Reason, Refund, RefundStatus, Status, Timestamp, limits,
};

/// Makes an event of the body whose values these are; `number` is that of the mapping.
///
/// # Errors
/// [`Reject`] with the first rule that is broken.
pub(super) fn decode(
    number: usize,
    fields: &Fields,
    values: &Values<'_, '_>,
    fallback: &Fallback<'_>,
) -> Result<Decoded, Reject> {
    if let Some(pointer) = values.twice {
        return Err(Reject::duplicate(&format!("the value at {pointer}")));
    }
    let status = fields.status.scalar(values, "status")?;
    if status.as_ref().is_some_and(|status| fields.statuses_ignored.iter().any(|ignored| **ignored == **status)) {
        return Ok(Decoded::Ignored { mapping: number });
    }
    let key = key(fields, values, fallback)?;
    let about = |reject: Reject| {
        let named = event_id(fields, values).ok().flatten().or_else(|| (fallback.event_id)().ok());
        reject.of_event(key.clone(), named.as_ref().map_or("", EventId::as_str))
    };
    let rest = || {
        let status = status.as_ref().ok_or_else(|| Reject::missing(&fields.status.named("status")))?;
        let status = status_of(fields, status)?;
        let occurred_at = match occurred_at(fields, values)? {
            Some(at) => at,
            None => {
                let named =
                    || fields.occurred_at.as_ref().map_or("occurred_at".to_owned(), |at| at.named("occurred_at"));
                (fallback.occurred_at)()?.ok_or_else(|| Reject::missing(&named()))?
            }
        };
        let event_id = event_id(fields, values)?.map_or_else(|| (fallback.event_id)(), Ok)?;
        let mut event = Event::new(key.clone(), event_id, status, occurred_at);
        event.amount = fields
            .amount
            .as_ref()
            .map(|amount| amount.read(values, ["amount.value", "amount.currency"]))
            .transpose()?
            .flatten();
        let short = |source: &Option<Source>, field, bytes_max| short(source.as_ref(), values, field, bytes_max);
        event.provider = short(&fields.provider, "provider", limits::PROVIDER_BYTES_MAX)?;
        event.provider_transaction_id = short(
            &fields.provider_transaction_id,
            "provider_transaction_id",
            limits::PROVIDER_TRANSACTION_ID_BYTES_MAX,
        )?;
        // Words for people decide nothing, and whoever wrote them knows nothing of our limits.
        let words = |source: &Option<Source>, field, bytes_max| words(source.as_ref(), values, field, bytes_max);
        event.provider_status = words(&fields.provider_status, "provider_status", limits::PROVIDER_STATUS_BYTES_MAX)?;
        event.refund = fields.refund.as_ref().map(|refund| refund_of(refund, values)).transpose()?.flatten();
        let code = words(&fields.reason_code, "reason.code", limits::REASON_CODE_BYTES_MAX)?;
        let message = words(&fields.reason_message, "reason.message", limits::REASON_MESSAGE_BYTES_MAX)?;
        event.reason = (code.is_some() || message.is_some()).then_some(Reason { code, message });
        event.display = display(fields, values)?;
        Ok(Decoded::Event(event))
    };
    rest().map_err(about)
}

/// Where each field is found in the body whose values these are. What the message around it gives is left out.
pub(super) fn origins(fields: &Fields, values: &Values<'_, '_>) -> Origins {
    let of = |source: Option<&Source>| source.and_then(|source| source.origin(values));
    let money = |amount: Option<&Amount>| {
        let amount = amount?;
        Some(format!("{}, {}", amount.value.origin(values)?, amount.currency.origin(values)?))
    };
    let word = |source: &Source| match source.scalar(values, "").ok().flatten() {
        Some(word) if source.pointer().is_some() => of(Some(source)).map(|origin| format!("{origin}, {word:?}")),
        _ => of(Some(source)),
    };
    // A time of 0 is as good as none.
    let occurred_at = occurred_at(fields, values).ok().flatten().and_then(|_at| of(fields.occurred_at.as_ref()));
    let refund = fields.refund.as_ref();
    let all = [
        ("event_id", of(fields.event_id.as_ref())),
        ("merchant_id", of(fields.merchant_id.as_ref())),
        ("order_id", of(Some(&fields.order_id))),
        ("status", word(&fields.status)),
        ("occurred_at", occurred_at),
        ("amount", money(fields.amount.as_ref())),
        ("provider", of(fields.provider.as_ref())),
        ("provider_transaction_id", of(fields.provider_transaction_id.as_ref())),
        ("provider_status", of(fields.provider_status.as_ref())),
        ("refund.status", refund.and_then(|refund| word(&refund.status))),
        ("refund.amount", money(refund.and_then(|refund| refund.amount.as_ref()))),
        ("reason.code", of(fields.reason_code.as_ref())),
        ("reason.message", of(fields.reason_message.as_ref())),
        ("display", of(fields.display.as_ref())),
    ];
    all.into_iter().filter_map(|(field, origin)| Some((field, origin?))).collect()
}

fn key(fields: &Fields, values: &Values<'_, '_>, fallback: &Fallback<'_>) -> Result<Key, Reject> {
    let merchant_id = match &fields.merchant_id {
        Some(source) => match source.text(values, "merchant_id")? {
            Some(text) => Some(MerchantId::new(&text).map_err(|rule| source.malformed("merchant_id", rule))?),
            None => None,
        },
        None => None,
    };
    let named = || fields.merchant_id.as_ref().map_or("merchant_id".to_owned(), |source| source.named("merchant_id"));
    let merchant_id = merchant_id.or_else(|| fallback.merchant_id.cloned()).ok_or_else(|| Reject::missing(&named()))?;
    let order_id = fields.order_id.text(values, "order_id")?;
    let order_id = order_id.ok_or_else(|| Reject::missing(&fields.order_id.named("order_id")))?;
    let order_id = OrderId::new(&order_id).map_err(|rule| fields.order_id.malformed("order_id", rule))?;
    Ok(Key::new(merchant_id, order_id))
}

fn event_id(fields: &Fields, values: &Values<'_, '_>) -> Result<Option<EventId>, Reject> {
    let Some(source) = &fields.event_id else { return Ok(None) };
    let Some(text) = source.text(values, "event_id")? else { return Ok(None) };
    EventId::new(&text).map(Some).map_err(|rule| source.malformed("event_id", rule))
}

fn status_of(fields: &Fields, found: &str) -> Result<Status, Reject> {
    let named = || fields.status.named("status");
    if fields.statuses.is_empty() {
        return found.parse().map_err(|rule| Reject::unknown_status(&named(), found, rule));
    }
    let known = fields.statuses.iter().find(|(word, _)| **word == *found).map(|(_, status)| *status);
    known.ok_or_else(|| Reject::unknown_status(&named(), found, "must be in statuses or statuses_ignored"))
}

fn occurred_at(fields: &Fields, values: &Values<'_, '_>) -> Result<Option<Timestamp>, Reject> {
    let Some(source) = &fields.occurred_at else { return Ok(None) };
    match source.scalar(values, "occurred_at")? {
        Some(text) => fields.times.read(&text).map_err(|rule| source.malformed("occurred_at", rule)),
        None => Ok(None),
    }
}

fn refund_of(refund: &RefundFields, values: &Values<'_, '_>) -> Result<Option<Refund>, Reject> {
    let Some(found) = refund.status.scalar(values, "refund.status")? else { return Ok(None) };
    let own = refund.statuses.iter().find(|(word, _)| **word == *found).map(|(_, status)| *status);
    let plain = || RefundStatus::ALL.into_iter().find(|status| refund.statuses.is_empty() && status.as_str() == found);
    let rule = if refund.statuses.is_empty() {
        "must be one of processing, partial, full"
    } else {
        "must be in refund_statuses"
    };
    let unknown = || Reject::unknown_status(&refund.status.named("refund.status"), &found, rule);
    let status = own.or_else(plain).ok_or_else(unknown)?;
    let amount = refund
        .amount
        .as_ref()
        .map(|amount| amount.read(values, ["refund.amount.value", "refund.amount.currency"]))
        .transpose()?
        .flatten();
    Ok(Some(Refund { status, amount }))
}

fn short(
    source: Option<&Source>,
    values: &Values<'_, '_>,
    field: &str,
    bytes_max: usize,
) -> Result<Option<Box<str>>, Reject> {
    // PHP's `false` is what was not found.
    let is_boolean = |source: &&Source| source.json(values).is_some_and(|raw| raw.get().starts_with(['t', 'f']));
    let Some(source) = source.filter(|source| !is_boolean(source)) else { return Ok(None) };
    match source.scalar(values, field)? {
        Some(text) if text.len() > bytes_max => {
            Err(source.malformed(field, format_args!("must be at most {bytes_max} bytes")))
        }
        text => Ok(text.map(|text| text.into_owned().into_boxed_str())),
    }
}

/// Cut to `bytes_max`.
fn words(
    source: Option<&Source>,
    values: &Values<'_, '_>,
    field: &str,
    bytes_max: usize,
) -> Result<Option<Box<str>>, Reject> {
    let Some(source) = source else { return Ok(None) };
    let Some(text) = source.scalar(values, field)? else { return Ok(None) };
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    Ok(Some(text[..end.unwrap_or_default()].into()))
}

fn display(fields: &Fields, values: &Values<'_, '_>) -> Result<Option<Display>, Reject> {
    let Some(source) = &fields.display else { return Ok(None) };
    let display = source.json(values).map(Display::new);
    if display.as_ref().is_some_and(|display| display.as_str().len() > limits::DISPLAY_BYTES_MAX) {
        let rule = format!("must be at most {} bytes of JSON", limits::DISPLAY_BYTES_MAX);
        return Err(source.malformed("display", rule));
    }
    Ok(display)
}
