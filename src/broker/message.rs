//! A message on its way out.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use sha2::{Digest, Sha256};

use super::publisher::PublishError;
use crate::payment::Event;
use crate::runtime::{unix_ms, unix_s};

const APP_ID: &str = "payment-notifier";
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

    /// A message that is passed on with properties of another's making.
    pub(super) fn as_is(
        exchange: ShortString,
        routing_key: ShortString,
        properties: BasicProperties,
        body: Vec<u8>,
    ) -> Self {
        Self { exchange, routing_key, body, properties: properties.with_delivery_mode(PERSISTENT), stamped: false }
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
