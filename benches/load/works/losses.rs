//! What did not reach its page once. For the service any of it ends the run; for a peer it is counted and shown.

use std::time::{Duration, Instant};

use super::Figures;
use crate::engine::SILENCE;
use crate::target::Kind;

/// An event of a peer that has not come within it, while nothing else came either, is lost.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(10);
/// Longer than this no piece of a peer's work may take.
const PEER_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Losses {
    forgives: bool,
    began: Instant,
    published: u32,
    lost: u32,
    repeated: u32,
    misdirected: u32,
}

impl Losses {
    pub(crate) fn of(kind: Kind) -> Self {
        Self { forgives: kind.is_peer(), began: Instant::now(), published: 0, lost: 0, repeated: 0, misdirected: 0 }
    }

    pub(crate) fn forgives(&self) -> bool {
        self.forgives
    }

    /// So many events were published, whatever became of them.
    pub(crate) fn published(&mut self, events: u32) {
        self.published += events;
    }

    /// So many events have not come, of which `text` tells.
    pub(crate) fn lost(&mut self, events: u32, text: impl FnOnce() -> String) {
        assert!(self.forgives || events == 0, "{}", text());
        self.lost += events;
    }

    pub(crate) fn repeated(&mut self, n: u32) {
        assert!(self.forgives, "event {n} came twice");
        self.repeated += 1;
    }

    pub(crate) fn misdirected(&mut self, n: u32) {
        assert!(self.forgives, "event {n} came to another's page");
        self.misdirected += 1;
    }

    /// Whether what is missing is not waited for any longer. A peer that is only slow fails once its time is up.
    pub(crate) fn gives_up(&self, heard: Instant) -> bool {
        let is_late = self.forgives && self.began.elapsed() > PEER_MAX;
        assert!(!is_late, "not done after {} s", PEER_MAX.as_secs());
        heard.elapsed() >= if self.forgives { LOST_AFTER } else { SILENCE }
    }

    /// The time for the next piece of work begins.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Adds what went wrong, if anything did.
    pub(crate) fn report(&self, figures: &mut Figures) {
        if self.lost + self.repeated + self.misdirected > 0 {
            figures.extend([
                (LOST, f64::from(self.lost)),
                (REPEATED, f64::from(self.repeated)),
                (MISDIRECTED, f64::from(self.misdirected)),
                (PUBLISHED, f64::from(self.published)),
            ]);
        }
    }
}

pub(crate) const LOST: &str = "lost";
pub(crate) const REPEATED: &str = "came_twice";
pub(crate) const MISDIRECTED: &str = "to_another_page";
pub(crate) const PUBLISHED: &str = "published";
