//! From a batch of events to its outcomes. A fault of the store is never the fault of an event: the same batch is given
//! again until it is taken, and meanwhile nothing is acknowledged. A fault of one payment is that of its events alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::message::Delivery;
use tokio::time::{Instant, timeout};
use tracing::{Span, info, warn};

use super::consumer_parts::ConsumerParts;
use super::error::Error;
use super::options::backoff;
use super::settle::Unsettled;
use super::transport::gate::LargeBody;
use crate::config;
use crate::payment::Event;
use crate::runtime::Component;
use crate::store::{Applied, Arrival, silent};

/// A commit that takes longer is a fault of the store, and goes on being waited for.
const COMMIT_SLOW_S: u64 = 10;
/// In readiness.
const HEALTH_THING: &str = "commits";

/// An event on its way to the store.
pub(super) struct Arrived {
    pub(super) unsettled: Unsettled,
    pub(super) event: Event,
    pub(super) delivery: Delivery,
    pub(super) published_at_ms: Option<i64>,
    pub(super) received_at: std::time::Instant,
    pub(super) received_ms: i64,
    pub(super) span: Span,
    /// Given back when this is dropped.
    pub(super) large: Option<LargeBody>,
}

pub(super) struct Committed {
    pub(super) batch: Vec<Arrived>,
    /// With an error where the store works, and not for this event's payment.
    pub(super) outcomes: Vec<Applied>,
    /// An earlier answer of the store was lost or bad: what is a duplicate may have been stored by that.
    pub(super) tried_before: bool,
}

/// Commits batches, and says in readiness and metrics whether the store works.
pub(super) struct Committer {
    amqp: Arc<config::Amqp>,
    parts: ConsumerParts,
    /// The thread that commits may be blocked.
    may_block: AtomicBool,
    /// The store did not take the last batch.
    store_failed: AtomicBool,
}

impl Committer {
    pub(super) fn new(amqp: Arc<config::Amqp>, parts: ConsumerParts) -> Self {
        Self { amqp, parts, may_block: AtomicBool::new(false), store_failed: AtomicBool::new(false) }
    }

    /// From here on commits are made on a thread that may be blocked.
    pub(super) fn may_block(&self) {
        self.may_block.store(true, Ordering::Relaxed);
    }

    /// Gives the batch to the store until it takes it. Ends early only by being dropped.
    pub(super) async fn commit(&self, batch: Vec<Arrived>) -> Committed {
        let mut backoff = backoff(&self.amqp);
        let mut has_failed = false;
        loop {
            let began = Instant::now();
            let arrivals = batch.iter().map(|arrived| self.arrival(arrived)).collect();
            // While this blocks, it is the watch over the store that says in readiness that it hangs.
            let mut apply = if self.may_block.load(Ordering::Relaxed) {
                self.parts.store.apply_blocking(arrivals)
            } else {
                self.parts.store.apply(arrivals)
            };
            let answer = loop {
                match timeout(Duration::from_secs(COMMIT_SLOW_S), &mut apply).await {
                    Ok(answer) => break answer,
                    Err(_elapsed) => self.store_is_down(&silent(began.elapsed()).to_string()),
                }
            };
            match answer {
                Ok(outcomes) if outcomes.len() == batch.len() => match self.works_for_others(&outcomes).await {
                    Ok(stored) => {
                        self.parts.metrics.committed(stored, began.elapsed());
                        self.parts.timeline.committed(stored);
                        self.store_is_up();
                        if has_failed {
                            self.parts.health.ok(Component::Consumer);
                        }
                        return Committed { batch, outcomes, tried_before: has_failed };
                    }
                    Err(why) => self.waits(&why),
                },
                Ok(outcomes) => self.waits(&format!("{} outcomes for {} events", outcomes.len(), batch.len())),
                Err(error) => self.waits(&error.to_string()),
            }
            has_failed = true;
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    fn arrival(&self, arrived: &Arrived) -> Arrival {
        Arrival {
            event: arrived.event.clone(),
            received_ms: arrived.received_ms,
            redelivered: arrived.delivery.redelivered,
            watched: self.parts.hub.is_watched(&arrived.event.key),
        }
    }

    /// How many events were stored. Where none was, the store itself may be what does not work: it is asked.
    async fn works_for_others(&self, outcomes: &[Applied]) -> Result<usize, String> {
        match outcomes.iter().filter(|outcome| outcome.is_ok()).count() {
            0 => self.check().await.map(|()| 0),
            stored => Ok(stored),
        }
    }

    /// Asks the store whether it works.
    pub(super) async fn store_works(&self) -> Result<(), Error> {
        match self.check().await {
            Ok(()) => {
                self.store_is_up();
                Ok(())
            }
            Err(why) => {
                self.store_is_down(&why);
                Err(Error::Store(why))
            }
        }
    }

    async fn check(&self) -> Result<(), String> {
        match timeout(Duration::from_secs(COMMIT_SLOW_S), self.parts.store.check()).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_elapsed) => Err(silent(Duration::from_secs(COMMIT_SLOW_S)).to_string()),
        }
    }

    fn waits(&self, why: &str) {
        self.store_is_down(why);
        self.parts.fault(&self.amqp.queue, &format!("events wait for the store: {why}"));
    }

    fn store_is_down(&self, why: &str) {
        // Beside what the watch over the store says, which writes elsewhere and may find nothing wrong.
        self.parts.metrics.set_store_available(false);
        self.parts.health.fault_in(Component::Store, HEALTH_THING, why);
        if !self.store_failed.swap(true, Ordering::Relaxed) {
            warn!(queue = self.amqp.queue, reason = why, "the store does not accept events, consuming is paused");
        }
    }

    fn store_is_up(&self) {
        if self.store_failed.swap(false, Ordering::Relaxed) {
            self.parts.metrics.set_store_available(true);
            self.parts.health.ok_in(Component::Store, HEALTH_THING);
            self.parts.health.ok(Component::Store);
            info!(queue = self.amqp.queue, "the store accepts events again");
        }
    }
}
