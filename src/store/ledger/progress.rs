//! How far rows were looked through, a few a step and in their order: past those that nothing can be done with, so that
//! these stand in the way of no other.

use std::time::{Duration, Instant};

/// After this, rows that were passed over are looked at again, at the earliest. Meanwhile only what lies behind them is.
const AGAIN: Duration = Duration::from_secs(60);

/// In memory: a look that begins anew finds what stayed and nothing else. `P` is the place of a row.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Progress<P> {
    place: Option<P>,
    passed: bool,
    /// When the look from the beginning began.
    began: Option<Instant>,
}

impl<P> Progress<P> {
    /// The last row that was looked at. Not set at the beginning.
    pub(in crate::store) fn place(&self) -> Option<&P> {
        self.place.as_ref()
    }

    /// After a step up to `last`, not set where there was no row. `passed` rows were passed over, and `is_last` says that
    /// there are no more.
    pub(in crate::store) fn step(&mut self, last: Option<P>, passed: usize, is_last: bool, now: Instant) {
        let began = *self.began.get_or_insert(now);
        self.passed |= passed > 0;
        if is_last && (!self.passed || now.saturating_duration_since(began) >= AGAIN) {
            *self = Self { place: None, passed: false, began: Some(now) };
        } else if let Some(last) = last {
            self.place = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_anew_at_the_end_and_later_where_rows_were_passed_over() {
        let mut progress = Progress::default();
        let began = Instant::now();
        progress.step(Some(7), 0, false, began);
        assert_eq!(progress.place(), Some(&7));
        progress.step(Some(9), 0, true, began);
        assert_eq!(progress.place(), None);
        progress.step(Some(7), 1, false, began);
        progress.step(Some(9), 0, true, began);
        progress.step(None, 0, true, began + AGAIN / 2);
        assert_eq!(progress.place(), Some(&9), "only what comes behind is looked at");
        progress.step(None, 0, true, began + AGAIN);
        assert_eq!(progress.place(), None);
    }
}
