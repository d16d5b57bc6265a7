//! What one node has stored, told to the others at once: each node publishes its changes to a fanout exchange and hears
//! those of the others in a queue of its own.
//!
//! A hint, and lossy by design: the store is the truth. Nothing here is waited for by the consumer, and whatever may have
//! been lost (a gap in a node's numbers, a connection, a node) makes this node read its watched orders again.

mod consumer;
mod gaps;
mod packet;
mod pages;
mod peers;
mod publisher;
mod recovery;
mod reread;
mod sender;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::address::Address;
use super::{Error, Options};
use crate::config;
use crate::hub::Hub;
use crate::runtime::Tasks;
use crate::store::PaymentStore;
use crate::telemetry::Metrics;
use gaps::{Gap, Gaps};
pub use pages::{HeldTicket, Pages};
use reread::Cause;
pub use sender::LiveSender;

/// What it works with.
#[derive(Clone)]
pub struct LiveParts {
    /// The truth.
    pub store: Arc<dyn PaymentStore>,
    /// Who is told of what the others stored.
    pub hub: Arc<Hub>,
    /// What else nodes tell each other.
    pub pages: Arc<dyn Pages>,
    /// What is counted.
    pub metrics: Metrics,
}

/// The links between this node and the others. Its handle is the [`Tasks`] that it runs under.
pub struct Live {
    amqp: Arc<config::Amqp>,
    live: config::Live,
    addresses: Vec<Address>,
    instance: String,
    sender: LiveSender,
    parts: LiveParts,
    gaps: Gaps,
    /// This node hears what it says itself, and so the others.
    hears: AtomicBool,
}

impl Live {
    /// Takes its settings and parts; connects when it runs. What `sender` is given is published to the other nodes.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(options: &Options, live: config::Live, sender: LiveSender, parts: LiveParts) -> Result<Self, Error> {
        parts.metrics.begin_live(&Gap::ALL.map(Gap::as_str), &Cause::ALL.map(Cause::as_str));
        Ok(Self {
            addresses: Address::all(&options.amqp)?,
            amqp: Arc::clone(&options.amqp),
            instance: options.instance.clone(),
            gaps: Gaps::new(parts.metrics.clone()),
            hears: AtomicBool::new(false),
            live,
            sender,
            parts,
        })
    }

    /// Speaks, hears and reads again until `tasks` are told to stop; then says what still waits, and leaves. Ends in no
    /// other way.
    pub async fn run(self, tasks: Tasks) {
        tokio::join!(self.speak(&tasks), self.hear(&tasks), self.read_again(&tasks));
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("instance", &self.instance).field("live", &self.live).finish_non_exhaustive()
    }
}
