//! What every request may need, made once by `app`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::callbacks;
use super::clients::Clients;
use super::error;
use super::limits::TicketLimiter;
use super::peers::Peers;
use super::publish::ResultPublisher;
use super::recent::Recent;
use super::reconnect_pacing::{self, ReconnectPacing};
use super::ticket::{Fingerprint, Minter, Refusal, Revocations, Ticket, Verifier};
use crate::callbacks::{Accounts, Provider};
use crate::config::{Http, Secrets};
use crate::hub::{Hub, Update};
use crate::payment::{Key, MerchantId};
use crate::runtime::{Tasks, unix_ms, unix_s};
use crate::store::{OutboxSignal, PageRef, PaymentStore, TimelineRecorder};
use crate::telemetry::{Metrics, Transport};

/// What `app` gives.
#[allow(missing_docs, reason = "each is named by its type")]
pub struct Parts {
    pub http: Http,
    pub api_key: Secrets,
    pub api_key_merchant_id: Option<MerchantId>,
    pub demo_merchant_id: Option<MerchantId>,
    pub verifier: Arc<Verifier>,
    pub revocations: Revocations,
    pub peers: Option<Arc<dyn Peers>>,
    pub minter: Option<Minter>,
    pub accounts: Accounts,
    pub store: Arc<dyn PaymentStore>,
    pub hub: Arc<Hub>,
    pub publisher: Arc<dyn ResultPublisher>,
    pub notes: TimelineRecorder,
    pub outbox: OutboxSignal,
    pub metrics: Metrics,
    pub tasks: Tasks,
}

/// The shared context of all requests. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    parts: Arc<Parts>,
    limiter: TicketLimiter,
    clients: Clients,
    comeback: ReconnectPacing,
    connections: Arc<AtomicU64>,
    polls: Arc<Recent>,
}

impl std::ops::Deref for Context {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    /// Joins the parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let limiter = TicketLimiter::new(parts.http.connections_per_ticket_max);
        let clients = Clients::new(&parts.http);
        let comeback = ReconnectPacing::new(parts.tasks.clone(), parts.http.reconnect_pages_per_s_max);
        begin_counters(&parts);
        Self { parts: Arc::new(parts), limiter, clients, comeback, connections: Arc::default(), polls: Arc::default() }
    }

    /// A name for a connection or a request of a page, in the stories of its orders.
    pub(super) fn page(&self, transport: Transport) -> PageRef {
        PageRef { transport, connection: self.connections.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    pub(super) fn comeback(&self) -> &ReconnectPacing {
        &self.comeback
    }

    pub(super) fn limiter(&self) -> &TicketLimiter {
        &self.limiter
    }

    /// Checks a ticket and counts a refusal.
    pub(super) async fn verify(&self, ticket: Option<&str>) -> Result<Ticket, Refusal> {
        let checked = match ticket {
            Some(ticket) => self.verifier.verify(ticket).await.and_then(|mut ticket| {
                self.revocations.strip(&mut ticket, unix_s())?;
                Ok(ticket)
            }),
            None => Err(Refusal::Absent),
        };
        match &checked {
            Ok(_) => self.metrics.ticket_accepted(),
            Err(refusal) => self.metrics.ticket_refused(refusal.reason()),
        }
        checked
    }

    /// Why a page that waits for this order by this ticket may not stay. Has to be asked after the page has registered,
    /// and whenever it is interrupted.
    pub(super) fn revoked(&self, ticket: Fingerprint, key: &Key) -> Option<Refusal> {
        let refusal = self.revocations.refusal(ticket, key, unix_s());
        refusal.inspect(|refusal| self.metrics.ticket_refused(refusal.reason()))
    }

    /// A page began to wait.
    pub(super) fn page_waits(&self, page: PageRef, key: &Key) {
        self.notes.watched(key, page);
    }

    /// A version was written to a page, as an update or as a snapshot.
    pub(super) fn page_told(&self, page: PageRef, update: &Update) {
        let after = self.count_told(page.transport, update);
        self.notes.pushed(&update.payment.key, page, update.payment.version, after);
    }

    /// [`Context::page_waits`] for a page that asks again and again: told once a minute.
    pub(super) fn page_polls(&self, page: PageRef, ticket: Fingerprint, key: &Key) {
        if self.polls.is_new(&(ticket, key, 0_u64)) {
            self.notes.watched(key, page);
        }
    }

    /// [`Context::page_told`] for such a page: each version is told once a minute.
    pub(super) fn poll_told(&self, page: PageRef, ticket: Fingerprint, update: &Update) {
        let after = self.count_told(page.transport, update);
        let (key, version) = (&update.payment.key, update.payment.version);
        if self.polls.is_new(&(ticket, key, version)) {
            self.notes.pushed(key, page, version, after);
        }
    }

    /// Answers how long after this node received it.
    fn count_told(&self, transport: Transport, update: &Update) -> Option<Duration> {
        let after = update.received_at?.elapsed();
        self.metrics.update_sent(transport, after, update.published_at_ms, unix_ms());
        Some(after)
    }

    /// A moment within the drain time, drawn anew for each page, so that they do not all come back at once.
    pub(super) fn drain_delay(&self) -> Duration {
        reconnect_pacing::drain_delay(Duration::from_secs(self.http.drain_s))
    }

    /// How long a page shall wait before it comes back.
    pub(super) fn reconnect_after_ms(&self) -> u64 {
        self.comeback.after_ms()
    }
}

/// Of what these parts may come to count.
fn begin_counters(parts: &Parts) {
    let metrics = &parts.metrics;
    metrics.begin_refusals(&error::CODES, &Refusal::ALL.map(Refusal::reason));
    metrics.begin_key_sets(&parts.verifier.sources());
    let providers = parts.accounts.providers().map(Provider::as_str).collect::<Vec<_>>();
    metrics.begin_callbacks(&providers, &callbacks::outcomes());
}
