//! Which rows are old enough to be removed, and when a step of removing is done.

use crate::store::{Escalated, Purged};

/// What one step through one table came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Swept {
    /// Rows that were dealt with.
    pub(in crate::store) rows: usize,
    /// Rows that were passed over, since they cannot be read or written.
    pub(in crate::store) damaged: usize,
    /// Nothing is left behind them.
    pub(in crate::store) done: bool,
}

impl From<Swept> for Escalated {
    fn from(Swept { rows, damaged, done }: Swept) -> Self {
        Self { messages: rows, damaged, done }
    }
}

/// Of some rows, in the order of their making.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Examined {
    /// How many of them were looked at: those behind are too young, all.
    pub(in crate::store) looked_at: usize,
    /// Of these, the places of those that are to be removed.
    pub(in crate::store) old: Vec<usize>,
    /// No more rows are old.
    pub(in crate::store) done: bool,
}

/// `rows` are some of a table in the order of their making, at most `rows_max`: when each was made and when it last changed,
/// not set where it cannot be read. Old is what last changed before `before_ms`. A row of after `now_ms`, made while the
/// clock was wrong, says nothing of those behind it.
pub(in crate::store) fn examine(rows: &[Option<(i64, i64)>], before_ms: i64, now_ms: i64, rows_max: usize) -> Examined {
    let is_young = |row: &Option<(i64, i64)>| row.is_some_and(|(made_ms, _)| (before_ms..=now_ms).contains(&made_ms));
    let young = rows.iter().position(is_young);
    let looked_at = young.unwrap_or(rows.len());
    let is_old = |row: &Option<(i64, i64)>| row.is_some_and(|(_, changed_ms)| changed_ms < before_ms);
    let old = rows[..looked_at].iter().enumerate().filter(|(_, row)| is_old(row)).map(|(place, _)| place).collect();
    Examined { looked_at, old, done: young.is_some() || rows.len() < rows_max }
}

/// What a step through all tables came to: payments, what is known of orders without one, and old entries.
pub(in crate::store) fn purged(payments: Swept, unknown: &[Swept], entries: Swept) -> Purged {
    let others = || unknown.iter().chain([&entries]);
    Purged {
        payments: payments.rows,
        entries: entries.rows,
        damaged: payments.damaged + others().map(|swept| swept.damaged).sum::<usize>(),
        done: payments.done && others().all(|swept| swept.done),
    }
}
