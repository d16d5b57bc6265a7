//! Whose messages were received, up to which number: how a loss shows.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::gaps::Gap;

/// Far more than there are nodes. More are as nodes that are new with each message.
const PEERS_MAX: usize = 4096;
/// Signs of life that may fail to come.
const SILENT_HEARTBEATS: u32 = 5;

/// The nodes whose messages this node has received. A run is a number that a node draws each time it starts.
#[derive(Default)]
pub(super) struct Peers {
    runs: HashMap<u64, Peer>,
}

struct Peer {
    instance: Box<str>,
    /// Of its last message. Not set where none is known.
    sequence: Option<u64>,
    silent_at: Instant,
}

/// For how long what a node has sent of itself is taken to be true.
pub(super) fn valid_for(heartbeat: Duration) -> Duration {
    heartbeat.saturating_mul(SILENT_HEARTBEATS)
}

impl Peers {
    /// Whose messages have to come from here on. Any number may be its next.
    pub(super) fn expect(&mut self, instance: &str, run: u64, heartbeat: Duration, now: Instant) {
        let silent_at = now + valid_for(heartbeat);
        self.runs.insert(run, Peer { instance: instance.into(), sequence: None, silent_at });
    }

    /// Notes a message, and answers what may have been lost before it. The first message of a run is number 1.
    pub(super) fn received(
        &mut self,
        instance: &str,
        run: u64,
        sequence: u64,
        heartbeat: Duration,
        now: Instant,
    ) -> Option<Gap> {
        let silent_at = now + valid_for(heartbeat);
        if let Some(peer) = self.runs.get_mut(&run) {
            let follows = peer.sequence.is_none_or(|last| last.checked_add(1) == Some(sequence));
            (peer.sequence, peer.silent_at) = (Some(sequence), silent_at);
            return (!follows).then_some(Gap::Sequence);
        }
        let known = self.runs.len();
        self.runs.retain(|_, peer| &*peer.instance != instance);
        let restarted = self.runs.len() < known;
        if self.runs.len() < PEERS_MAX {
            self.runs.insert(run, Peer { instance: instance.into(), sequence: Some(sequence), silent_at });
        }
        match (restarted, sequence) {
            (true, _) => Some(Gap::Restarted),
            (false, 1) => None,
            (false, _) => Some(Gap::Sequence),
        }
    }

    /// A node has sent its last message.
    pub(super) fn departed(&mut self, run: u64) {
        self.runs.remove(&run);
    }

    /// Forgets the nodes that give no sign of life, and answers which.
    pub(super) fn silent(&mut self, now: Instant) -> Vec<u64> {
        self.runs.extract_if(|_, peer| peer.silent_at <= now).map(|(run, _)| run).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(1);

    #[test]
    fn a_missing_number_a_new_run_and_silence_are_gaps_and_nothing_else_is() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let mut received = |instance, run, sequence| peers.received(instance, run, sequence, BEAT, now);
        assert_eq!([received("a", 1, 1), received("a", 1, 2), received("b", 2, 1)], [None; 3]);
        assert_eq!(received("a", 1, 4), Some(Gap::Sequence));
        assert_eq!(received("a", 1, 5), None);
        assert_eq!(received("a", 1, 5), Some(Gap::Sequence), "twice is no order either");
        assert_eq!(received("c", 3, 7), Some(Gap::Sequence), "new, and not from its beginning");
        assert_eq!(received("b", 4, 1), Some(Gap::Restarted));
        let none: [u64; 0] = [];
        assert_eq!(peers.silent(now + valid_for(BEAT) - BEAT), none);
        peers.departed(4);
        peers.received("a", 1, 6, BEAT, now + BEAT);
        assert_eq!(peers.silent(now + valid_for(BEAT)), [3]);
        assert_eq!(peers.silent(now + valid_for(BEAT)), none);
        assert_eq!(peers.silent(now + valid_for(BEAT) + BEAT), [1]);
    }

    #[test]
    fn one_that_departed_in_order_and_comes_back_is_no_gap() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        assert_eq!(peers.received("a", 1, 1, BEAT, now), None);
        peers.departed(1);
        assert_eq!(peers.received("a", 2, 1, BEAT, now), None);
    }

    #[test]
    fn one_that_is_expected_may_begin_anywhere_and_is_missed_if_it_does_not() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.expect("a", 1, BEAT, now);
        assert_eq!((peers.received("a", 1, 9, BEAT, now), peers.received("a", 1, 10, BEAT, now)), (None, None));
        peers.expect("b", 2, BEAT, now);
        assert_eq!(peers.silent(now + valid_for(BEAT)).len(), 2);
    }

    #[test]
    fn no_more_nodes_are_remembered_than_may_be() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        for run in 0..2 * PEERS_MAX as u64 {
            assert_eq!(peers.received(&run.to_string(), run, 1, BEAT, now), None);
        }
        assert_eq!(peers.runs.len(), PEERS_MAX);
    }
}
