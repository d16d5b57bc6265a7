//! The side of the pages of the real service, in this process and on no network: router, WebSocket, tickets and hub are
//! the program's own. The store is one in memory, since a disk would be waited for at each input; it merges as the
//! program merges. Nothing is published.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use payment_notifier::bridge::{Context, PageServices, router};
use payment_notifier::callbacks::Accounts;
use payment_notifier::config::{Http, Secrets};
use payment_notifier::hub::{Hub, Update};
use payment_notifier::payment::{Event, Key, MerchantId, Merged, OrderId, Payment, State};
use payment_notifier::runtime::Tasks;
use payment_notifier::store::{
    Acknowledgement, Applied, Arrival, Error, Escalated, FoundOrders, Inquiry, Note, OrderSummary, OutboxSignal,
    Outcome, Outgoing, PageRef, PaymentStore, PurgeBefore, Purged, Revocation, Timeline, TimelineRecorder,
};
use payment_notifier::telemetry::Metrics;
use payment_notifier::tickets::{Minter, Revocations, Verifier};
use tokio::io::DuplexStream;

use crate::SETTINGS;

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::new().expect("metrics can be made"));

/// One node, for one connection.
pub(crate) struct Service {
    pub(crate) hub: Arc<Hub>,
    pub(crate) tasks: Tasks,
    store: Arc<InMemory>,
}

impl Service {
    /// Serves the other end of a connection.
    pub(crate) fn serve(stream: DuplexStream, http: Http) -> Self {
        let (hub, tasks, store) = (Hub::new(), Tasks::new(), Arc::new(InMemory::default()));
        let context = Context::new(PageServices {
            http,
            api_key: Secrets::default(),
            api_key_merchant_id: None,
            verifier: Arc::new(Verifier::load(&SETTINGS.tickets).expect("the settings can be used")),
            revocations: Revocations::new(SETTINGS.tickets.revocations_max, Vec::new()),
            tell_peers: None,
            minter: Minter::new(&SETTINGS.tickets),
            accounts: Accounts::load(&SETTINGS.callbacks).expect("there are none"),
            store: store.clone(),
            hub: Arc::clone(&hub),
            publish: Arc::new(|_event| Box::pin(async { Err("there is no broker") })),
            notes: TimelineRecorder::off(),
            outbox: OutboxSignal::default(),
            metrics: METRICS.clone(),
            tasks: tasks.clone(),
        });
        let service = TowerToHyperService::new(router(context, axum::Router::new()));
        tasks.spawn(async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            // What a broken connection ends with is seen by its page.
            drop(served);
        });
        Self { hub, tasks, store }
    }

    /// One event, as the consumer would take it: stored first, shown second.
    pub(crate) async fn store_and_show(&self, event: Event) {
        let outcomes = self.store.apply_events(vec![event]).await.expect("memory has room");
        for outcome in outcomes {
            self.hub.publish(&Update::stored(outcome.payment));
        }
    }

    /// Each reading of the store takes so long from here on.
    pub(crate) fn read_slowly(&self, seconds: u64) {
        self.store.read_s.store(seconds, Ordering::Relaxed);
    }

    /// The version that is stored.
    pub(crate) fn version(&self, key: &Key) -> u64 {
        self.store.states.lock().expect("no thread panicked").get(key).map_or(0, State::version)
    }
}

#[derive(Default)]
struct InMemory {
    read_s: AtomicU64,
    states: Mutex<HashMap<Key, State>>,
}

#[async_trait]
impl PaymentStore for InMemory {
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        let mut states = self.states.lock().expect("no thread panicked");
        let outcomes = batch.into_iter().map(|Arrival { event, .. }| {
            let key = event.key.clone();
            if let Some(state) = states.get_mut(&key) {
                let merged = state.merge(event);
                return Ok(Outcome {
                    change: merged.change,
                    conflicts: merged.conflicts,
                    claims: merged.claims,
                    payment: Arc::new(state.payment()),
                });
            }
            let state = State::first(event);
            let payment = Arc::new(state.payment());
            states.insert(key, state);
            let Merged { change, conflicts, claims } = Merged::FIRST;
            Ok(Outcome { change, conflicts, claims, payment })
        });
        Ok(outcomes.collect())
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        let read_s = self.read_s.load(Ordering::Relaxed);
        if read_s > 0 {
            tokio::time::sleep(Duration::from_secs(read_s)).await;
        }
        let states = self.states.lock().expect("no thread panicked");
        Ok(states.get(key).map(|state| Arc::new(state.payment())))
    }

    async fn acknowledge(&self, key: &Key, version: u64, _by: PageRef) -> Result<Acknowledgement, Error> {
        let known = self.version_of(key);
        Ok(if (1..=known).contains(&version) { Acknowledgement::First } else { Acknowledgement::NoSuchVersion })
    }

    /// Timelines and the outbox are not what is tried here.
    async fn record(&self, _notes: Vec<Note>) -> Result<(), Error> {
        Ok(())
    }

    async fn timeline(&self, key: &Key) -> Result<Timeline, Error> {
        Ok(Timeline { payment: self.read(key).await?, ..Timeline::default() })
    }

    async fn orders_of_transaction(
        &self,
        _transaction_id: &str,
        _merchant_id: Option<&MerchantId>,
    ) -> Result<FoundOrders, Error> {
        Ok(FoundOrders::default())
    }

    async fn orders_of_number(&self, _order_id: &OrderId) -> Result<FoundOrders, Error> {
        Ok(FoundOrders::default())
    }

    async fn recent_orders(&self) -> Result<Vec<OrderSummary>, Error> {
        Ok(Vec::new())
    }

    async fn escalate(&self, _now_ms: i64, _messages_max: usize) -> Result<Escalated, Error> {
        Ok(Escalated { done: true, ..Escalated::default() })
    }

    async fn inquire(&self, _inquiries: Vec<Inquiry>) -> Result<usize, Error> {
        Ok(0)
    }

    async fn outbox_lease(&self, _messages_max: usize, _lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        Ok(Vec::new())
    }

    async fn outbox_remove(&self, _ids: Vec<i64>) -> Result<(), Error> {
        Ok(())
    }

    async fn outbox_postpone(&self, _ids: Vec<i64>, _by_ms: u64) -> Result<(), Error> {
        Ok(())
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        Ok(0)
    }

    async fn purge(&self, _before: PurgeBefore, _rows_max: usize) -> Result<Purged, Error> {
        Ok(Purged { done: true, ..Purged::default() })
    }

    /// No input reaches the operators' listener, so nobody revokes.
    async fn revoke(&self, _revocation: &Revocation, _now_s: i64) -> Result<(), Error> {
        Err(Error::Closed)
    }

    async fn revocations(&self, _now_s: i64) -> Result<Vec<Revocation>, Error> {
        Ok(Vec::new())
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn close(&self) {}
}

impl InMemory {
    fn version_of(&self, key: &Key) -> u64 {
        self.states.lock().expect("no thread panicked").get(key).map_or(0, State::version)
    }
}
