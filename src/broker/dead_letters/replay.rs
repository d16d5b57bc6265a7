//! Dead letters, published to the results again.

use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};

use super::dead_letter::DeadLetter;
use super::found::{Seen, Want};
use super::queue::{HELD_MAX, Look, Queue};
use crate::broker::error::Error;
use crate::broker::headers::{self, properties_kept};
use crate::broker::message::Message;
use crate::broker::publish_error::PublishError;
use crate::broker::publisher::Publisher;
use crate::broker::settle::acknowledge;

/// What became of one dead letter.
#[derive(Debug)]
pub enum Outcome {
    /// Published, confirmed, and taken out of the dead letters.
    Replayed,
    /// It stays, since it came back for the same reason after its last replay.
    FailedAgain,
    /// It stays, since it could not be published.
    Refused(PublishError),
}

/// A replay and what it has done so far.
#[derive(Debug)]
pub struct Replay<'a> {
    /// Which dead letters.
    pub want: Want<'a>,
    /// Instead of the routing key that each had first.
    pub routing_key: Option<String>,
    /// How many were published, confirmed and acknowledged.
    pub replayed: u32,
    /// How many were skipped as [`Outcome::FailedAgain`].
    pub failed_again: u32,
    /// How many were [`Outcome::Refused`] in the last pass.
    pub refused: u32,
}

impl<'a> Replay<'a> {
    /// Of the dead letters that `want` selects, with `routing_key` or each with its own.
    #[must_use]
    pub fn new(want: Want<'a>, routing_key: Option<String>) -> Self {
        Self { want, routing_key, replayed: 0, failed_again: 0, refused: 0 }
    }

    /// Replays, in passes where what is selected does not fit into memory at once. `report` is called for each dead letter.
    /// Answers how far the last look went.
    ///
    /// # Errors
    /// [`Error`] when the broker cannot be spoken with any more. Nothing is lost: the last one that was published may be
    /// in the dead letters still.
    pub async fn run(
        &mut self,
        queue: &Queue,
        publisher: &Publisher,
        report: &mut (dyn FnMut(&DeadLetter, &Outcome) + Send),
    ) -> Result<Seen, Error> {
        let (mut at_most, mut in_queue_first) = (u32::MAX, None);
        loop {
            let look = queue.look(&self.want, at_most).await?;
            let (seen, fitted) = (look.seen, look.fitted);
            let in_queue_first = *in_queue_first.get_or_insert(seen.in_queue);
            let before = self.replayed;
            let done = self.pass(&look, queue, publisher, report).await;
            let replayed = self.replayed - before;
            let tried = look.found.iter().filter(|found| found.delivery.is_some()).count();
            let handed_back = look.hand_back(queue, replayed).await;
            done.and(handed_back)?;
            let all_fitted = seen.left_out == 0;
            let is_all = all_fitted && seen.looked_at + seen.missing >= seen.in_queue.min(HELD_MAX);
            let is_enough = self.want.limit.is_some_and(|limit| tried >= limit as usize);
            // What comes back while this runs is not for this run.
            if is_all || is_enough || self.replayed >= in_queue_first || (!all_fitted && replayed == 0) {
                return Ok(seen);
            }
            if let Some(limit) = &mut self.want.limit {
                *limit -= replayed;
            }
            // As many as fitted fit again; where few of them were meant, more do.
            at_most = if all_fitted { at_most.saturating_mul(2) } else { fitted };
        }
    }

    async fn pass(
        &mut self,
        look: &Look,
        queue: &Queue,
        publisher: &Publisher,
        report: &mut (dyn FnMut(&DeadLetter, &Outcome) + Send),
    ) -> Result<(), Error> {
        let is_first = self.failed_again == 0;
        self.refused = 0;
        for found in &look.found {
            let Some(delivery) = &found.delivery else {
                if is_first {
                    self.failed_again += 1;
                    report(&found.dead_letter, &Outcome::FailedAgain);
                }
                continue;
            };
            let exchange = &queue.options().amqp.exchange;
            let published = match message(exchange, self.routing_key.as_deref(), delivery, &found.dead_letter) {
                Ok(message) => publisher.publish(&message).await,
                Err(error) => Err(error),
            };
            match published {
                Ok(()) => {
                    acknowledge(&found.acker).await.map_err(Error::Lost)?;
                    self.replayed += 1;
                    report(&found.dead_letter, &Outcome::Replayed);
                }
                Err(error) if matches!(error, PublishError::Unroutable { .. }) || error.is_of_the_message() => {
                    self.refused += 1;
                    report(&found.dead_letter, &Outcome::Refused(error));
                }
                // The next one would fare no better.
                Err(error) => {
                    return Err(Error::Replay { id: found.dead_letter.id.clone(), reason: error.to_string() });
                }
            }
        }
        Ok(())
    }
}

/// The message as it was first, with the reasons that it has had.
fn message(
    exchange: &str,
    key: Option<&str>,
    delivery: &Delivery,
    dead_letter: &DeadLetter,
) -> Result<Message, PublishError> {
    let key = key.unwrap_or(&dead_letter.routing_key);
    let short = |what, text: &str| ShortString::try_new(text).map_err(|_too_long| PublishError::TooLong(what));
    let given = &delivery.properties;
    let mut headers = headers::of(given);
    if headers.contains_key(headers::TRUNCATED) {
        return Err(PublishError::Truncated);
    }
    headers::remember_reason(&mut headers);
    headers::keep_origin(
        &mut headers,
        &short("exchange", &dead_letter.exchange)?,
        &short("routing key", &dead_letter.routing_key)?,
        given,
    );
    headers.insert(headers::REPLAYS.into(), AMQPValue::LongLongInt(dead_letter.replays.saturating_add(1)));
    headers::set_text(&mut headers, headers::REPLAYED_REASON, &dead_letter.reason);
    let properties = properties_kept(given).with_headers(headers.into());
    Ok(Message::as_is(short("exchange", exchange)?, short("routing key", key)?, properties, delivery.data.clone()))
}
