//! Whether a commit waits a moment for more events.
//!
//! A commit of several events costs little more than one of a few. Where the last one had several, as many are expected
//! soon. Where events come one by one nothing waits.

use std::time::Duration;

use tokio::time::Instant;

/// How long a commit waits for more events, where the last one was of at least so many.
const GATHER: Duration = Duration::from_millis(1);
const GATHER_EVENTS_MIN: usize = 4;

/// The batches of one subscription.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Of the last commit.
    events: usize,
    until: Option<Instant>,
}

impl Gather {
    /// Whether the events that wait are committed later, together with others. Asked again at [`Gather::due`], or when there
    /// are more.
    pub(super) fn waits(&mut self, waiting_events: usize) -> bool {
        if waiting_events == 0 || self.events < GATHER_EVENTS_MIN || waiting_events >= self.events {
            return false;
        }
        let now = Instant::now();
        now < *self.until.get_or_insert(now + GATHER)
    }

    /// When what waits is committed at the latest, if something does.
    pub(super) fn due(&self) -> Option<Instant> {
        self.until
    }

    /// So many events are committed.
    pub(super) fn commit(&mut self, events: usize) {
        self.until = None;
        self.events = events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_after_a_commit_of_several_events_fewer_wait_and_no_longer_than_the_bound() {
        let mut gather = Gather::default();
        assert!(!gather.waits(1), "nothing was committed before");
        gather.commit(GATHER_EVENTS_MIN - 1);
        assert!(!gather.waits(1), "events come one by one");
        gather.commit(8);
        assert!(!gather.waits(0) && gather.due().is_none(), "nothing waits");
        assert!(gather.waits(2) && gather.waits(7));
        assert!(!gather.waits(8), "as many as before are there");
        tokio::time::sleep_until(gather.due().unwrap()).await;
        assert!(!gather.waits(2), "the time is over");
        gather.commit(2);
        assert!(!gather.waits(1) && gather.due().is_none(), "fewer came than were expected");
    }
}
