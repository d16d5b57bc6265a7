//! What one subscription leaves to the next.

use super::binding::Probes;
use super::commit::Committer;
use super::consumer_parts::ConsumerParts;
use super::decode::Decoder;
use super::error::Error;
use super::options::Options;

/// What outlives a subscription.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) parts: ConsumerParts,
    pub(super) probes: Probes,
    pub(super) committer: Committer,
    pub(super) decoder: Decoder,
}

impl Shared {
    pub(super) fn new(options: Options, parts: ConsumerParts) -> Result<Self, Error> {
        let decoder = Decoder::new(&options.payments)?;
        let committer = Committer::new(options.amqp.clone(), parts.clone());
        Ok(Self { options, parts, probes: Probes::new(), committer, decoder })
    }

    /// What keeps the queue from being consumed.
    pub(super) fn fault(&self, why: &str) {
        self.parts.fault(&self.options.amqp.queue, why);
    }
}
