//! Messages that cannot be taken, on their way to the dead-letter exchange. A delivery is settled only after the broker
//! has confirmed its dead letter; until then it is tried again and again, and good events go on meanwhile.
//!
//! What no other try can pass leads to a smaller dead letter at once: without what a publisher has given beside the body, then
//! with less of the body. One message is never a fault of the node, and never stands in the way of another.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::types::ShortString;
use tracing::{info, warn};

use super::pending::{PendingDeadLetter, State};
use crate::broker::consumer_parts::ConsumerParts;
use crate::broker::decode::Reject;
use crate::broker::options::backoff;
use crate::broker::publish_error::PublishError;
use crate::broker::publisher::Publisher;
use crate::broker::settle::Unsettled;
use crate::broker::transport::gate::LargeBody;
use crate::config;
use crate::runtime::Component;

/// Dead letters that are published at once. More wait, bounded by the prefetch.
const UNDER_WAY_MAX: usize = 16;
/// Bytes of their bodies, of each of which the AMQP library makes a copy. One alone may be larger.
const UNDER_WAY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a body. config/rabbitmq lets nothing larger in.
const BODY_BYTES_USUAL_MAX: usize = 1024 * 1024;
/// The name in readiness.
const HEALTH_THING: &str = "dead letters";

type Attempt = Pin<Box<dyn Future<Output = (PendingDeadLetter, Result<(), PublishError>)> + Send>>;
type Rest = Pin<Box<dyn Future<Output = PendingDeadLetter> + Send>>;

/// All dead letters of one channel that are not confirmed yet.
pub(in crate::broker) struct DeadLetterSender {
    amqp: Arc<config::Amqp>,
    parts: ConsumerParts,
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
    has_logged_size: bool,
}

impl DeadLetterSender {
    pub(in crate::broker) fn new(amqp: Arc<config::Amqp>, parts: ConsumerParts) -> Self {
        Self {
            amqp,
            parts,
            waiting: VecDeque::new(),
            suspects: VecDeque::new(),
            under_way: FuturesUnordered::new(),
            under_way_bytes: 0,
            is_alone: false,
            resting: FuturesUnordered::new(),
            failing: 0,
            stuck: 0,
            has_logged_size: false,
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
            self.parts.metrics.large_body();
            if !std::mem::replace(&mut self.has_logged_size, true) {
                let queue = &self.amqp.queue;
                warn!(
                    queue,
                    "a body is larger than 1 MiB: lower RabbitMQ's max_message_size, since the \
                     service holds each body in memory"
                );
            }
        }
        let exchange = ShortString::try_new(self.amqp.dead_letter_exchange.as_str()).unwrap_or_default();
        let pending = PendingDeadLetter::new(exchange, delivery, reject, unsettled, large);
        self.waiting.push_back(pending);
        self.fill();
    }

    /// The next delivery whose dead letter is confirmed. Nothing is lost if this is dropped while it waits.
    pub(in crate::broker) async fn next(&mut self) -> Option<Unsettled> {
        loop {
            let done = tokio::select! {
                Some((pending, answer)) = self.under_way.next() => {
                    self.under_way_bytes -= pending.message.body.len();
                    self.is_alone = false;
                    self.after(pending, answer)
                }
                Some(pending) = self.resting.next() => {
                    self.line_up(pending);
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

    fn after(&mut self, mut pending: PendingDeadLetter, answer: Result<(), PublishError>) -> Option<Unsettled> {
        let Err(error) = answer else { return Some(self.confirmed(pending)) };
        let may_be_anothers = matches!(&error, PublishError::Refused(refusal) if refusal.ends_connection);
        if !error.is_of_the_message() {
            self.failed(pending, &error);
        } else if may_be_anothers && !matches!(pending.state, State::Suspect | State::Stuck) {
            self.becomes(&mut pending, State::Suspect);
            self.line_up(pending);
        } else if pending.reduce(&error) {
            if pending.state != State::Suspect {
                self.becomes(&mut pending, State::Well);
            }
            self.line_up(pending);
        } else {
            if pending.state != State::Stuck {
                let (exchange, delivery_tag) = (&self.amqp.dead_letter_exchange, pending.unsettled.tag());
                let reason = pending.code;
                warn!(exchange, delivery_tag, reason, %error, "the broker accepts no form of this dead letter");
            }
            self.becomes(&mut pending, State::Stuck);
            self.rest(pending);
        }
        None
    }

    fn confirmed(&mut self, mut pending: PendingDeadLetter) -> Unsettled {
        self.parts.metrics.dead_letter(pending.code);
        let left_out = [("headers", pending.headers_left_out), ("body", pending.body_left_out)];
        for (what, _) in left_out.into_iter().filter(|(_, is_left_out)| *is_left_out) {
            self.parts.metrics.dead_letter_reduced(what);
        }
        self.becomes(&mut pending, State::Well);
        if let Some((key, event_id)) = pending.about {
            self.parts.timeline.dead_lettered(&key, event_id, pending.code);
        }
        pending.unsettled
    }

    /// The exchange is at fault, or the way to it.
    fn failed(&mut self, mut pending: PendingDeadLetter, error: &PublishError) {
        let exchange = &self.amqp.dead_letter_exchange;
        self.parts.metrics.dead_letter_failure();
        self.parts.health.fault_in(
            Component::Broker,
            HEALTH_THING,
            format!("dead-letter exchange {exchange:?}: {error}"),
        );
        if self.failing == 0 {
            warn!(exchange, %error, "dead-letter exchange does not accept messages, retrying");
        }
        self.becomes(&mut pending, State::Failing);
        self.rest(pending);
    }

    fn becomes(&mut self, pending: &mut PendingDeadLetter, state: State) {
        let was = std::mem::replace(&mut pending.state, state);
        let (failing, stuck) = (self.failing, self.stuck);
        self.failing = self.failing + usize::from(state == State::Failing) - usize::from(was == State::Failing);
        self.stuck = self.stuck + usize::from(state == State::Stuck) - usize::from(was == State::Stuck);
        if self.stuck != stuck {
            self.parts.metrics.set_dead_letters_stuck(self.stuck);
        }
        if self.failing == 0 && failing > 0 {
            self.parts.health.ok_in(Component::Broker, HEALTH_THING);
            info!(exchange = self.amqp.dead_letter_exchange, "dead-letter exchange accepts messages again");
        }
    }

    fn rest(&mut self, mut pending: PendingDeadLetter) {
        let wait = pending.backoff.get_or_insert_with(|| backoff(&self.amqp)).wait();
        self.resting.push(Box::pin(async move {
            tokio::time::sleep(wait).await;
            pending
        }));
    }

    fn line_up(&mut self, pending: PendingDeadLetter) {
        match pending.state {
            State::Well | State::Failing => self.waiting.push_back(pending),
            State::Suspect | State::Stuck => self.suspects.push_back(pending),
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
            let Some(pending) = next else { return };
            self.is_alone = matches!(pending.state, State::Suspect | State::Stuck);
            self.under_way_bytes += pending.message.body.len();
            self.under_way.push(attempt(self.parts.publisher.clone(), pending));
        }
    }

    fn is_full(&self) -> bool {
        let next_bytes = self.waiting.front().map_or(0, |pending| pending.message.body.len());
        let is_too_much = self.under_way_bytes + next_bytes > UNDER_WAY_BYTES_MAX && !self.under_way.is_empty();
        self.under_way.len() >= UNDER_WAY_MAX || is_too_much
    }
}

impl Drop for DeadLetterSender {
    fn drop(&mut self) {
        // What is left is delivered again.
        self.parts.health.ok_in(Component::Broker, HEALTH_THING);
        self.parts.metrics.set_dead_letters_stuck(0);
    }
}

fn attempt(publisher: Publisher, pending: PendingDeadLetter) -> Attempt {
    Box::pin(async move {
        let answer = publisher.publish(&pending.message).await;
        (pending, answer)
    })
}
