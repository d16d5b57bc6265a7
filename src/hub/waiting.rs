//! One order that is waited for: by whom, since when, and what was asked about it.

use std::sync::Arc;
use std::time::Duration;

use super::Inbox;

/// How long an order is remembered after its last page has left: one that polls or lost its connection comes back.
const LEFT_TENTHS_MAX: u32 = 600;
/// As if everything had been asked.
const SETTLED: u8 = u8::MAX;

/// Tenths of a second since the hub was made: enough for thirteen years.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) fn after(time: Duration) -> Self {
        Self(u32::try_from(time.as_millis() / 100).unwrap_or(u32::MAX))
    }

    fn tenths_since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// As many as there are pages, or nearly: kept small.
#[derive(Debug)]
pub(super) struct Waiting {
    pages: Vec<Arc<Inbox>>,
    since: Moment,
    /// When the last page left. Of no meaning while there is one.
    left_at: Moment,
    asked_step: u8,
}

impl Waiting {
    pub(super) fn new(first: Arc<Inbox>, now: Moment) -> Self {
        Self { pages: vec![first], since: now, left_at: now, asked_step: 0 }
    }

    pub(super) fn pages(&self) -> &[Arc<Inbox>] {
        &self.pages
    }

    /// Answers whether nobody waited.
    pub(super) fn enter(&mut self, page: Arc<Inbox>) -> bool {
        let came_back = self.is_left();
        self.pages.push(page);
        came_back
    }

    /// Answers whether it was the last page.
    pub(super) fn leave(&mut self, page: &Arc<Inbox>, now: Moment) -> bool {
        let before = self.pages.len();
        self.pages.retain(|other| !Arc::ptr_eq(other, page));
        if self.pages.is_empty() {
            self.pages = Vec::new();
            self.left_at = now;
        }
        before > 0 && self.is_left()
    }

    /// Nobody waits.
    pub(super) fn is_left(&self) -> bool {
        self.pages.is_empty()
    }

    /// Nobody has waited for so long that nobody is expected back.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.is_left() && now.tenths_since(self.left_at) >= LEFT_TENTHS_MAX
    }

    /// It has no final result, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.asked_step < SETTLED
    }

    pub(super) fn settle(&mut self) {
        self.asked_step = SETTLED;
    }

    pub(super) fn asked(&mut self, step: u8) {
        self.asked_step = self.asked_step.max(step);
    }

    /// The last of the spans that are over, from 1, if it was not asked, and the seconds since the first page came.
    pub(super) fn overdue(&self, now: Moment, spans_s: &[u64]) -> Option<(u8, u64)> {
        if self.is_left() || !self.is_open() {
            return None;
        }
        let waited_s = u64::from(now.tenths_since(self.since) / 10);
        let over = spans_s.iter().take_while(|span_s| **span_s <= waited_s).count();
        let step = u8::try_from(over).unwrap_or(SETTLED - 1);
        (step > self.asked_step).then_some((step, waited_s))
    }
}
