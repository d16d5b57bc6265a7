//! One order that is waited for: by whom, since when, and for which spans it was inquired about.

use std::sync::Arc;
use std::time::Duration;

use super::Inbox;

/// How long an order is remembered after its last page has left: one that polls or lost its connection comes back.
const DEPARTED_TENTHS_MAX: u32 = 600;
/// As if it had been inquired about for every span.
const FINAL: u8 = u8::MAX;

/// Tenths of a second since the hub was made: enough for thirteen years.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick(u32);

impl Tick {
    pub(super) fn after(time: Duration) -> Self {
        Self(u32::try_from(time.as_millis() / 100).unwrap_or(u32::MAX))
    }

    fn tenths_since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// As many as there are pages, or nearly: kept small.
#[derive(Debug)]
pub(super) struct OrderWatch {
    pages: Vec<Arc<Inbox>>,
    since: Tick,
    /// When the last page left. Of no meaning while there is one.
    departed_at: Tick,
    inquired_step: u8,
}

impl OrderWatch {
    pub(super) fn new(first: Arc<Inbox>, now: Tick) -> Self {
        Self { pages: vec![first], since: now, departed_at: now, inquired_step: 0 }
    }

    pub(super) fn pages(&self) -> &[Arc<Inbox>] {
        &self.pages
    }

    /// Answers whether nobody waited.
    pub(super) fn enter(&mut self, page: Arc<Inbox>) -> bool {
        let came_back = self.has_departed();
        self.pages.push(page);
        came_back
    }

    /// Answers whether it was the last page.
    pub(super) fn leave(&mut self, page: &Arc<Inbox>, now: Tick) -> bool {
        let before = self.pages.len();
        self.pages.retain(|other| !Arc::ptr_eq(other, page));
        if self.pages.is_empty() {
            self.pages = Vec::new();
            self.departed_at = now;
        }
        before > 0 && self.has_departed()
    }

    /// Nobody waits.
    pub(super) fn has_departed(&self) -> bool {
        self.pages.is_empty()
    }

    /// Nobody has waited for so long that nobody is expected back.
    pub(super) fn is_over(&self, now: Tick) -> bool {
        self.has_departed() && now.tenths_since(self.departed_at) >= DEPARTED_TENTHS_MAX
    }

    /// It has no final result, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.inquired_step < FINAL
    }

    pub(super) fn mark_final(&mut self) {
        self.inquired_step = FINAL;
    }

    pub(super) fn mark_inquired(&mut self, step: u8) {
        self.inquired_step = self.inquired_step.max(step);
    }

    /// The last of the spans that are over, from 1, if it was not inquired about for that, and the seconds since the first page came.
    pub(super) fn overdue(&self, now: Tick, spans_s: &[u64]) -> Option<(u8, u64)> {
        if self.has_departed() || !self.is_open() {
            return None;
        }
        let waited_s = u64::from(now.tenths_since(self.since) / 10);
        let over = spans_s.iter().take_while(|span_s| **span_s <= waited_s).count();
        let step = u8::try_from(over).unwrap_or(FINAL - 1);
        (step > self.inquired_step).then_some((step, waited_s))
    }
}
