//! Counters that begin at 0. One that first appears at 1 hides its first event from whoever looks at increases, and that
//! event is the alarm. Of what is configured alone: a provider without an account has no series.

use metrics::Label;

use super::Metrics;
use super::registry::{counter, histogram};
use crate::telemetry::names;

const RESULTS: [&str; 2] = ["ok", "error"];

impl Metrics {
    /// What events bring, and the connection that brings them.
    pub fn begin_events(&self, outcomes: &[&'static str], conflicts: &[&'static str], refusals: &[&'static str]) {
        self.begin(names::EVENTS_STORED, "outcome", outcomes);
        counter(&self.inner.recorder, names::EVENTS_IGNORED, vec![]).increment(0);
        self.begin(names::CONFLICTS, "kind", conflicts);
        self.begin(names::DEAD_LETTERS, "reason", refusals);
        refusals.iter().for_each(|reason| self.inner.recent.dead_lettered(reason, 0));
        self.begin(names::BROKER_CONNECTS, "result", &RESULTS);
        self.set_broker_connected(false);
    }

    /// What is refused: by the problem codes of requests and frames, by the reasons of tickets.
    pub fn begin_refusals(&self, codes: &[&'static str], reasons: &[&'static str]) {
        self.begin(names::REFUSED, "code", codes);
        self.begin(names::TICKETS_REFUSED, "reason", reasons);
        counter(&self.inner.recorder, names::TICKETS_MINTED, vec![]).increment(0);
    }

    /// Key sets for tickets from these sources.
    pub fn begin_key_sets(&self, sources: &[&'static str]) {
        self.begin_pairs(names::KEY_SETS, ("source", sources), ("result", &RESULTS));
    }

    /// Handshakes, and certificates that change.
    pub fn begin_tls(&self) {
        self.begin(names::TLS_HANDSHAKES, "result", &["ok", "failed", "timed_out", "refused"]);
        self.begin(names::TLS_CERTIFICATE_LOADS, "result", &RESULTS);
    }

    /// Notifications of the providers that there is an account at.
    pub fn begin_callbacks(&self, providers: &[&'static str], outcomes: &[&'static str]) {
        self.begin_pairs(names::CALLBACKS, ("provider", providers), ("outcome", outcomes));
    }

    /// What nodes send each other.
    pub fn begin_live(&self, gaps: &[&'static str], causes: &[&'static str]) {
        self.begin(names::LIVE_CHANGES, "direction", &["out", "in"]);
        self.begin(names::LIVE_GAPS, "reason", gaps);
        self.begin(names::LIVE_REREADS, "cause", causes);
        for name in [names::LIVE_DROPPED, names::LIVE_HITS] {
            counter(&self.inner.recorder, name, vec![]).increment(0);
        }
        drop(histogram(&self.inner.recorder, names::LIVE_LAG_SECONDS, vec![]));
        self.set_live_connected(false);
    }

    fn begin(&self, name: &'static str, label: &'static str, values: &[&'static str]) {
        values.iter().for_each(|value| self.count(name, label, value, 0));
    }

    fn begin_pairs(
        &self,
        name: &'static str,
        (first, of_first): (&'static str, &[&'static str]),
        (second, of_second): (&'static str, &[&'static str]),
    ) {
        for (a, b) in of_first.iter().flat_map(|a| of_second.iter().map(move |b| (*a, *b))) {
            counter(&self.inner.recorder, name, vec![Label::new(first, a), Label::new(second, b)]).increment(0);
        }
    }
}
