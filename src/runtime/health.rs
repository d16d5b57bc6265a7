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
    faults: Arc<Mutex<BTreeMap<Part, String>>>,
}

impl Health {
    /// Nothing works yet.
    #[must_use]
    pub fn starting() -> Self {
        let faults = Part::ALL.into_iter().map(|part| (part, "starting".to_owned())).collect();
        Self { faults: Arc::new(Mutex::new(faults)) }
    }

    /// The part works.
    pub fn ok(&self, part: Part) {
        self.lock().remove(&part);
    }

    /// The part does not work, for this reason. The reason is shown to operators: no secrets.
    pub fn fault(&self, part: Part, reason: impl Into<String>) {
        self.lock().insert(part, reason.into());
    }

    /// What does not work, and why. Empty when all does.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<Part, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
