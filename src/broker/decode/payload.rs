//! What of a message is looked at: the only AMQP wire types.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::broker::message::APP_ID;
use crate::broker::transport::is_mended;

/// What of a message is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The routing key, by which mappings are chosen.
    pub routing_key: &'a str,
    /// The body as it came.
    pub body: &'a [u8],
    /// The property `message-id`.
    pub message_id: Option<&'a str>,
    /// The property `app-id`.
    pub app_id: Option<&'a str>,
    /// The property `timestamp`: seconds since 1970, or milliseconds as some publishers write it.
    pub timestamp: Option<u64>,
    /// The headers, where there are any.
    pub headers: Option<&'a FieldTable>,
}

impl<'a> Payload<'a> {
    /// The parts of a delivery.
    #[must_use]
    pub fn of(routing_key: &'a str, properties: &'a BasicProperties, body: &'a [u8]) -> Self {
        Self {
            routing_key,
            body,
            // Two ids that differed in bytes that are no text would be one.
            message_id: properties.message_id().as_ref().map(|id| id.as_str()).filter(|id| !is_mended(id)),
            app_id: properties.app_id().as_ref().map(ShortString::as_str),
            timestamp: *properties.timestamp(),
            headers: properties.headers().as_ref(),
        }
    }

    /// A body as this service publishes it.
    #[must_use]
    pub fn of_own(body: &'a [u8]) -> Self {
        Self { routing_key: "", body, message_id: None, app_id: Some(APP_ID), timestamp: None, headers: None }
    }

    /// Whether this service published it: then it is in the plain form, whatever `payments.body_pointer` and the mappings say
    /// of others.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.app_id == Some(APP_ID)
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
    pub(super) fn cloud_event(&self, name: &str) -> Option<&'a AMQPValue> {
        self.headers?.inner().iter().find_map(|(header, value)| {
            let (prefix, rest) = header.as_str().split_once(['_', ':'])?;
            (prefix.eq_ignore_ascii_case("cloudEvents") && rest.eq_ignore_ascii_case(name)).then_some(value)
        })
    }
}

/// Headers that are all texts, for tools that have no message of a broker.
#[must_use]
pub fn text_headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    table
}

/// A value of a header that is text.
pub(super) fn as_text(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}
