//! Which deliveries can be acknowledged, and in how few acknowledgements. Pure.

use std::collections::BTreeMap;

/// Which tags to acknowledge, and how. `A` is what acknowledges one tag. Holds what the broker takes for delivered and not
/// acknowledged, and so no more than the prefetch.
pub(super) struct AckTracker<A> {
    open: BTreeMap<u64, A>,
    /// Settled and not taken by [`AckTracker::due`].
    settled: BTreeMap<u64, A>,
    /// The tag that should come next. Tags of a channel count from 1.
    next: u64,
    /// The first tag that never came. From there on each is acknowledged singly: `multiple` would take it along.
    unseen: u64,
}

/// One acknowledgement to send.
pub(super) struct Due<A> {
    pub(super) tag: u64,
    pub(super) multiple: bool,
    pub(super) deliveries: u64,
    pub(super) acker: A,
}

impl<A> AckTracker<A> {
    pub(super) fn new() -> Self {
        Self { open: BTreeMap::new(), settled: BTreeMap::new(), next: 1, unseen: u64::MAX }
    }

    pub(super) fn received(&mut self, tag: u64, acker: A) {
        if tag < self.next {
            return;
        }
        if tag > self.next {
            self.unseen = self.unseen.min(self.next);
        }
        self.next = tag.saturating_add(1);
        self.open.insert(tag, acker);
    }

    pub(super) fn settle(&mut self, tag: u64) {
        if let Some(acker) = self.open.remove(&tag) {
            self.settled.insert(tag, acker);
        }
    }

    /// Deliveries received and not settled.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Deliveries settled and not taken by [`AckAckTracker::due`].
    pub(super) fn settled(&self) -> usize {
        self.settled.len()
    }

    /// Deliveries that the broker takes for unacknowledged.
    pub(super) fn held(&self) -> usize {
        self.open.len() + self.settled.len()
    }

    /// What to acknowledge. Taken as sent from here on, and to be sent before what is due later.
    pub(super) fn due(&mut self) -> Vec<Due<A>> {
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

    fn due(tracker: &mut AckTracker<()>) -> Vec<(u64, bool, u64)> {
        tracker.due().into_iter().map(|due| (due.tag, due.multiple, due.deliveries)).collect()
    }

    fn tracker(tags: std::ops::RangeInclusive<u64>) -> AckTracker<()> {
        let mut tracker = AckTracker::new();
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
            // A broker: knows what it has no acknowledgement of yet, and refuses a tag that it does not know.
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
