//! The pieces of work, each a function of one target that runs once and says what it measured.

pub(crate) mod backlog;
pub(crate) mod flood;
pub(crate) mod idle;
pub(crate) mod paced;
pub(crate) mod polls;
pub(crate) mod sessions;

use std::collections::BTreeMap;

/// What was measured: name with its unit, and value.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// The page of the `k`-th event: every page once in `pages` events, in an order that is not that of the orders.
pub(crate) fn scattered(k: u32, pages: u32) -> u32 {
    const STEP: u64 = 1_000_003;
    u32::try_from(u64::from(k) * STEP % u64::from(pages)).unwrap()
}
