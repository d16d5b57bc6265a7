//! A message on its way out.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use sha2::{Digest, Sha256};

use super::fit;
use super::publish_error::PublishError;
use crate::payment::Event;
use crate::runtime::{unix_ms, unix_s};

/// The property `app-id` of every message of this service's own.
pub(super) const APP_ID: &str = "payment-notifier";
const PERSISTENT: u8 = 2;

/// What is published, and where. Always persistent and mandatory.
#[derive(Debug, Clone)]
pub struct Message {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) body: Vec<u8>,
    properties: BasicProperties,
    /// False for what is passed on just as it came.
    stamped: bool,
    /// Bytes that have to stay free in the frame of the properties.
    free_bytes: usize,
}

impl Message {
    /// A message of this service's own. `timestamp`, the header `timestamp_in_ms` and `app-id` are set when it is
    /// published. A message id of more than 255 bytes, which AMQP cannot carry, is sent as `sha256:` and its hash.
    ///
    /// # Errors
    /// [`PublishError::TooLong`] for an exchange, routing key or content type of more than 255 bytes.
    pub fn new(
        exchange: &str,
        routing_key: &str,
        content_type: &str,
        message_id: &str,
        body: Vec<u8>,
    ) -> Result<Self, PublishError> {
        let message_id = ShortString::try_new(message_id).unwrap_or_else(|_too_long| {
            let hash: String = Sha256::digest(message_id).iter().map(|byte| format!("{byte:02x}")).collect();
            ShortString::try_new(format!("sha256:{hash}")).unwrap_or_default()
        });
        let properties = BasicProperties::default()
            .with_content_type(short("content type", content_type)?)
            .with_message_id(message_id)
            .with_app_id(APP_ID.into())
            .with_delivery_mode(PERSISTENT);
        Ok(Self {
            exchange: short("exchange", exchange)?,
            routing_key: short("routing key", routing_key)?,
            body,
            properties,
            stamped: true,
            free_bytes: fit::BROKER_BYTES,
        })
    }

    /// A payment result in the plain form of the contract; its `event_id` is the message id.
    ///
    /// # Errors
    /// As for [`Message::new`].
    pub fn payment(exchange: &str, routing_key: &str, event: &Event) -> Result<Self, PublishError> {
        let body = super::decode::encode(event);
        Self::new(exchange, routing_key, "application/json", event.event_id.as_str(), body)
    }

    /// Adds a header.
    ///
    /// # Errors
    /// [`PublishError::TooLong`] for a name of more than 255 bytes.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, PublishError> {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        headers.insert(short("header name", name)?, AMQPValue::LongString(value.into()));
        self.properties = self.properties.with_headers(headers);
        Ok(self)
    }

    /// Sets the property `type`.
    ///
    /// # Errors
    /// [`PublishError::TooLong`] for more than 255 bytes.
    pub(super) fn of_kind(mut self, kind: &str) -> Result<Self, PublishError> {
        self.properties = self.properties.with_type(short("type", kind)?);
        Ok(self)
    }

    /// A message that is passed on with properties of another's making.
    pub(super) fn as_is(
        exchange: ShortString,
        routing_key: ShortString,
        properties: BasicProperties,
        body: Vec<u8>,
    ) -> Self {
        let properties = properties.with_delivery_mode(PERSISTENT);
        Self { exchange, routing_key, body, properties, stamped: false, free_bytes: fit::BROKER_BYTES }
    }

    /// A message for the dead letters, which may be replayed.
    pub(super) fn dead_letter(
        exchange: ShortString,
        routing_key: ShortString,
        properties: BasicProperties,
        body: Vec<u8>,
    ) -> Self {
        let free_bytes = fit::DEAD_LETTER_BYTES;
        Self { free_bytes, ..Self::as_is(exchange, routing_key, properties, body) }
    }

    /// The bytes that the properties may take on a connection with such frames, where they take more.
    pub(super) fn too_large_for(&self, frame_max: u32) -> Option<usize> {
        let bytes_max = fit::properties_bytes_max(frame_max, self.free_bytes);
        (fit::properties_bytes(&self.properties) > bytes_max).then_some(bytes_max)
    }

    /// Makes the properties take at most `bytes_max` bytes. False where they cannot.
    pub(super) fn fit(&mut self, bytes_max: usize) -> bool {
        self.take(fit::fit(&self.properties, bytes_max))
    }

    /// Leaves out what a publisher has given beside the body. False where there is nothing of it.
    pub(super) fn drop_foreign(&mut self) -> bool {
        self.take(fit::without_foreign(&self.properties))
    }

    /// Cuts the body. False where it is empty.
    pub(super) fn cut_body(&mut self) -> bool {
        let smaller = fit::with_less_body(&self.properties, &mut self.body);
        self.take(smaller)
    }

    fn take(&mut self, properties: Option<BasicProperties>) -> bool {
        let Some(properties) = properties else { return false };
        self.properties = properties.with_delivery_mode(PERSISTENT);
        true
    }

    /// The properties as they go out at this moment.
    pub(super) fn properties(&self) -> BasicProperties {
        let properties = self.properties.clone();
        if !self.stamped {
            return properties;
        }
        let mut headers: FieldTable = properties.headers().clone().unwrap_or_default();
        headers.insert("timestamp_in_ms".into(), AMQPValue::LongLongInt(unix_ms()));
        properties.with_headers(headers).with_timestamp(u64::try_from(unix_s()).unwrap_or(0))
    }
}

fn short(what: &'static str, text: &str) -> Result<ShortString, PublishError> {
    // lapin's own conversion panics on a longer text.
    ShortString::try_new(text).map_err(|_too_long| PublishError::TooLong(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_id_becomes_its_hash_and_a_long_name_an_error() {
        let message = Message::new("x", "k", "application/json", &"i".repeat(256), vec![]).unwrap();
        assert!(message.properties().message_id().as_ref().unwrap().as_str().starts_with("sha256:"));
        let long = Message::new(&"x".repeat(256), "k", "application/json", "i", vec![]);
        assert!(matches!(long, Err(PublishError::TooLong("exchange"))));
    }

    #[test]
    fn own_messages_are_stamped_and_others_are_left_as_they_came() {
        let own = Message::new("x", "k", "application/json", "i", vec![]).unwrap().with_header("a", "b").unwrap();
        let properties = own.properties();
        let headers = properties.headers().as_ref().unwrap();
        assert!(headers.contains_key("timestamp_in_ms") && headers.contains_key("a"));
        assert!(properties.timestamp().is_some());
        let passed = Message::as_is("x".into(), "k".into(), BasicProperties::default(), vec![]);
        assert_eq!(passed.properties(), BasicProperties::default().with_delivery_mode(2));
    }
}
