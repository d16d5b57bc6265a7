//! What one node has stored, sent to the others at once: each node publishes its changes to a fanout exchange and receives
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
mod shared;
mod wire;

use crate::broker::error::Error;
use crate::broker::options::Options;
use crate::config;
use crate::runtime::Tasks;
use shared::Shared;

pub use pages::{HeldTicket, Pages};
pub use sender::LiveSender;
pub use shared::LiveParts;

/// The links between this node and the others. Its handle is the [`Tasks`] that it runs under.
#[derive(Debug)]
pub struct Live {
    shared: Shared,
}

impl Live {
    /// Takes its settings and parts; connects when it runs. What `sender` is given is published to the other nodes.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(options: &Options, live: config::Live, sender: LiveSender, parts: LiveParts) -> Result<Self, Error> {
        let gaps = gaps::Gap::ALL.map(gaps::Gap::as_str);
        parts.metrics.begin_live(&gaps, &reread::Cause::ALL.map(reread::Cause::as_str));
        Ok(Self { shared: Shared::new(options, live, sender, parts)? })
    }

    /// Publishes, consumes and reads again until `tasks` are told to stop; then publishes what still waits, and leaves.
    /// Ends in no other way.
    pub async fn run(self, tasks: Tasks) {
        let shared = &self.shared;
        tokio::join!(publisher::run(shared, &tasks), consumer::run(shared, &tasks), reread::run(shared, &tasks));
    }
}
