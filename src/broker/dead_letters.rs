//! Messages that cannot be taken, on their way to the dead-letter exchange. A delivery is settled only after the broker
//! has confirmed its dead letter; until then it is tried again and again, and good events go on meanwhile.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};
use tracing::{info, warn};

use super::consumer::Parts;
use super::decode::Reject;
use super::headers;
use super::publisher::PublishError;
use super::settle::Unsettled;
use super::{Message, Publisher};
use crate::config;
use crate::payment::{Key, Timestamp};
use crate::runtime::{Backoff, Health, Part, unix_ms};
use crate::store::Notes;
use crate::telemetry::Metrics;

/// Dead letters that are published at once. More wait, bounded by the prefetch.
const UNDER_WAY_MAX: usize = 16;

/// Headers larger than this are not passed on: with ours added they might not fit one AMQP frame, which ends the
/// connection.
const HEADER_BYTES_MAX: usize = 64 * 1024;

struct Letter {
    unsettled: Unsettled,
    message: Message,
    code: &'static str,
    /// The order and the event, where they could be read.
    about: Option<(Key, String)>,
    /// Set once it has failed.
    backoff: Option<Backoff>,
}

type Attempt = Pin<Box<dyn Future<Output = (Letter, Result<(), PublishError>)> + Send>>;

/// All dead letters of one channel that are not confirmed yet.
pub(super) struct DeadLetters {
    amqp: Arc<config::Amqp>,
    publisher: Publisher,
    health: Health,
    metrics: Metrics,
    notes: Notes,
    waiting: VecDeque<Letter>,
    under_way: FuturesUnordered<Attempt>,
    failing: usize,
}

impl DeadLetters {
    pub(super) fn new(amqp: Arc<config::Amqp>, parts: Parts) -> Self {
        let Parts { publisher, health, metrics, notes, .. } = parts;
        let (waiting, under_way) = (VecDeque::new(), FuturesUnordered::new());
        Self { amqp, publisher, health, metrics, notes, waiting, under_way, failing: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Takes a delivery that is refused, and logs it once.
    pub(super) fn push(&mut self, delivery: Delivery, reject: &Reject, unsettled: Unsettled) {
        warn!(
            reason = reject.code,
            error = %reject,
            delivery_tag = unsettled.tag(),
            exchange = %delivery.exchange,
            routing_key = %delivery.routing_key,
            message_id = delivery.properties.message_id().as_ref().map(tracing::field::display),
            body_bytes = delivery.data.len(),
            "message refused, goes to the dead letters"
        );
        let exchange = ShortString::try_new(self.amqp.dead_letter_exchange.as_str()).unwrap_or_default();
        let message = letter(exchange, delivery, reject);
        let about = reject.about().map(|(key, event_id)| (key.clone(), event_id.to_owned()));
        self.waiting.push_back(Letter { unsettled, message, code: reject.code, about, backoff: None });
        self.fill();
    }

    /// The next delivery whose dead letter is confirmed. Nothing is lost if this is dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Unsettled> {
        loop {
            let (letter, answer) = self.under_way.next().await?;
            let done = self.after(letter, answer);
            self.fill();
            if done.is_some() {
                return done;
            }
        }
    }

    fn after(&mut self, mut letter: Letter, answer: Result<(), PublishError>) -> Option<Unsettled> {
        let exchange = &self.amqp.dead_letter_exchange;
        match answer {
            Ok(()) => {
                self.metrics.dead_letter(letter.code);
                if let Some((key, event_id)) = letter.about {
                    self.notes.dead_lettered(&key, event_id, letter.code);
                }
                if letter.backoff.is_some() {
                    self.failing -= 1;
                    if self.failing == 0 {
                        self.health.ok(Part::Broker);
                        info!(exchange, "dead-letter exchange takes messages again");
                    }
                }
                Some(letter.unsettled)
            }
            Err(error) => {
                self.metrics.dead_letter_failure();
                self.health.fault(Part::Broker, format!("dead-letter exchange {exchange:?}: {error}"));
                if letter.backoff.is_none() {
                    if self.failing == 0 {
                        warn!(exchange, %error, "dead-letter exchange does not take messages, trying again");
                    }
                    self.failing += 1;
                }
                let (first, longest) = (self.amqp.retry_first_ms, self.amqp.retry_longest_ms);
                let backoff = letter
                    .backoff
                    .get_or_insert_with(|| Backoff::new(Duration::from_millis(first), Duration::from_millis(longest)));
                let wait = backoff.wait();
                self.under_way.push(attempt(self.publisher.clone(), letter, wait));
                None
            }
        }
    }

    fn fill(&mut self) {
        while self.under_way.len() < UNDER_WAY_MAX
            && let Some(letter) = self.waiting.pop_front()
        {
            self.under_way.push(attempt(self.publisher.clone(), letter, Duration::ZERO));
        }
    }
}

fn attempt(publisher: Publisher, letter: Letter, wait: Duration) -> Attempt {
    Box::pin(async move {
        tokio::time::sleep(wait).await;
        let answer = publisher.publish(&letter.message).await;
        (letter, answer)
    })
}

/// The delivery as it came, with the reason in its headers.
fn letter(exchange: ShortString, delivery: Delivery, reject: &Reject) -> Message {
    let given = &delivery.properties;
    let mut headers = headers::of(given);
    if headers::bytes(&headers) > HEADER_BYTES_MAX {
        headers.retain(|name, _| headers::OWN_ABOUT_REPLAYS.contains(&name.as_str()));
        headers.insert("x-headers-dropped".into(), AMQPValue::Boolean(true));
    }
    headers::remember_reason(&mut headers);
    headers::set_text(&mut headers, headers::REASON, reject.code);
    headers::set_text(&mut headers, headers::ERROR, &reject.sentence);
    if let Ok(at) = Timestamp::from_unix_ms(unix_ms()) {
        headers::set_text(&mut headers, headers::DEAD_LETTERED_AT, at.as_str());
    }
    headers::keep_origin(&mut headers, &delivery.exchange, &delivery.routing_key, given);
    let properties = headers::properties_kept(given).with_headers(headers.into());
    Message::as_is(exchange, delivery.routing_key, properties, delivery.data)
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use lapin::types::FieldTable;

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
        let message = letter("dead".into(), delivery(given), &Reject::id_reused());
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
        let first = letter("dead".into(), delivery(BasicProperties::default()), &Reject::id_reused());
        // As the console moves it: by the default exchange, straight into the queue, headers and all.
        let mut moved = Delivery::mock(1, "".into(), "payment-notifier.results".into(), true, b"body".to_vec());
        let mut headers = first.properties().headers().clone().unwrap();
        headers.insert("x-reason".into(), AMQPValue::LongString("missing_field".into()));
        headers.insert("x-delivery-count".into(), AMQPValue::LongLongInt(4));
        moved.properties = first.properties().with_headers(headers);
        let properties = letter("dead".into(), moved, &Reject::id_reused()).properties();
        assert_eq!(header(&properties, "x-reason").as_deref(), Some("id_reused"));
        assert_eq!(header(&properties, "x-original-exchange").as_deref(), Some("payments"));
        assert_eq!(header(&properties, "x-original-routing-key").as_deref(), Some("payment.result.x"));
        assert_eq!(header(&properties, "x-delivery-count"), None);
        let history = properties.headers().as_ref().unwrap().inner().get("x-reason-history");
        let Some(AMQPValue::FieldArray(history)) = history else { panic!("{history:?}") };
        let earlier = headers::as_text(&history.as_slice()[0]).unwrap();
        assert!(earlier.starts_with("missing_field: event_id is known"), "{earlier}");
    }

    #[test]
    fn headers_that_might_not_fit_a_frame_are_left_behind() {
        let mut headers = FieldTable::default();
        headers.insert("big".into(), AMQPValue::LongString("x".repeat(HEADER_BYTES_MAX).into()));
        let message =
            letter("dead".into(), delivery(BasicProperties::default().with_headers(headers)), &Reject::id_reused());
        let properties = message.properties();
        assert_eq!(header(&properties, "big"), None);
        assert!(header(&properties, "x-headers-dropped").is_some() && header(&properties, "x-reason").is_some());
    }
}
