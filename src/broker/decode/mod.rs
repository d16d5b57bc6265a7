//! From a message to a [`payment::Event`](crate::payment::Event), or the reason why not. The only AMQP wire types.
//!
//! The form (plain, CloudEvents structured, CloudEvents binary) is found by looking, since real publishers set no
//! content-type or a wrong one. Pure: no clock, no I/O, and no input makes it panic.

mod fields;
mod json;
mod reject;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use sha2::{Digest, Sha256};

use super::transport::is_mended;
use crate::config;
use crate::payment::{Event, EventId, InvalidId, MerchantId, Timestamp};

pub use fields::encode;
pub use reject::Reject;

use fields::Fallback;

/// A value of AMQP's `timestamp` above this is taken as milliseconds: as seconds it would lie past the year 5000.
const TIMESTAMP_S_MAX: u64 = 100_000_000_000;

/// What of a message is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The body as it came.
    pub body: &'a [u8],
    /// The property `message-id`.
    pub message_id: Option<&'a str>,
    /// The property `timestamp`: seconds since 1970, or milliseconds as some publishers write it.
    pub timestamp: Option<u64>,
    /// The headers, where there are any.
    pub headers: Option<&'a FieldTable>,
}

impl<'a> Payload<'a> {
    /// The parts of a delivery.
    #[must_use]
    pub fn of(properties: &'a BasicProperties, body: &'a [u8]) -> Self {
        Self {
            body,
            // Two ids that differed in bytes that are no text would be one.
            message_id: properties.message_id().as_ref().map(|id| id.as_str()).filter(|id| !is_mended(id)),
            timestamp: *properties.timestamp(),
            headers: properties.headers().as_ref(),
        }
    }

    /// When it was published, milliseconds since 1970, if the header `timestamp_in_ms` says so.
    #[must_use]
    pub fn published_at_ms(&self) -> Option<i64> {
        match self.headers?.inner().get("timestamp_in_ms")? {
            AMQPValue::LongLongInt(ms) => Some(*ms),
            AMQPValue::Timestamp(ms) => i64::try_from(*ms).ok(),
            _ => None,
        }
    }

    /// The W3C `traceparent` that came with it, as its own header or as the CloudEvents extension.
    #[must_use]
    pub fn traceparent(&self) -> Option<&'a str> {
        let own = self.headers?.inner().get("traceparent").and_then(as_text);
        own.or_else(|| self.cloud_event("traceparent").and_then(as_text))
    }

    /// A CloudEvents attribute of the binary form: header `cloudEvents_NAME` or `cloudEvents:NAME`, in any case.
    fn cloud_event(&self, name: &str) -> Option<&'a AMQPValue> {
        self.headers?.inner().iter().find_map(|(header, value)| {
            let (prefix, rest) = header.as_str().split_once(['_', ':'])?;
            (prefix.eq_ignore_ascii_case("cloudEvents") && rest.eq_ignore_ascii_case(name)).then_some(value)
        })
    }
}

/// Decodes by the settings in `[payments]`.
#[derive(Debug, Clone)]
pub struct Decoder {
    body_bytes_max: usize,
    body_depth_max: usize,
    pointer: Vec<String>,
    default_merchant: Option<MerchantId>,
}

impl Decoder {
    /// Takes the settings.
    ///
    /// # Errors
    /// If `payments.default_merchant` is no merchant id.
    pub fn new(settings: &config::Payments) -> Result<Self, InvalidId> {
        let merchant = &settings.default_merchant;
        let pointer = settings.body_pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
        Ok(Self {
            body_bytes_max: settings.body_bytes_max,
            body_depth_max: settings.body_depth_max,
            pointer: pointer.collect(),
            default_merchant: if merchant.is_empty() { None } else { Some(MerchantId::new(merchant)?) },
        })
    }

    /// Makes an event of a message.
    ///
    /// # Errors
    /// [`Reject`] with the first rule that the message breaks.
    pub fn decode(&self, payload: &Payload<'_>) -> Result<Event, Reject> {
        let bytes = payload.body;
        if bytes.len() > self.body_bytes_max {
            return Err(Reject::too_large(bytes.len(), self.body_bytes_max));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}'),
            Err(_not_utf8) if bytes.starts_with(&[0xac, 0xed]) => {
                return Err(Reject::invalid_json("it is a serialised Java object"));
            }
            Err(_not_utf8) => return Err(Reject::invalid_json("it is not UTF-8")),
        };
        json::check_depth(text, self.body_depth_max)?;
        let object = self.pointed_at(text)?;
        let envelope = self.envelope(&object)?;
        let object = envelope.data.as_deref().unwrap_or(&object);
        let event_id = || event_id(&envelope, payload);
        let occurred_at = || occurred_at(&envelope, payload);
        let merchant_id = self.default_merchant.as_ref();
        fields::payment(object, &Fallback { event_id: &event_id, occurred_at: &occurred_at, merchant_id })
    }

    fn pointed_at<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Reject> {
        if self.pointer.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let name = || format!("the value at payments.body_pointer \"/{}\"", self.pointer.join("/"));
        let found = json::point(text, &self.pointer)?.ok_or_else(|| Reject::missing(&name()))?;
        self.unwrapped(found)
    }

    /// The envelope of a structured CloudEvent; an empty one for every other object.
    fn envelope<'a>(&self, object: &'a str) -> Result<Envelope<'a>, Reject> {
        if !object.contains("\"specversion\"") {
            return Ok(Envelope::default());
        }
        let names = ["specversion", "id", "time", "data", "data_base64"];
        let [version, id, time, data, data_base64] = json::members(object, "", &names)?;
        let data = match (version, data, data_base64) {
            (None, _, _) | (_, None, None) => return Ok(Envelope::default()),
            (_, Some(_), Some(_)) => return Err(Reject::malformed("data", "must not be combined with data_base64")),
            (_, Some(data), None) => self.unwrapped(data.get())?,
            (_, None, Some(encoded)) => {
                let encoded = json::text(Some(encoded), "data_base64")?.unwrap_or_default();
                let rule = "must be JSON in base64";
                let bytes = STANDARD.decode(encoded.as_bytes()).map_err(|_e| Reject::malformed("data_base64", rule))?;
                let text = String::from_utf8(bytes).map_err(|_e| Reject::malformed("data_base64", rule))?;
                json::check_depth(&text, self.body_depth_max)?;
                Cow::Owned(text)
            }
        };
        Ok(Envelope { id: json::text(id, "id")?, time: json::text(time, "time")?, data: Some(data) })
    }

    /// JSON, or the JSON that stands in a JSON text: some publishers encode twice.
    fn unwrapped<'a>(&self, json: &'a str) -> Result<Cow<'a, str>, Reject> {
        if !json.starts_with('"') {
            return Ok(Cow::Borrowed(json));
        }
        let inner: String = serde_json::from_str(json).map_err(Reject::invalid_json)?;
        json::check_depth(&inner, self.body_depth_max)?;
        Ok(Cow::Owned(inner))
    }
}

/// What a structured CloudEvent says around its data.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    data: Option<Cow<'a, str>>,
}

fn event_id(envelope: &Envelope<'_>, payload: &Payload<'_>) -> Result<EventId, Reject> {
    let given = |text: &str, field| EventId::new(text).map_err(|rule| Reject::malformed(field, rule));
    if let Some(id) = &envelope.id {
        return given(id, "id");
    }
    if let Some(id) = payload.cloud_event("id").and_then(as_text).filter(|id| !id.is_empty()) {
        return given(id, "cloudEvents_id");
    }
    if let Some(id) = payload.message_id.filter(|id| !id.is_empty()) {
        return given(id, "message-id");
    }
    let hash: String = Sha256::digest(payload.body).iter().map(|byte| format!("{byte:02x}")).collect();
    given(&format!("sha256:{hash}"), "event_id")
}

fn occurred_at(envelope: &Envelope<'_>, payload: &Payload<'_>) -> Result<Option<Timestamp>, Reject> {
    let given = |text: &str, field| Timestamp::parse(text).map_err(|rule| Reject::malformed(field, rule));
    if let Some(time) = &envelope.time {
        return given(time, "time").map(Some);
    }
    let header = payload.cloud_event("time");
    if let Some(time) = header.and_then(as_text).filter(|time| !time.is_empty()) {
        return given(time, "cloudEvents_time").map(Some);
    }
    let typed = header.and_then(AMQPValue::as_timestamp);
    // Zero is what a client writes that was given no time.
    let Some(value) = typed.or(payload.timestamp).filter(|value| *value > 0) else {
        return Ok(None);
    };
    let at = if value > TIMESTAMP_S_MAX {
        Timestamp::from_unix_ms(i64::try_from(value).unwrap_or(i64::MAX))
    } else {
        Timestamp::from_unix_s(value)
    };
    at.map(Some).map_err(|_e| Reject::malformed("timestamp", "must be seconds since 1970"))
}

fn as_text(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}
