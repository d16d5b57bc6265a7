//! What the handlers of the operators' listener share.

use std::sync::Arc;

use super::dead_letters::DeadLetters;
use super::dead_letters::looks::Looks;
use crate::config::{Http, Secrets};
use crate::payment::Key;
use crate::runtime::Health;
use crate::store::{PaymentStore, Revocation};
use crate::telemetry::{Metrics, Recent};
use crate::tickets::Revocations;

/// Puts a stored revocation in force for the pages to come, and for those that wait for these orders, on every node.
pub type EnforceRevocation = Box<dyn Fn(Revocation, Vec<Key>) + Send + Sync>;

/// What `app` gives for the operators' listener.
#[allow(missing_docs, reason = "each is named by its type, or by its setting")]
pub struct OperatorServices {
    pub http: Http,
    pub health: Health,
    /// `admin.token`
    pub token: Secrets,
    /// The name of this node.
    pub instance: String,
    /// `store.url`, without its password.
    pub store_url: String,
    /// `amqp.queue`
    pub results_queue: String,
    /// `amqp.dead_letter_queue`
    pub dead_letter_queue: String,
    /// `payments.default_merchant`
    pub default_merchant: String,
    pub store: Arc<dyn PaymentStore>,
    pub metrics: Metrics,
    pub recent: Recent,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub revocations: Revocations,
    pub enforce_revocation: EnforceRevocation,
    /// Seconds after which every ticket that exists has run out.
    pub ticket_lifetime_s_max: u64,
    /// Seconds that a ticket may be used beyond its end, whole.
    pub leeway_s: u64,
}

/// Shared by all requests of operators. Cheap to clone.
#[derive(Clone)]
pub(super) struct OperatorContext {
    services: Arc<OperatorServices>,
    pub(super) looks: Looks,
}

impl OperatorContext {
    pub(super) fn new(services: OperatorServices) -> Self {
        let looks = Looks::new(Arc::clone(&services.dead_letters), services.dead_letter_queue.clone());
        Self { services: Arc::new(services), looks }
    }
}

impl std::ops::Deref for OperatorContext {
    type Target = OperatorServices;
    fn deref(&self) -> &OperatorServices {
        &self.services
    }
}
