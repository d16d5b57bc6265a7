//! The only place that acknowledges. It never waits for a page, and never acknowledges past a delivery that is still
//! being worked on.

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::Acker;
use lapin::options::BasicAckOptions;
use tokio::time::Instant;
use tracing::warn;

use super::ack_tracker::{AckTracker, Due};
use super::connect::reason;
use crate::telemetry::Metrics;

/// How long an acknowledgement waits for others. Each costs the broker a write to the queue's log, for which the events
/// behind it wait, and this process the waking of a thread.
const ACKS_GATHER: Duration = Duration::from_millis(5);
/// With one part in so many of the prefetch settled, it is acknowledged at once, so that the broker goes on delivering.
const ACKS_AT_ONCE: u16 = 8;
/// A delivery that has to be settled exactly once. Dropping it instead leaves it to the broker, which delivers it again
/// when the channel ends.
#[derive(Debug)]
#[must_use]
pub(super) struct Unsettled(u64);

impl Unsettled {
    pub(super) fn tag(&self) -> u64 {
        self.0
    }

    #[cfg(test)]
    pub(super) fn mock(tag: u64) -> Self {
        Self(tag)
    }
}

/// Acknowledges one delivery of a tool that takes few, one by one. Without an error it was sent; that it arrived is sure
/// once its channel has closed in order.
#[allow(clippy::disallowed_methods, reason = "this is the one place that acknowledges")]
pub(super) async fn acknowledge(acker: &Acker) -> Result<(), String> {
    sent(acker.ack(BasicAckOptions::default()).await)
}

/// The same, for a delivery and all before it on its channel.
#[allow(clippy::disallowed_methods, reason = "this is the one place that acknowledges")]
pub(super) async fn acknowledge_up_to(acker: &Acker) -> Result<(), String> {
    sent(acker.ack(BasicAckOptions { multiple: true }).await)
}

fn sent(answer: lapin::Result<bool>) -> Result<(), String> {
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err("the channel is gone".to_owned()),
        Err(error) => Err(reason(&error)),
    }
}

/// The deliveries of one channel.
pub(super) struct Settler {
    tracker: AckTracker<Acker>,
    /// The acknowledgements under way. Others wait for their end: one that is sent behind an acknowledgement of many, and
    /// that one covers, would close the channel.
    sending: Option<Sending>,
    /// When what is settled is acknowledged at the latest, and with more than how much it is at once.
    due: Option<Instant>,
    gathered_max: usize,
    metrics: Metrics,
    has_logged_loss: bool,
}

struct Sending {
    answers: Pin<Box<dyn Future<Output = Vec<Answer>> + Send>>,
    deliveries: u64,
}

/// What became of one acknowledgement.
struct Answer {
    tag: u64,
    deliveries: u64,
    answer: lapin::Result<bool>,
}

impl Settler {
    pub(super) fn new(metrics: Metrics, prefetch: u16) -> Self {
        metrics.set_in_flight(0);
        let gathered_max = usize::from(prefetch / ACKS_AT_ONCE);
        let (tracker, sending, due) = (AckTracker::new(), None, None);
        Self { tracker, sending, due, gathered_max, metrics, has_logged_loss: false }
    }

    /// Each delivery is acknowledged by itself, once it is settled.
    pub(super) fn gather_none(&mut self) {
        self.gathered_max = 0;
    }

    /// Takes charge of a delivery.
    pub(super) fn received(&mut self, tag: u64, acker: Acker) -> Unsettled {
        self.tracker.received(tag, acker);
        self.count();
        Unsettled(tag)
    }

    /// Notes that the delivery's outcome is durable. [`Settler::send`] acknowledges it.
    pub(super) fn settle(&mut self, delivery: Unsettled) {
        self.tracker.settle(delivery.0);
        self.count();
    }

    /// When [`Settler::send`] is due, if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Acknowledges what is settled, at once or together with what is settled within [`ACKS_GATHER`].
    pub(super) fn send_soon(&mut self) {
        if self.tracker.settled() > self.gathered_max {
            self.send();
        } else if self.tracker.settled() > 0 {
            self.due.get_or_insert_with(|| Instant::now() + ACKS_GATHER);
        }
    }

    /// Begins to acknowledge all that can be, unless acknowledgements are under way. They travel while [`Settler::sent`] is
    /// awaited.
    pub(super) fn send(&mut self) {
        self.due = None;
        if self.sending.is_some() || self.tracker.settled() == 0 {
            return;
        }
        let due = self.tracker.due();
        let deliveries = due.iter().map(|due| due.deliveries).sum();
        self.sending = Some(Sending { answers: Box::pin(join_all(due.into_iter().map(acknowledge_due))), deliveries });
        self.count();
    }

    /// Waits until those under way have left or are lost. For ever where there are none. Nothing is lost if this is dropped
    /// while it waits.
    pub(super) async fn sent(&mut self) {
        let Some(sending) = &mut self.sending else {
            return std::future::pending().await;
        };
        let answers = (&mut sending.answers).await;
        self.sending = None;
        for Answer { tag, deliveries, answer } in answers {
            if !matches!(answer, Ok(true)) {
                let why = answer.err().map(|error| reason(&error));
                self.lost(tag, deliveries, why.as_deref());
            }
        }
        self.count();
    }

    /// The channel is gone: the broker delivers these again, and the store answers that it knows them.
    fn lost(&mut self, delivery_tag: u64, deliveries: u64, reason: Option<&str>) {
        self.metrics.acks_lost(deliveries);
        if !std::mem::replace(&mut self.has_logged_loss, true) {
            warn!(delivery_tag, reason, "acknowledgement lost with its channel");
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Deliveries received and not settled.
    pub(super) fn open(&self) -> usize {
        self.tracker.open()
    }

    fn count(&self) {
        let sending = self.sending.as_ref().map_or(0, |sending| sending.deliveries);
        let sending = usize::try_from(sending).unwrap_or(usize::MAX);
        self.metrics.set_in_flight(self.open());
        self.metrics.set_unacknowledged(self.tracker.held().saturating_add(sending));
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        // Nobody waits for these any more, and whether they arrived is not known.
        let unanswered = self.sending.as_ref().map_or(0, |sending| sending.deliveries);
        self.metrics.acks_lost(unanswered.saturating_add(u64::try_from(self.tracker.settled()).unwrap_or(u64::MAX)));
        self.metrics.set_in_flight(0);
        self.metrics.set_unacknowledged(0);
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that acknowledges")]
async fn acknowledge_due(due: Due<Acker>) -> Answer {
    let answer = due.acker.ack(BasicAckOptions { multiple: due.multiple }).await;
    Answer { tag: due.tag, deliveries: due.deliveries, answer }
}
