//! What every request may need, made once by `app`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::seen_recently::SeenRecently;
use super::ticket_limit::TicketLimiter;
use crate::callbacks::Accounts;
use crate::config::{Http, Secrets};
use crate::http::{Clients, ReconnectPacing, drain_delay};
use crate::hub::{Hub, Update};
use crate::payment::{Event, Key, MerchantId};
use crate::runtime::{Tasks, unix_ms, unix_s};
use crate::store::{OutboxSignal, PageRef, PaymentStore, Revocation, TimelineRecorder};
use crate::telemetry::{Metrics, Transport};
use crate::tickets::{Fingerprint, Minter, Refusal, Revocations, Ticket, Verifier};

/// Acknowledgements that are tried again at the same time.
const LATE_ACKS_MAX: usize = 4096;

/// Publishes a payment result: mandatory, persistent; answers when the broker has confirmed, or why it has not in words
/// for the caller. The event may have been taken all the same.
pub type Publish = Arc<dyn Fn(Event) -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync>;

/// Tells the other nodes of a revocation that is stored, and of the orders whose pages it may concern. Waits for nothing.
pub type TellPeers = Box<dyn Fn(Revocation, Vec<Key>) + Send + Sync>;

/// What pages are served with.
#[allow(missing_docs, reason = "each is named by its type or its setting")]
pub struct PageServices {
    pub http: Http,
    pub api_key: Secrets,
    pub api_key_merchant_id: Option<MerchantId>,
    pub verifier: Arc<Verifier>,
    pub revocations: Revocations,
    /// Not set for a node that is alone.
    pub tell_peers: Option<TellPeers>,
    pub minter: Option<Minter>,
    pub accounts: Accounts,
    pub store: Arc<dyn PaymentStore>,
    pub hub: Arc<Hub>,
    pub publish: Publish,
    pub notes: TimelineRecorder,
    pub outbox: OutboxSignal,
    pub metrics: Metrics,
    /// The connections of pages.
    pub tasks: Tasks,
}

/// The shared context of all requests: one pointer.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

/// What a [`Context`] points to.
pub struct Shared {
    services: PageServices,
    pub(super) limiter: TicketLimiter,
    /// Whose connections and requests are counted.
    pub clients: Clients,
    /// When pages that are sent away come back.
    pub pacing: ReconnectPacing,
    /// Held by acknowledgements that are tried again.
    pub(super) late_acks: Arc<Semaphore>,
    pages: AtomicU64,
    polls: SeenRecently,
}

impl std::ops::Deref for Context {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::ops::Deref for Shared {
    type Target = PageServices;
    fn deref(&self) -> &PageServices {
        &self.services
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    /// Joins the services with what all pages of this node share.
    #[must_use]
    pub fn new(services: PageServices) -> Self {
        Self(Arc::new(Shared {
            limiter: TicketLimiter::new(services.http.connections_per_ticket_max),
            clients: Clients::new(&services.http),
            pacing: ReconnectPacing::new(services.tasks.clone(), services.http.reconnect_pages_per_s_max),
            late_acks: Arc::new(Semaphore::new(LATE_ACKS_MAX)),
            pages: AtomicU64::new(0),
            polls: SeenRecently::default(),
            services,
        }))
    }

    /// A name for a connection or a request of a page, in the timelines of its orders.
    pub(super) fn page(&self, transport: Transport) -> PageRef {
        PageRef { transport, connection: self.pages.fetch_add(1, Ordering::Relaxed) + 1 }
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
    pub(super) fn page_sent(&self, page: PageRef, update: &Update) {
        let after = self.count_sent(page.transport, update);
        self.notes.pushed(&update.payment.key, page, update.payment.version, after);
    }

    /// [`Context::page_waits`] for a page that asks again and again: noted once a minute.
    pub(super) fn page_polls(&self, page: PageRef, ticket: Fingerprint, key: &Key) {
        if self.polls.is_new(&(ticket, key, 0_u64)) {
            self.notes.watched(key, page);
        }
    }

    /// [`Context::page_sent`] for such a page: each version is noted once a minute.
    pub(super) fn poll_sent(&self, page: PageRef, ticket: Fingerprint, update: &Update) {
        let after = self.count_sent(page.transport, update);
        let (key, version) = (&update.payment.key, update.payment.version);
        if self.polls.is_new(&(ticket, key, version)) {
            self.notes.pushed(key, page, version, after);
        }
    }

    /// Answers how long after this node received it.
    fn count_sent(&self, transport: Transport, update: &Update) -> Option<Duration> {
        let after = update.received_at?.elapsed();
        self.metrics.update_sent(transport, after, update.published_at_ms, unix_ms());
        Some(after)
    }

    /// A time within the drain time, drawn anew for each page, so that they do not all come back at once.
    pub(super) fn drain_delay(&self) -> Duration {
        drain_delay(Duration::from_secs(self.http.drain_s))
    }

    /// How long a page shall wait before it comes back.
    pub(super) fn reconnect_after_ms(&self) -> u64 {
        self.pacing.after_ms()
    }
}
