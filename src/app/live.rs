//! Joins the pages of this node with the links between nodes, which do not know each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::bridge::{Context, Neighbours};
use crate::broker::live::{HeldTicket, Live, Pages, Parts, Teller};
use crate::broker::{self, Options};
use crate::config;
use crate::payment::Key;
use crate::runtime::Tasks;
use crate::store::{self, Revocation};

/// Begins to speak with the other nodes, if there are any: until the pages have left, and after what the consumer stored
/// last.
pub(super) fn begin(
    teller: Option<Teller>,
    options: &Options,
    live: &config::Live,
    context: &Context,
    watching: &Tasks,
) -> Result<(), broker::Error> {
    let Some(teller) = teller else { return Ok(()) };
    let parts = Parts {
        store: Arc::clone(&context.store),
        hub: Arc::clone(&context.hub),
        pages: Arc::new(PagesOfNode(context.clone())),
        metrics: context.metrics.clone(),
    };
    let links = Live::new(options, live.clone(), teller, parts)?;
    watching.spawn(links.run(watching.clone()));
    Ok(())
}

/// What the pages tell the other nodes.
pub(super) fn neighbours(teller: Teller) -> Arc<dyn Neighbours> {
    Arc::new(NeighboursByBroker(teller))
}

struct NeighboursByBroker(Teller);

impl Neighbours for NeighboursByBroker {
    fn revoked(&self, revocation: Revocation, keys: Vec<Key>) {
        self.0.revoked(revocation, keys);
    }
}

struct PagesOfNode(Context);

#[async_trait]
impl Pages for PagesOfNode {
    fn revoked(&self, revocation: Revocation, keys: &[Key]) {
        self.0.neighbour_revoked(revocation, keys);
    }

    async fn read_revocations(&self) -> Result<(), store::Error> {
        self.0.read_revocations().await
    }

    fn held_tickets(&self, tickets_max: usize) -> Vec<HeldTicket> {
        let held = self.0.held_tickets(tickets_max).into_iter();
        held.map(|(fingerprint, pages)| HeldTicket { fingerprint, pages }).collect()
    }

    fn held_by(&self, node: u64, tickets: Vec<HeldTicket>, valid: Duration) {
        let held = tickets.into_iter().map(|ticket| (ticket.fingerprint, ticket.pages)).collect();
        self.0.held_by_neighbour(node, held, valid);
    }
}
