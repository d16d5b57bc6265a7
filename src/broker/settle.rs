//! The only place that acknowledges. It never waits for a page, and never acknowledges past a delivery that is still
//! being worked on.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures_util::future::join_all;
use lapin::Acker;
use lapin::options::BasicAckOptions;
use tracing::warn;

use crate::telemetry::Metrics;

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
        Err(error) => Err(super::connect::reason(&error)),
    }
}

/// The deliveries of one channel.
pub(super) struct Settler {
    tracker: Tracker<Acker>,
    /// The acknowledgements under way. Others wait for their end: one that is sent behind an acknowledgement of many, and
    /// that one covers, would close the channel.
    sending: Option<Sending>,
    metrics: Metrics,
    told_of_loss: bool,
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
    pub(super) fn new(metrics: Metrics) -> Self {
        metrics.set_in_flight(0);
        Self { tracker: Tracker::new(), sending: None, metrics, told_of_loss: false }
    }

    /// Takes charge of a delivery.
    pub(super) fn received(&mut self, tag: u64, acker: Acker) -> Unsettled {
        self.tracker.received(tag, acker);
        self.count();
        Unsettled(tag)
    }

    /// Notes that the delivery's outcome is durable. [`Settler::send`] tells the broker.
    pub(super) fn settle(&mut self, delivery: Unsettled) {
        self.tracker.settle(delivery.0);
        self.count();
    }

    /// Begins to acknowledge all that can be, unless acknowledgements are under way. They travel while [`Settler::sent`] is
    /// awaited.
    pub(super) fn send(&mut self) {
        if self.sending.is_some() || self.tracker.settled.is_empty() {
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
                let reason = answer.err().map(|error| super::connect::reason(&error));
                self.lost(tag, deliveries, reason.as_deref());
            }
        }
        self.count();
    }

    /// The channel is gone: the broker delivers these again, and the store answers that it knows them.
    fn lost(&mut self, delivery_tag: u64, deliveries: u64, reason: Option<&str>) {
        self.metrics.acks_lost(deliveries);
        if !std::mem::replace(&mut self.told_of_loss, true) {
            warn!(delivery_tag, reason, "acknowledgement lost with its channel");
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Deliveries settled and not on their way to the broker.
    pub(super) fn settled(&self) -> usize {
        self.tracker.settled.len()
    }

    /// Deliveries received and not settled.
    pub(super) fn open(&self) -> usize {
        self.tracker.open.len()
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
        self.metrics.acks_lost(unanswered.saturating_add(u64::try_from(self.settled()).unwrap_or(u64::MAX)));
        self.metrics.set_in_flight(0);
        self.metrics.set_unacknowledged(0);
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that acknowledges")]
async fn acknowledge_due(due: Due<Acker>) -> Answer {
    let answer = due.acker.ack(BasicAckOptions { multiple: due.multiple }).await;
    Answer { tag: due.tag, deliveries: due.deliveries, answer }
}

/// Which tags to acknowledge, and how. `A` is what acknowledges one tag. Holds what the broker takes for delivered and not
/// acknowledged, and so no more than the prefetch.
struct Tracker<A> {
    open: BTreeMap<u64, A>,
    /// Settled and not taken by [`Tracker::due`].
    settled: BTreeMap<u64, A>,
    /// The tag that should come next. Tags of a channel count from 1.
    next: u64,
    /// The first tag that never came. From there on each is acknowledged singly: `multiple` would take it along.
    unseen: u64,
}

/// One acknowledgement to send.
struct Due<A> {
    tag: u64,
    multiple: bool,
    deliveries: u64,
    acker: A,
}

impl<A> Tracker<A> {
    fn new() -> Self {
        Self { open: BTreeMap::new(), settled: BTreeMap::new(), next: 1, unseen: u64::MAX }
    }

    fn received(&mut self, tag: u64, acker: A) {
        if tag < self.next {
            return;
        }
        if tag > self.next {
            self.unseen = self.unseen.min(self.next);
        }
        self.next = tag.saturating_add(1);
        self.open.insert(tag, acker);
    }

    fn settle(&mut self, tag: u64) {
        if let Some(acker) = self.open.remove(&tag) {
            self.settled.insert(tag, acker);
        }
    }

    fn held(&self) -> usize {
        self.open.len() + self.settled.len()
    }

    /// What to acknowledge. Taken as sent from here on, and to be sent before what is due later.
    fn due(&mut self) -> Vec<Due<A>> {
        let first_open = self.open.first_key_value().map_or(u64::MAX, |(tag, _)| *tag);
        let beyond = self.settled.split_off(&first_open.min(self.unseen));
        let prefix = std::mem::take(&mut self.settled);
        let deliveries = prefix.len() as u64;
        let single = |(tag, acker)| Due { tag, multiple: false, deliveries: 1, acker };
        // The last tag of the prefix that is not acknowledged yet: `multiple` up to one that is would be refused.
        let prefix = prefix.into_iter().next_back();
        let prefix = prefix.map(|(tag, acker)| Due { tag, multiple: deliveries > 1, deliveries, acker });
        prefix.into_iter().chain(beyond.into_iter().map(single)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn due(tracker: &mut Tracker<()>) -> Vec<(u64, bool, u64)> {
        tracker.due().into_iter().map(|due| (due.tag, due.multiple, due.deliveries)).collect()
    }

    fn tracker(tags: std::ops::RangeInclusive<u64>) -> Tracker<()> {
        let mut tracker = Tracker::new();
        tags.for_each(|tag| tracker.received(tag, ()));
        tracker
    }

    #[test]
    fn a_settled_prefix_is_one_acknowledgement() {
        let mut tracker = tracker(1..=5);
        assert_eq!(due(&mut tracker), []);
        for tag in [2, 1, 3, 2] {
            tracker.settle(tag);
        }
        assert_eq!(tracker.settled.len(), 3, "one that is settled twice counts once");
        assert_eq!(due(&mut tracker), [(3, true, 3)]);
        assert_eq!((due(&mut tracker).len(), tracker.open.len()), (0, 2));
        tracker.settle(4);
        assert_eq!(due(&mut tracker), [(4, false, 1)]);
    }

    #[test]
    fn what_is_settled_beyond_a_hole_is_acknowledged_singly_and_once() {
        let mut tracker = tracker(1..=5);
        for tag in [1, 3, 5] {
            tracker.settle(tag);
        }
        assert_eq!(due(&mut tracker), [(1, false, 1), (3, false, 1), (5, false, 1)]);
        tracker.settle(2);
        tracker.settle(4);
        // Not up to 5: that tag is acknowledged already, and the broker would not know it.
        assert_eq!(due(&mut tracker), [(4, true, 2)]);
        assert_eq!(tracker.held(), 0);
    }

    #[test]
    fn what_is_held_behind_a_hole_is_no_more_than_the_prefetch() {
        const PREFETCH: u64 = 300;
        let mut tracker = tracker(1..=PREFETCH);
        let mut next = PREFETCH + 1;
        for _ in 0..1000 {
            (2..next).rev().take(100).for_each(|tag| tracker.settle(tag));
            let due = due(&mut tracker);
            assert!(due.iter().all(|(tag, multiple, deliveries)| *tag > 1 && !multiple && *deliveries == 1));
            // As many as were acknowledged are delivered.
            for _ in due {
                tracker.received(next, ());
                next += 1;
            }
            assert_eq!(tracker.held() as u64, PREFETCH);
        }
        (1..next).for_each(|tag| tracker.settle(tag));
        assert_eq!(due(&mut tracker), [(next - 1, true, PREFETCH)]);
    }

    #[test]
    fn a_tag_that_was_never_seen_is_never_acknowledged() {
        let mut tracker = tracker(1..=1);
        tracker.received(3, ());
        tracker.settle(1);
        tracker.settle(3);
        assert_eq!(due(&mut tracker), [(1, false, 1), (3, false, 1)]);
        tracker.received(4, ());
        tracker.settle(4);
        assert_eq!(due(&mut tracker), [(4, false, 1)]);
    }

    proptest! {
        #[test]
        fn every_tag_is_acknowledged_once_and_none_before_it_is_settled(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            pauses in proptest::collection::vec(any::<bool>(), 40),
        ) {
            // A broker: knows what it has not been told of yet, and refuses a tag that it does not know.
            let mut unacked: BTreeSet<u64> = (1..=40).collect();
            let mut settled = BTreeSet::new();
            let mut tracker = tracker(1..=40);
            for (tag, pause) in order.into_iter().zip(pauses.into_iter().chain([true])) {
                tracker.settle(tag);
                settled.insert(tag);
                if !pause { continue }
                for due in tracker.due() {
                    prop_assert!(unacked.contains(&due.tag));
                    let taken: Vec<u64> = if due.multiple { unacked.range(..=due.tag).copied().collect() } else { vec![due.tag] };
                    prop_assert_eq!(taken.len() as u64, due.deliveries);
                    for tag in taken {
                        prop_assert!(settled.contains(&tag));
                        unacked.remove(&tag);
                    }
                }
            }
            tracker.due().into_iter().for_each(|due| unacked.retain(|tag| *tag > due.tag || (!due.multiple && *tag != due.tag)));
            prop_assert!(unacked.is_empty() && tracker.held() == 0);
        }
    }
}
