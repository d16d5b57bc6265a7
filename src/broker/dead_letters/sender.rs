//! Messages that cannot be taken, on their way to the dead-letter exchange. A delivery is settled only after the broker
//! has confirmed its dead letter; until then it is tried again and again, and good events go on meanwhile.
//!
//! What no other try can pass leads to a smaller dead letter at once: without what a publisher has given beside the body, then
//! with less of the body. One message is never a fault of the node, and never stands in the way of another.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::types::ShortString;
use tracing::{info, warn};

use crate::broker::consumer::ConsumerParts;
use crate::broker::decode::Reject;
use crate::broker::headers;
use crate::broker::publisher::PublishError;
use crate::broker::settle::Unsettled;
use crate::broker::transport::gate::LargeBody;
use crate::broker::{Message, Publisher};
use crate::config;
use crate::payment::{Key, Timestamp};
use crate::runtime::{Backoff, Component, Health, unix_ms};
use crate::store::TimelineRecorder;
use crate::telemetry::Metrics;

/// Dead letters that are published at once. More wait, bounded by the prefetch.
const UNDER_WAY_MAX: usize = 16;
/// Bytes of their bodies, of each of which the AMQP library makes a copy. One alone may be larger.
const UNDER_WAY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a body. config/rabbitmq lets nothing larger in.
const BODY_BYTES_USUAL_MAX: usize = 1024 * 1024;
/// In readiness.
const HEALTH_THING: &str = "dead letters";

struct PendingDeadLetter {
    unsettled: Unsettled,
    message: Message,
    code: &'static str,
    /// The order and the event, where they could be read.
    about: Option<(Key, String)>,
    /// Set once it has failed.
    backoff: Option<Backoff>,
    state: State,
    headers_left_out: bool,
    body_left_out: bool,
    /// Given back when this is dropped.
    _large: Option<LargeBody>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    /// The dead-letter exchange does not take it, as it would take no other.
    Failing,
    /// It may be why the connection was closed. To be tried with no other under way.
    Suspect,
    /// Refused in its smallest form.
    Stuck,
}

type Attempt = Pin<Box<dyn Future<Output = (PendingDeadLetter, Result<(), PublishError>)> + Send>>;
type Rest = Pin<Box<dyn Future<Output = PendingDeadLetter> + Send>>;

/// All dead letters of one channel that are not confirmed yet.
pub(in crate::broker) struct DeadLetterSender {
    amqp: Arc<config::Amqp>,
    publisher: Publisher,
    health: Health,
    metrics: Metrics,
    notes: TimelineRecorder,
    waiting: VecDeque<PendingDeadLetter>,
    /// To be tried one by one.
    suspects: VecDeque<PendingDeadLetter>,
    under_way: FuturesUnordered<Attempt>,
    under_way_bytes: usize,
    /// What is under way is a suspect.
    is_alone: bool,
    /// Until they are tried again.
    resting: FuturesUnordered<Rest>,
    failing: usize,
    stuck: usize,
    told_of_size: bool,
}

impl DeadLetterSender {
    pub(in crate::broker) fn new(amqp: Arc<config::Amqp>, parts: ConsumerParts) -> Self {
        let ConsumerParts { publisher, health, metrics, notes, .. } = parts;
        Self {
            amqp,
            publisher,
            health,
            metrics,
            notes,
            waiting: VecDeque::new(),
            suspects: VecDeque::new(),
            under_way: FuturesUnordered::new(),
            under_way_bytes: 0,
            is_alone: false,
            resting: FuturesUnordered::new(),
            failing: 0,
            stuck: 0,
            told_of_size: false,
        }
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.suspects.is_empty() && self.under_way.is_empty() && self.resting.is_empty()
    }

    /// Takes a delivery that is refused, and logs it once.
    pub(in crate::broker) fn push(
        &mut self,
        delivery: Delivery,
        reject: &Reject,
        unsettled: Unsettled,
        large: Option<LargeBody>,
    ) {
        warn!(
            reason = reject.code,
            error = %reject,
            delivery_tag = unsettled.tag(),
            exchange = %delivery.exchange,
            routing_key = %delivery.routing_key,
            message_id = delivery.properties.message_id().as_ref().map(tracing::field::display),
            body_bytes = delivery.data.len(),
            "message rejected and sent to the dead letters"
        );
        if delivery.data.len() > BODY_BYTES_USUAL_MAX {
            self.metrics.large_body();
            if !std::mem::replace(&mut self.told_of_size, true) {
                let queue = &self.amqp.queue;
                warn!(
                    queue,
                    "a body is larger than 1 MiB: lower RabbitMQ's max_message_size, since the \
                     service holds each body in memory"
                );
            }
        }
        let exchange = ShortString::try_new(self.amqp.dead_letter_exchange.as_str()).unwrap_or_default();
        let message = letter(exchange, delivery, reject);
        let about = reject.about().map(|(key, event_id)| (key.clone(), event_id.to_owned()));
        self.waiting.push_back(PendingDeadLetter {
            unsettled,
            message,
            code: reject.code,
            about,
            backoff: None,
            state: State::Well,
            headers_left_out: false,
            body_left_out: false,
            _large: large,
        });
        self.fill();
    }

    /// The next delivery whose dead letter is confirmed. Nothing is lost if this is dropped while it waits.
    pub(in crate::broker) async fn next(&mut self) -> Option<Unsettled> {
        loop {
            let done = tokio::select! {
                Some((letter, answer)) = self.under_way.next() => {
                    self.under_way_bytes -= letter.message.body.len();
                    self.is_alone = false;
                    self.after(letter, answer)
                }
                Some(letter) = self.resting.next() => {
                    self.line_up(letter);
                    None
                }
                else => return None,
            };
            self.fill();
            if done.is_some() {
                return done;
            }
        }
    }

    fn after(&mut self, mut letter: PendingDeadLetter, answer: Result<(), PublishError>) -> Option<Unsettled> {
        let Err(error) = answer else { return Some(self.confirmed(letter)) };
        let may_be_anothers = matches!(&error, PublishError::Refused(refusal) if refusal.ends_connection);
        if !error.is_of_the_message() {
            self.failed(letter, &error);
        } else if may_be_anothers && !matches!(letter.state, State::Suspect | State::Stuck) {
            self.becomes(&mut letter, State::Suspect);
            self.line_up(letter);
        } else if letter.reduce(&error) {
            if letter.state != State::Suspect {
                self.becomes(&mut letter, State::Well);
            }
            self.line_up(letter);
        } else {
            if letter.state != State::Stuck {
                let (exchange, delivery_tag) = (&self.amqp.dead_letter_exchange, letter.unsettled.tag());
                let reason = letter.code;
                warn!(exchange, delivery_tag, reason, %error, "the broker accepts no form of this dead letter");
            }
            self.becomes(&mut letter, State::Stuck);
            self.rest(letter);
        }
        None
    }

    fn confirmed(&mut self, mut letter: PendingDeadLetter) -> Unsettled {
        self.metrics.dead_letter(letter.code);
        let left_out = [("headers", letter.headers_left_out), ("body", letter.body_left_out)];
        for (what, _) in left_out.into_iter().filter(|(_, is_left_out)| *is_left_out) {
            self.metrics.dead_letter_reduced(what);
        }
        self.becomes(&mut letter, State::Well);
        if let Some((key, event_id)) = letter.about {
            self.notes.dead_lettered(&key, event_id, letter.code);
        }
        letter.unsettled
    }

    /// The exchange is at fault, or the way to it.
    fn failed(&mut self, mut letter: PendingDeadLetter, error: &PublishError) {
        let exchange = &self.amqp.dead_letter_exchange;
        self.metrics.dead_letter_failure();
        self.health.fault_in(Component::Broker, HEALTH_THING, format!("dead-letter exchange {exchange:?}: {error}"));
        if self.failing == 0 {
            warn!(exchange, %error, "dead-letter exchange does not accept messages, retrying");
        }
        self.becomes(&mut letter, State::Failing);
        self.rest(letter);
    }

    fn becomes(&mut self, letter: &mut PendingDeadLetter, state: State) {
        let was = std::mem::replace(&mut letter.state, state);
        let (failing, stuck) = (self.failing, self.stuck);
        self.failing = self.failing + usize::from(state == State::Failing) - usize::from(was == State::Failing);
        self.stuck = self.stuck + usize::from(state == State::Stuck) - usize::from(was == State::Stuck);
        if self.stuck != stuck {
            self.metrics.set_dead_letters_stuck(self.stuck);
        }
        if self.failing == 0 && failing > 0 {
            self.health.ok_in(Component::Broker, HEALTH_THING);
            info!(exchange = self.amqp.dead_letter_exchange, "dead-letter exchange accepts messages again");
        }
    }

    fn rest(&mut self, mut letter: PendingDeadLetter) {
        let (first, longest) = (self.amqp.retry_first_ms, self.amqp.retry_longest_ms);
        let backoff = letter
            .backoff
            .get_or_insert_with(|| Backoff::new(Duration::from_millis(first), Duration::from_millis(longest)));
        let wait = backoff.wait();
        self.resting.push(Box::pin(async move {
            tokio::time::sleep(wait).await;
            letter
        }));
    }

    fn line_up(&mut self, letter: PendingDeadLetter) {
        match letter.state {
            State::Well | State::Failing => self.waiting.push_back(letter),
            State::Suspect | State::Stuck => self.suspects.push_back(letter),
        }
    }

    fn fill(&mut self) {
        while !self.is_alone {
            // Suspects first: the others wait until none is under way, and go on behind each.
            let next = match self.suspects.front() {
                Some(_) if !self.under_way.is_empty() => return,
                Some(_) => self.suspects.pop_front(),
                None if self.is_full() => return,
                None => self.waiting.pop_front(),
            };
            let Some(letter) = next else { return };
            self.is_alone = matches!(letter.state, State::Suspect | State::Stuck);
            self.under_way_bytes += letter.message.body.len();
            self.under_way.push(attempt(self.publisher.clone(), letter));
        }
    }

    fn is_full(&self) -> bool {
        let next_bytes = self.waiting.front().map_or(0, |letter| letter.message.body.len());
        let is_too_much = self.under_way_bytes + next_bytes > UNDER_WAY_BYTES_MAX && !self.under_way.is_empty();
        self.under_way.len() >= UNDER_WAY_MAX || is_too_much
    }
}

impl Drop for DeadLetterSender {
    fn drop(&mut self) {
        // What is left is delivered again.
        self.health.ok_in(Component::Broker, HEALTH_THING);
        self.metrics.set_dead_letters_stuck(0);
    }
}

impl PendingDeadLetter {
    /// Leaves out more of the message. False where nothing is left that could be.
    fn reduce(&mut self, error: &PublishError) -> bool {
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

fn attempt(publisher: Publisher, letter: PendingDeadLetter) -> Attempt {
    Box::pin(async move {
        let answer = publisher.publish(&letter.message).await;
        (letter, answer)
    })
}

/// The delivery as it came, with the reason in its headers.
fn letter(exchange: ShortString, delivery: Delivery, reject: &Reject) -> Message {
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
        let properties = letter("dead".into(), delivery(given), &Reject::id_reused()).properties();
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
        PublishError::Refused(crate::broker::publisher::Refusal { code, ends_connection, why: why.to_owned() })
    }

    #[test]
    fn a_refusal_that_no_other_try_can_pass_leads_to_a_smaller_letter_until_nothing_is_left() {
        let mut headers = FieldTable::default();
        headers.insert("mine".into(), AMQPValue::LongInt(7));
        let given = BasicProperties::default().with_headers(headers);
        let message = letter("dead".into(), delivery(given), &Reject::id_reused());
        let mut letter = PendingDeadLetter {
            unsettled: crate::broker::settle::Unsettled::mock(1),
            message,
            code: "id_reused",
            about: None,
            backoff: None,
            state: State::Well,
            headers_left_out: false,
            body_left_out: false,
            _large: None,
        };
        let frame = refused(501, true, "FRAME_ERROR");
        assert!(frame.is_of_the_message() && letter.reduce(&frame));
        assert!(letter.headers_left_out && !letter.body_left_out);
        assert_eq!(header(&letter.message.properties(), "mine"), None);
        assert!(letter.reduce(&frame) && letter.body_left_out);
        assert_eq!(letter.message.body, b"");
        assert_eq!(header(&letter.message.properties(), "x-truncated").as_deref(), Some("LongLongInt(4)"));
        assert!(!letter.reduce(&frame));
        for passes in [refused(403, false, "ACCESS_REFUSED"), refused(404, false, "NOT_FOUND"), PublishError::Nacked] {
            assert!(!passes.is_of_the_message(), "{passes}");
        }
    }
}
