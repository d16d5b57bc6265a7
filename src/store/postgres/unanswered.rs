//! What attempts may have done: their COMMIT was sent, and its answer never came. What may have happened counts as if it
//! had, so that who asks again is told what the first attempt did and not that nothing is left to do.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::fault::Fault;
use crate::payment::{EventId, Key};
use crate::store::Note;
use crate::store::ledger::Did;

/// Of one store, by what is done.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) events: Unanswered<(Key, EventId), Did>,
    /// Versions that pages have shown.
    pub(super) acknowledgements: Unanswered<(Key, u64)>,
    pub(super) notes: Unanswered<Vec<Note>>,
    pub(super) undelivered: Unanswered<Key>,
    pub(super) inquiries: Unanswered<(Key, i32)>,
    /// Messages of the outbox, each with the end of its lease.
    pub(super) leases: Unanswered<i64, SystemTime>,
}

/// What was never asked for again is forgotten: another node has done it, or nobody.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// More than is ever under way at once.
const THINGS_MAX: usize = 65_536;

/// Things by key, each with what is known of it. Empty but for what follows a lost answer.
pub(super) struct Unanswered<K, V = ()>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Unanswered<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, V: Clone> Unanswered<K, V> {
    /// What an earlier attempt may have done of `key`.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).filter(|(since, _)| since.elapsed() < KEPT_FOR).map(|(_, what)| what.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// All that earlier attempts may have done.
    pub(super) fn all(&self) -> Vec<(K, V)>
    where
        K: Clone,
    {
        self.lock().iter().map(|(key, (_, what))| (key.clone(), what.clone())).collect()
    }

    /// The same, and none of it is kept.
    pub(super) fn take(&self) -> Vec<(K, V)> {
        self.lock().drain().map(|(key, (_, what))| (key, what)).collect()
    }

    /// Waits for `commit`, which does what `things` tells. It is kept where the answer is lost, also by being dropped, and
    /// no longer kept once there is one that says that it is done.
    pub(super) async fn during<F>(
        &self,
        things: F,
        commit: impl Future<Output = Result<(), Fault>>,
    ) -> Result<(), Fault>
    where
        F: Fn() -> Vec<(K, V)>,
    {
        let mut doubt = Doubt { of: self, things: Some(things) };
        let answer = commit.await;
        match &answer {
            Ok(()) => doubt.ends(|of, things| {
                if !of.is_empty() {
                    of.forget(things());
                }
            }),
            Err(fault) if !fault.is_unanswered() => doubt.ends(|_, _| {}),
            Err(_unanswered) => {}
        }
        answer
    }

    /// For who was told otherwise of what was done.
    pub(super) fn keep(&self, things: Vec<(K, V)>) {
        let (mut kept, now) = (self.lock(), Instant::now());
        kept.retain(|_, (since, _)| now.duration_since(*since) < KEPT_FOR);
        for (key, what) in things {
            if kept.len() < THINGS_MAX || kept.contains_key(&key) {
                kept.insert(key, (now, what));
            }
        }
    }

    fn forget(&self, things: Vec<(K, V)>) {
        let mut kept = self.lock();
        for (key, _) in things {
            kept.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        // Nothing that runs under the lock can leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between COMMIT and its answer.
struct Doubt<'a, K: Eq + Hash, V: Clone, F: Fn() -> Vec<(K, V)>> {
    of: &'a Unanswered<K, V>,
    things: Option<F>,
}

impl<K: Eq + Hash, V: Clone, F: Fn() -> Vec<(K, V)>> Doubt<'_, K, V, F> {
    fn ends(&mut self, by: impl FnOnce(&Unanswered<K, V>, F)) {
        if let Some(things) = self.things.take() {
            by(self.of, things);
        }
    }
}

impl<K: Eq + Hash, V: Clone, F: Fn() -> Vec<(K, V)>> Drop for Doubt<'_, K, V, F> {
    fn drop(&mut self) {
        self.ends(|of, things| of.keep(things()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;

    fn lost() -> Fault {
        Fault::Unanswered(Box::new(Fault::Store(Error::Closed)))
    }

    async fn commit(of: &Unanswered<u8, char>, key: u8, what: char, answer: Result<(), Fault>) {
        drop(of.during(|| vec![(key, what)], std::future::ready(answer)).await);
    }

    #[tokio::test]
    async fn what_was_not_answered_is_kept_until_it_is() {
        let unanswered = Unanswered::default();
        commit(&unanswered, 1, 'a', Ok(())).await;
        commit(&unanswered, 2, 'b', Err(Fault::Overtaken)).await;
        assert!(unanswered.is_empty());
        commit(&unanswered, 1, 'a', Err(lost())).await;
        commit(&unanswered, 1, 'x', Err(Fault::Overtaken)).await;
        assert_eq!(unanswered.get(&1), Some('a'), "an attempt that was refused changes nothing");
        drop(unanswered.during(|| vec![(2, 'b')], std::future::pending()));
        let waits = unanswered.during(|| vec![(2, 'b')], std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(1), waits).await.is_err());
        assert_eq!(unanswered.get(&2), Some('b'), "who stops waiting does not know either");
        commit(&unanswered, 1, 'c', Ok(())).await;
        assert_eq!(unanswered.all(), [(2, 'b')]);
        assert_eq!((unanswered.take(), unanswered.is_empty()), (vec![(2, 'b')], true));
    }
}
