//! One message that cannot be taken, as its dead letter: the message to publish, and what has become of it so far.

use lapin::message::Delivery;
use lapin::types::ShortString;

use crate::broker::decode::Reject;
use crate::broker::headers;
use crate::broker::message::Message;
use crate::broker::publish_error::PublishError;
use crate::broker::settle::Unsettled;
use crate::broker::transport::gate::LargeBody;
use crate::payment::{Key, Timestamp};
use crate::runtime::{Backoff, unix_ms};

/// A dead letter that the broker has not confirmed yet.
pub(super) struct PendingDeadLetter {
    pub(super) unsettled: Unsettled,
    pub(super) message: Message,
    pub(super) code: &'static str,
    /// The order and the event, where they could be read.
    pub(super) about: Option<(Key, String)>,
    /// Set once it has failed.
    pub(super) backoff: Option<Backoff>,
    pub(super) state: State,
    pub(super) headers_left_out: bool,
    pub(super) body_left_out: bool,
    /// Given back when this is dropped.
    _large: Option<LargeBody>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Well,
    /// The dead-letter exchange does not take it, as it would take no other.
    Failing,
    /// It may be why the connection was closed. To be tried with no other under way.
    Suspect,
    /// Refused in its smallest form.
    Stuck,
}

impl PendingDeadLetter {
    /// A delivery that is refused. `large` is given back when the dead letter is confirmed.
    pub(super) fn new(
        exchange: ShortString,
        delivery: Delivery,
        reject: &Reject,
        unsettled: Unsettled,
        large: Option<LargeBody>,
    ) -> Self {
        Self {
            unsettled,
            message: message(exchange, delivery, reject),
            code: reject.code,
            about: reject.about().map(|(key, event_id)| (key.clone(), event_id.to_owned())),
            backoff: None,
            state: State::Well,
            headers_left_out: false,
            body_left_out: false,
            _large: large,
        }
    }

    /// Leaves out more of the message. False where nothing is left that could be.
    pub(super) fn reduce(&mut self, error: &PublishError) -> bool {
        let (mut headers, mut body) = (false, false);
        match error {
            PublishError::HeadersTooLarge { bytes_max } => headers = self.message.fit(*bytes_max),
            // In RabbitMQ's words: message size 5 is larger than configured max size 4.
            PublishError::Refused(refusal) if refusal.why.contains("size") => body = self.message.cut_body(),
            _ => {}
        }
        if !headers && !body {
            headers = self.message.drop_foreign();
            body = !headers && self.message.cut_body();
        }
        self.headers_left_out |= headers;
        self.body_left_out |= body;
        headers || body
    }
}

/// The delivery as it came, with the reason in its headers.
fn message(exchange: ShortString, delivery: Delivery, reject: &Reject) -> Message {
    let given = &delivery.properties;
    let mut headers = headers::of(given);
    // One that was cut before holds less than it had.
    let bytes = headers.get(headers::TRUNCATED).and_then(headers::whole_number);
    if bytes.is_none_or(|bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes <= delivery.data.len())) {
        headers.remove(headers::TRUNCATED);
    }
    headers::remember_reason(&mut headers);
    headers::set_text(&mut headers, headers::REASON, reject.code);
    headers::set_error(&mut headers, &reject.sentence);
    if let Ok(at) = Timestamp::from_unix_ms(unix_ms()) {
        headers::set_text(&mut headers, headers::DEAD_LETTERED_AT, at.as_str());
    }
    headers::keep_origin(&mut headers, &delivery.exchange, &delivery.routing_key, given);
    let properties = headers::properties_kept(given).with_headers(headers.into());
    Message::dead_letter(exchange, delivery.routing_key, properties, delivery.data)
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use lapin::types::{AMQPValue, FieldTable};

    use super::*;

    fn delivery(properties: BasicProperties) -> Delivery {
        let mut delivery = Delivery::mock(1, "payments".into(), "payment.result.x".into(), false, b"body".to_vec());
        delivery.properties = properties;
        delivery
    }

    fn header(properties: &BasicProperties, name: &str) -> Option<String> {
        match properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn a_dead_letter_keeps_all_but_what_would_destroy_it() {
        let mut headers = FieldTable::default();
        headers.insert("mine".into(), AMQPValue::LongInt(7));
        let given = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_correlation_id("c".into())
            .with_message_id("m".into())
            .with_type("t".into())
            .with_timestamp(9)
            .with_priority(3)
            .with_headers(headers)
            .with_user_id("them".into())
            .with_expiration("5".into());
        let message = message("dead".into(), delivery(given), &Reject::id_reused());
        let properties = message.properties();
        assert_eq!(message.body, b"body");
        assert_eq!((properties.user_id(), properties.expiration()), (&None, &None));
        assert_eq!(
            (*properties.timestamp(), *properties.priority(), *properties.delivery_mode()),
            (Some(9), Some(3), Some(2))
        );
        assert_eq!(properties.kind().as_ref().map(ShortString::as_str), Some("t"));
        for (name, value) in [
            ("x-reason", "id_reused"),
            ("x-original-exchange", "payments"),
            ("x-original-routing-key", "payment.result.x"),
            ("x-original-user-id", "them"),
            ("x-original-expiration", "5"),
            ("mine", "LongInt(7)"),
        ] {
            assert_eq!(header(&properties, name).as_deref(), Some(value), "{name}");
        }
        assert!(header(&properties, "x-error").unwrap().contains("event_id"));
    }

    #[test]
    fn a_message_that_comes_back_gets_a_fresh_reason_and_keeps_where_it_came_from_first() {
        let first = message("dead".into(), delivery(BasicProperties::default()), &Reject::id_reused());
        // As the console moves it: by the default exchange, straight into the queue, headers and all.
        let mut moved = Delivery::mock(1, "".into(), "payment-notifier.results".into(), true, b"body".to_vec());
        let mut headers = first.properties().headers().clone().unwrap();
        headers.insert("x-reason".into(), AMQPValue::LongString("missing_field".into()));
        headers.insert("x-delivery-count".into(), AMQPValue::LongLongInt(4));
        moved.properties = first.properties().with_headers(headers);
        let properties = message("dead".into(), moved, &Reject::id_reused()).properties();
        assert_eq!(header(&properties, "x-reason").as_deref(), Some("id_reused"));
        assert_eq!(header(&properties, "x-original-exchange").as_deref(), Some("payments"));
        assert_eq!(header(&properties, "x-original-routing-key").as_deref(), Some("payment.result.x"));
        assert_eq!(header(&properties, "x-delivery-count"), None);
        let history = properties.headers().as_ref().unwrap().inner().get("x-reason-history");
        let Some(AMQPValue::FieldArray(history)) = history else { panic!("{history:?}") };
        let earlier = headers::as_text(&history.as_slice()[0]).unwrap();
        assert!(earlier.starts_with("missing_field: event_id was used before"), "{earlier}");
    }

    #[test]
    fn what_a_publisher_sets_under_our_names_is_bounded_and_what_is_not_ours_to_say_is_set_right() {
        let mut headers = FieldTable::default();
        let long = || AMQPValue::LongString("a".repeat(130_850).into());
        for name in ["x-original-exchange", "x-original-routing-key", "x-error", "x-reason", "x-replayed-reason"] {
            headers.insert(name.into(), long());
        }
        headers.insert("x-replays".into(), long());
        headers.insert("x-truncated".into(), AMQPValue::LongLongInt(-1));
        headers.insert("x-headers-dropped".into(), long());
        let entries: Vec<AMQPValue> = std::iter::repeat_with(long).take(40).collect();
        headers.insert("x-reason-history".into(), AMQPValue::FieldArray(entries.into()));
        let given = BasicProperties::default().with_headers(headers);
        let properties = message("dead".into(), delivery(given), &Reject::id_reused()).properties();
        assert_eq!(header(&properties, "x-original-exchange").as_deref(), Some("payments"));
        assert_eq!(header(&properties, "x-original-routing-key").as_deref(), Some("payment.result.x"));
        assert_eq!(header(&properties, "x-reason").as_deref(), Some("id_reused"));
        for name in ["x-replays", "x-truncated", "x-headers-dropped"] {
            assert_eq!(header(&properties, name), None, "{name}");
        }
        let bytes = crate::broker::fit::properties_bytes(&properties);
        assert!(bytes < 16 * 1024, "{bytes}");
    }

    fn refused(code: u16, ends_connection: bool, why: &str) -> PublishError {
        PublishError::Refused(crate::broker::publish_error::Refusal { code, ends_connection, why: why.to_owned() })
    }

    #[test]
    fn a_refusal_that_no_other_try_can_pass_leads_to_a_smaller_letter_until_nothing_is_left() {
        let mut headers = FieldTable::default();
        headers.insert("mine".into(), AMQPValue::LongInt(7));
        let given = BasicProperties::default().with_headers(headers);
        let reject = Reject::id_reused();
        let mut pending = PendingDeadLetter::new("dead".into(), delivery(given), &reject, Unsettled::mock(1), None);
        let frame = refused(501, true, "FRAME_ERROR");
        assert!(frame.is_of_the_message() && pending.reduce(&frame));
        assert!(pending.headers_left_out && !pending.body_left_out);
        assert_eq!(header(&pending.message.properties(), "mine"), None);
        assert!(pending.reduce(&frame) && pending.body_left_out);
        assert_eq!(pending.message.body, b"");
        assert_eq!(header(&pending.message.properties(), "x-truncated").as_deref(), Some("LongLongInt(4)"));
        assert!(!pending.reduce(&frame));
        for passes in [refused(403, false, "ACCESS_REFUSED"), refused(404, false, "NOT_FOUND"), PublishError::Nacked] {
            assert!(!passes.is_of_the_message(), "{passes}");
        }
    }
}
