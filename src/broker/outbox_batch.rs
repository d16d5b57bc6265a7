//! Publishes one batch of the outbox, and says what becomes of each message.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tracing::error;

use super::event_headers;
use super::message::Message;
use super::publish_error::{ACCESS_REFUSED, PublishError};
use super::publisher::Publisher;
use crate::store::Outgoing;
use crate::telemetry::{Metrics, Published};

/// Messages under way at once, each on a channel of its own.
pub(super) const UNDER_WAY_MAX: usize = 16;

/// What became of one batch.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) taken: usize,
    /// Some of it is published.
    pub(super) moved: bool,
    pub(super) done: Vec<i64>,
    pub(super) again: VecDeque<Outgoing>,
    /// Never to be taken by the broker: left alone for long.
    pub(super) aside: Vec<i64>,
    pub(super) denied: Vec<i64>,
    /// One message ended the connection for all that were under way: which, is found one by one.
    pub(super) one_by_one: bool,
    pub(super) failed_by: Option<String>,
}

/// What becomes of a message that was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing can be published: the turn ends, and all of it is tried again.
    Stop,
    /// The same, one message at a time.
    OneByOne,
    /// Its queue is full, say: it comes again after its lease.
    Later,
    /// The same for all of its type.
    Denied,
    /// It will never be taken.
    Aside,
}

impl Fate {
    fn of(why: &PublishError, alone: bool) -> Self {
        match why {
            PublishError::Refused(refusal) if refusal.ends_connection => match why.is_of_the_message() {
                true if alone => Self::Aside,
                true => Self::OneByOne,
                false => Self::Stop,
            },
            why if why.is_of_the_message() => Self::Aside,
            PublishError::Refused(refusal) if refusal.code == ACCESS_REFUSED => Self::Denied,
            PublishError::Unavailable(_) | PublishError::TimedOut(_) | PublishError::Refused(_) => Self::Stop,
            _ => Self::Later,
        }
    }
}

/// By which batches are published.
pub(super) struct BatchPublisher {
    pub(super) exchange: String,
    pub(super) publisher: Publisher,
    pub(super) metrics: Metrics,
}

impl BatchPublisher {
    /// Publishes at most `at_once_max` messages at once, each until it is confirmed or refused.
    pub(super) async fn publish(&self, mut left: VecDeque<Outgoing>, at_once_max: usize) -> Turn {
        let mut turn = Turn::default();
        let mut goes_on = true;
        let mut denied: Vec<String> = Vec::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            while goes_on
                && under_way.len() < at_once_max
                && let Some(outgoing) = left.pop_front()
            {
                if denied.contains(&outgoing.routing_key) {
                    turn.denied.push(outgoing.id);
                } else {
                    under_way.push(self.publish_one(outgoing));
                }
            }
            let Some((outgoing, answer)) = under_way.next().await else {
                break;
            };
            let (result, why) = match answer {
                Ok(()) => (Published::Confirmed, None),
                // Nobody has to listen.
                Err(PublishError::Unroutable { .. }) => (Published::Unroutable, None),
                Err(why) => match Fate::of(&why, at_once_max == 1) {
                    Fate::Aside => (Published::Refused, Some((why, Fate::Aside))),
                    fate => (Published::Failed, Some((why, fate))),
                },
            };
            self.metrics.outbox_published(&outgoing.routing_key, result);
            let Some((why, fate)) = why else {
                turn.moved = true;
                turn.done.push(outgoing.id);
                continue;
            };
            if fate != Fate::Aside {
                turn.failed_by.get_or_insert_with(|| why.to_string());
            }
            match fate {
                Fate::Stop | Fate::OneByOne => {
                    goes_on = false;
                    turn.one_by_one |= fate == Fate::OneByOne;
                    turn.again.push_back(outgoing);
                }
                // It stays in the outbox, and its lease keeps it from being published again at once.
                Fate::Later => {}
                Fate::Denied => {
                    turn.moved = true;
                    turn.denied.push(outgoing.id);
                    denied.push(outgoing.routing_key);
                }
                Fate::Aside => {
                    let Outgoing { id, message_id, .. } = outgoing;
                    let exchange = self.exchange.as_str();
                    error!(exchange, message_id, reason = %why, "a message for merchants cannot be published");
                    turn.moved = true;
                    turn.aside.push(id);
                }
            }
        }
        drop(under_way);
        turn.again.append(&mut left);
        turn
    }

    async fn publish_one(&self, outgoing: Outgoing) -> (Outgoing, Result<(), PublishError>) {
        let answer = match message(&self.exchange, &outgoing) {
            Ok(message) => self.publisher.publish(&message).await,
            Err(error) => Err(error),
        };
        (outgoing, answer)
    }
}

/// The event as it goes out, with what a headers exchange can bind to.
fn message(exchange: &str, outgoing: &Outgoing) -> Result<Message, PublishError> {
    let Outgoing { routing_key, message_id, body, .. } = outgoing;
    let bytes = body.clone().into_bytes();
    let message = Message::new(exchange, routing_key, "application/cloudevents+json", message_id, bytes)?;
    event_headers::of(routing_key, body)
        .into_iter()
        .try_fold(message, |message, (name, value)| message.with_header(name, &value))
}
