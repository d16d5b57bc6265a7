//! Joins the pages of this node with the links between nodes, which do not know each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::bridge::{Context, TellPeers};
use crate::broker::live::{HeldTicket, Live, LiveParts, LiveSender, Pages};
use crate::broker::{self, Options};
use crate::config;
use crate::payment::Key;
use crate::runtime::Tasks;
use crate::store::{self, Revocation};

/// Links this node with the others, if there are any: until the pages have left, and after what the consumer stored
/// last.
pub(super) fn begin(
    live_sender: Option<LiveSender>,
    options: &Options,
    live: &config::Live,
    context: &Context,
    background: &Tasks,
) -> Result<(), broker::Error> {
    let Some(live_sender) = live_sender else { return Ok(()) };
    let parts = LiveParts {
        store: Arc::clone(&context.store),
        hub: Arc::clone(&context.hub),
        pages: Arc::new(PagesOfNode(context.clone())),
        metrics: context.metrics.clone(),
    };
    let links = Live::new(options, live.clone(), live_sender, parts)?;
    background.spawn(links.run(background.clone()));
    Ok(())
}

/// How the pages send revocations to the other nodes.
pub(super) fn tell_peers(live_sender: LiveSender) -> TellPeers {
    Box::new(move |revocation, keys| live_sender.revoked(revocation, keys))
}

struct PagesOfNode(Context);

#[async_trait]
impl Pages for PagesOfNode {
    fn revoked(&self, revocation: Revocation, keys: &[Key]) -> bool {
        self.0.revoked_by_peer(revocation, keys).is_ok()
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
        self.0.held_by_peer(node, held, valid);
    }
}
