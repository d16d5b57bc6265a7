//! What stands in for fields that a body lacks: the envelope of a CloudEvent, else properties of the message.

use std::borrow::Cow;

use lapin::types::AMQPValue;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::explained::Origins;
use super::json;
use super::payload::{Payload, as_text};
use super::reject::Reject;
use crate::payment::{EventId, Timestamp};

/// A value of AMQP's `timestamp` above this is taken as milliseconds: as seconds it would lie past the year 5000.
const TIMESTAMP_S_MAX: u64 = 100_000_000_000;

/// What a structured CloudEvent says around its data. Not looked at before it is needed.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) time: Option<&'a RawValue>,
    pub(super) data: Option<Cow<'a, str>>,
}

/// A value with what it came from, in words for people.
type Found<T> = (T, &'static str);

/// The event's id.
///
/// # Errors
/// `malformed_field`.
pub(super) fn event_id(envelope: &Envelope<'_>, payload: &Payload<'_>) -> Result<Found<EventId>, Reject> {
    let given = |text: &str, field, origin| {
        EventId::new(text).map(|id| (id, origin)).map_err(|rule| Reject::malformed(field, rule))
    };
    if let Some(id) = envelope.id {
        let is_whole_number = id.get().bytes().all(|b| b.is_ascii_digit());
        let number = is_whole_number.then_some(Cow::Borrowed(id.get()));
        if let Some(id) = number.map_or_else(|| json::text(Some(id), "id"), |number| Ok(Some(number)))? {
            return given(&id, "id", "CloudEvents id");
        }
    }
    if let Some(id) = payload.cloud_event("id").and_then(as_text).filter(|id| !id.is_empty()) {
        return given(id, "cloudEvents_id", "header cloudEvents_id");
    }
    if let Some(id) = payload.message_id.filter(|id| !id.is_empty()) {
        return given(id, "message-id", "message-id");
    }
    let hash: String = Sha256::digest(payload.body).iter().map(|byte| format!("{byte:02x}")).collect();
    given(&format!("sha256:{hash}"), "event_id", "a hash of the body")
}

/// When it occurred. Not set where nothing says so.
///
/// # Errors
/// `malformed_field`.
pub(super) fn occurred_at(envelope: &Envelope<'_>, payload: &Payload<'_>) -> Result<Option<Found<Timestamp>>, Reject> {
    // Not set for a time that was not set.
    let given = |text: &str, field, origin| {
        let at = Timestamp::parse(text).map_err(|rule| Reject::malformed(field, rule))?;
        Ok((!at.is_unset()).then_some((at, origin)))
    };
    if let Some(time) = json::text(envelope.time, "time")?
        && let Some(found) = given(&time, "time", "CloudEvents time")?
    {
        return Ok(Some(found));
    }
    let header = payload.cloud_event("time");
    if let Some(time) = header.and_then(as_text).filter(|time| !time.is_empty())
        && let Some(found) = given(time, "cloudEvents_time", "header cloudEvents_time")?
    {
        return Ok(Some(found));
    }
    // Zero is what a client writes that was given no time.
    let typed = header.and_then(AMQPValue::as_timestamp).filter(|value| *value > 0);
    let origin = if typed.is_some() { "header cloudEvents_time" } else { "timestamp" };
    let Some(value) = typed.or(payload.timestamp).filter(|value| *value > 0) else {
        return Ok(None);
    };
    let at = if value > TIMESTAMP_S_MAX {
        Timestamp::from_unix_ms(i64::try_from(value).unwrap_or(i64::MAX))
    } else {
        Timestamp::from_unix_s(value)
    };
    at.map(|at| Some((at, origin))).map_err(|_e| Reject::malformed("timestamp", "must be seconds since 1970"))
}

/// Adds what stands in for the fields that a body lacks.
pub(super) fn complete(origins: &mut Origins, envelope: &Envelope<'_>, payload: &Payload<'_>) {
    let event_id = event_id(envelope, payload).ok().map(|(_id, origin)| origin);
    let occurred_at = occurred_at(envelope, payload).ok().flatten().map(|(_at, origin)| origin);
    let merchant_id = Some("payments.default_merchant");
    for (field, origin) in [("event_id", event_id), ("merchant_id", merchant_id), ("occurred_at", occurred_at)] {
        if let Some(origin) = origin
            && !origins.iter().any(|(known, _)| *known == field)
        {
            origins.push((field, origin.to_owned()));
        }
    }
}
