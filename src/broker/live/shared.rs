//! What publishing to the other nodes, consuming from them and reading again have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::{Channel, Connection};
use tokio::time::timeout;
use tracing::info;

use super::gaps::{Gap, Gaps};
use super::pages::Pages;
use super::sender::LiveSender;
use crate::broker::address::Address;
use crate::broker::connect::{self, Purpose, reason};
use crate::broker::error::Error;
use crate::broker::options::Options;
use crate::broker::topology;
use crate::config;
use crate::hub::Hub;
use crate::store::PaymentStore;
use crate::telemetry::Metrics;

/// For topology, channel and what it is used for, once connected.
pub(super) const SET_UP_S_MAX: u64 = 15;

/// What the links between nodes work with.
#[derive(Clone)]
pub struct LiveParts {
    /// Where payments are read again.
    pub store: Arc<dyn PaymentStore>,
    /// The pages that wait for what other nodes store.
    pub hub: Arc<Hub>,
    /// What nodes send each other beside payments.
    pub pages: Arc<dyn Pages>,
    /// What is counted.
    pub metrics: Metrics,
}

pub(super) struct Shared {
    pub(super) amqp: Arc<config::Amqp>,
    pub(super) live: config::Live,
    addresses: Vec<Address>,
    pub(super) instance: String,
    pub(super) sender: LiveSender,
    pub(super) parts: LiveParts,
    pub(super) gaps: Gaps,
    /// This node receives its own messages, and so those of the others.
    is_receiving: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        options: &Options,
        live: config::Live,
        sender: LiveSender,
        parts: LiveParts,
    ) -> Result<Self, Error> {
        Ok(Self {
            addresses: Address::all(&options.amqp)?,
            amqp: Arc::clone(&options.amqp),
            instance: options.instance.clone(),
            gaps: Gaps::new(parts.metrics.clone()),
            is_receiving: AtomicBool::new(false),
            live,
            sender,
            parts,
        })
    }

    /// A connection with a channel, and the exchange between nodes on it.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<(Connection, Channel), Error> {
        let connection = connect::connect(&self.addresses, &self.amqp, purpose, &self.instance).await?;
        let set_up = async {
            topology::establish_live(&connection, &self.amqp).await?;
            connection.create_channel().await.map_err(|error| Error::Lost(reason(&error)))
        };
        let channel = within_set_up(set_up).await?;
        Ok((connection, channel))
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.is_receiving.load(Ordering::Acquire)
    }

    pub(super) fn set_receiving(&self, is_receiving: bool) {
        if self.is_receiving.swap(is_receiving, Ordering::AcqRel) == is_receiving {
            return;
        }
        self.parts.metrics.set_live_connected(is_receiving);
        if is_receiving {
            info!(queue = self.queue(), "receiving changes from the other nodes");
        }
        // What was sent before it received is in the store.
        self.gaps.note(if is_receiving { Gap::Connected } else { Gap::Unheard });
    }

    /// The queue of this node's own.
    pub(super) fn queue(&self) -> String {
        format!("{}.{}", self.amqp.live_exchange, self.instance)
    }
}

/// Waits for a step at most [`SET_UP_S_MAX`].
pub(super) async fn within_set_up<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let answer = timeout(Duration::from_secs(SET_UP_S_MAX), step).await;
    answer.unwrap_or_else(|_elapsed| Err(Error::Lost(format!("no answer in {SET_UP_S_MAX} s"))))
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("instance", &self.instance).field("live", &self.live).finish_non_exhaustive()
    }
}
