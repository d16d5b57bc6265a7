//! The only place that acknowledges. It never waits for a page, and never acknowledges past a delivery that is still
//! being worked on.

use std::collections::VecDeque;

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
    metrics: Metrics,
    told_of_loss: bool,
}

impl Settler {
    pub(super) fn new(metrics: Metrics) -> Self {
        metrics.set_in_flight(0);
        Self { tracker: Tracker::new(), metrics, told_of_loss: false }
    }

    /// Takes charge of a delivery.
    pub(super) fn received(&mut self, tag: u64, acker: Acker) -> Unsettled {
        self.tracker.received(tag, acker);
        self.metrics.set_in_flight(self.tracker.open);
        Unsettled(tag)
    }

    /// Notes that the delivery's outcome is durable. [`Settler::flush`] tells the broker.
    pub(super) fn settle(&mut self, delivery: Unsettled) {
        self.tracker.settle(delivery.0);
    }

    /// Acknowledges all that can be.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that acknowledges")]
    pub(super) async fn flush(&mut self) {
        for due in self.tracker.due() {
            let answer = due.acker.ack(BasicAckOptions { multiple: due.multiple }).await;
            if matches!(answer, Ok(true)) {
                continue;
            }
            // The channel is gone: the broker delivers these again, and the store answers that it knows them.
            self.metrics.acks_lost(due.deliveries);
            if !std::mem::replace(&mut self.told_of_loss, true) {
                let reason = answer.err().map(|error| super::connect::reason(&error));
                warn!(delivery_tag = due.tag, reason, "acknowledgement lost with its channel");
            }
        }
        self.metrics.set_in_flight(self.tracker.open);
    }

    /// Deliveries settled and not acknowledged.
    pub(super) fn settled(&self) -> usize {
        self.tracker.settled
    }

    /// Deliveries received and not settled.
    pub(super) fn open(&self) -> usize {
        self.tracker.open
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.metrics.set_in_flight(0);
    }
}

/// Which tags to acknowledge, and how. `A` is what acknowledges one tag.
struct Tracker<A> {
    /// The tag of the first entry. Tags of a channel count from 1.
    first: u64,
    entries: VecDeque<Entry<A>>,
    open: usize,
    /// Settled and not taken by [`Tracker::due`].
    settled: usize,
}

enum Entry<A> {
    Open(A),
    Settled(A),
    Acked,
    /// A tag that was never seen. It holds back `multiple`, which would acknowledge it.
    Unseen,
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
        Self { first: 1, entries: VecDeque::new(), open: 0, settled: 0 }
    }

    fn received(&mut self, tag: u64, acker: A) {
        let Some(place) = tag.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        while self.entries.len() < place {
            self.entries.push_back(Entry::Unseen);
        }
        self.entries.push_back(Entry::Open(acker));
        self.open += 1;
    }

    fn settle(&mut self, tag: u64) {
        let place = tag.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            *entry = match std::mem::replace(entry, Entry::Unseen) {
                Entry::Open(acker) => {
                    self.open -= 1;
                    self.settled += 1;
                    Entry::Settled(acker)
                }
                other => other,
            };
        }
    }

    /// What to acknowledge, in the order in which it has to be sent. Taken as sent from here on.
    fn due(&mut self) -> Vec<Due<A>> {
        let mut due = Vec::new();
        if std::mem::take(&mut self.settled) == 0 {
            return due;
        }
        let mut prefix: Option<Due<A>> = None;
        while matches!(self.entries.front(), Some(Entry::Settled(_) | Entry::Acked)) {
            if let Some(Entry::Settled(acker)) = self.entries.pop_front() {
                let deliveries = prefix.map_or(1, |before| before.deliveries + 1);
                prefix = Some(Due { tag: self.first, multiple: deliveries > 1, deliveries, acker });
            }
            self.first += 1;
        }
        // The last tag of the prefix that is not acknowledged yet: `multiple` up to one that is would be refused.
        due.extend(prefix);
        for (tag, entry) in (self.first..).zip(&mut self.entries) {
            if matches!(entry, Entry::Settled(_))
                && let Entry::Settled(acker) = std::mem::replace(entry, Entry::Acked)
            {
                due.push(Due { tag, multiple: false, deliveries: 1, acker });
            }
        }
        due
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
        assert_eq!(tracker.settled, 3, "one that is settled twice counts once");
        assert_eq!(due(&mut tracker), [(3, true, 3)]);
        assert_eq!((due(&mut tracker).len(), tracker.open), (0, 2));
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
        assert!(tracker.entries.is_empty());
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
            prop_assert!(unacked.is_empty() && tracker.entries.is_empty() && tracker.open == 0 && tracker.settled == 0);
        }
    }
}
