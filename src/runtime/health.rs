//! What works and what does not, as its owners last said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The parts that the service cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The connection to RabbitMQ and its topology.
    Broker,
    /// The subscription to the results queue.
    Consumer,
    /// The store of payments.
    Store,
    /// The process itself: not ready while it starts and while it drains.
    Node,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Broker, Self::Consumer, Self::Store, Self::Node];

    /// The name that operators read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Consumer => "consumer",
            Self::Store => "store",
            Self::Node => "node",
        }
    }
}

/// The health of all parts. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    /// Of each part, and of each thing in it that is looked at on its own.
    faults: Arc<Mutex<BTreeMap<(Part, &'static str), String>>>,
}

/// A part as a whole.
const WHOLE: &str = "";

impl Health {
    /// Nothing works yet.
    #[must_use]
    pub fn starting() -> Self {
        let faults = Part::ALL.into_iter().map(|part| ((part, WHOLE), "starting".to_owned())).collect();
        Self { faults: Arc::new(Mutex::new(faults)) }
    }

    /// The part works.
    pub fn ok(&self, part: Part) {
        self.lock().remove(&(part, WHOLE));
    }

    /// The part does not work, for this reason. The reason is shown to operators: no secrets.
    pub fn fault(&self, part: Part, reason: impl Into<String>) {
        self.lock().insert((part, WHOLE), reason.into());
    }

    /// One thing in the part works. [`Health::ok`] does not say that.
    pub fn ok_in(&self, part: Part, thing: &'static str) {
        self.lock().remove(&(part, thing));
    }

    /// One thing in the part does not work, for this reason. It stands beside what [`Health::fault`] says of the part.
    pub fn fault_in(&self, part: Part, thing: &'static str, reason: impl Into<String>) {
        self.lock().insert((part, thing), reason.into());
    }

    /// What does not work, and why. Empty when all does.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<Part, String> {
        let mut faults = BTreeMap::new();
        for ((part, _), reason) in self.lock().iter() {
            let reasons: &mut String = faults.entry(*part).or_default();
            if !reasons.is_empty() {
                reasons.push_str("; ");
            }
            reasons.push_str(reason);
        }
        faults
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Part, &'static str), String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_in_a_part_is_well_only_when_that_is_said_of_it() {
        let health = Health::starting();
        Part::ALL.into_iter().for_each(|part| health.ok(part));
        health.fault_in(Part::Broker, "binding", "not bound");
        health.fault(Part::Broker, "away");
        assert_eq!(health.faults().get(&Part::Broker).map(String::as_str), Some("away; not bound"));
        health.ok(Part::Broker);
        assert_eq!(health.faults().get(&Part::Broker).map(String::as_str), Some("not bound"));
        health.ok_in(Part::Broker, "binding");
        assert!(health.faults().is_empty());
    }
}
