//! What is counted between nodes.

use std::time::Duration;

use super::Metrics;
use super::registry::{as_u64, counter, gauge, histogram};
use crate::telemetry::names;

impl Metrics {
    /// Whether this node receives from the others.
    pub fn set_live_connected(&self, connected: bool) {
        gauge(&self.inner.recorder, names::LIVE_CONNECTED, vec![]).set(f64::from(u8::from(connected)));
    }

    /// A message with so many changes was sent to the other nodes.
    pub fn live_published(&self, changes: usize) {
        self.count(names::LIVE_CHANGES, "direction", "out", as_u64(changes));
    }

    /// A message with so many changes came from another node.
    pub fn live_received(&self, changes: usize, transit: Duration) {
        self.count(names::LIVE_CHANGES, "direction", "in", as_u64(changes));
        histogram(&self.inner.recorder, names::LIVE_LAG_SECONDS, vec![]).record(transit.as_secs_f64());
    }

    /// Changes that were not sent to the other nodes.
    pub fn live_dropped(&self, changes: usize) {
        counter(&self.inner.recorder, names::LIVE_DROPPED, vec![]).increment(as_u64(changes));
    }

    /// A payment of another node was given to pages of this one.
    pub fn live_hit(&self) {
        counter(&self.inner.recorder, names::LIVE_HITS, vec![]).increment(1);
    }

    /// Changes of other nodes may be lost.
    pub fn live_gap(&self, reason: &'static str) {
        self.count(names::LIVE_GAPS, "reason", reason, 1);
    }

    /// Orders were read again.
    pub fn live_reread(&self, cause: &'static str, orders: usize) {
        self.count(names::LIVE_REREADS, "cause", cause, as_u64(orders));
    }
}
