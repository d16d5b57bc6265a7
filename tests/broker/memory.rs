//! A store in memory that fails on demand.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use payment_notifier::payment::{Key, MerchantId, Merged, OrderId, Payment, State};
use payment_notifier::store::{
    Acknowledgement, Applied, Arrival, Error, Escalated, FoundOrders, Inquiry, Note, OrderSummary, Outcome, Outgoing,
    PageRef, PaymentStore, PurgeBefore, Purged, Revocation, Timeline,
};
use tokio::sync::RwLock;

pub(crate) struct Memory {
    states: Mutex<HashMap<Key, State>>,
    /// Attempts still to be refused, unchanged.
    pub(crate) refusing: AtomicUsize,
    /// Attempts still to be taken and answered with an error all the same.
    pub(crate) ambiguous: AtomicUsize,
    /// Readings still to be refused.
    pub(crate) unreadable: AtomicUsize,
    /// While set, `check` says that nothing works.
    pub(crate) down: AtomicBool,
    pub(crate) attempts: AtomicUsize,
    pub(crate) largest_batch: AtomicUsize,
    /// Messages of the outbox that were put aside.
    pub(crate) postponed: AtomicUsize,
    /// Whoever writes it makes commits hang.
    pub(crate) gate: RwLock<()>,
    pub(crate) notes: Mutex<Vec<Note>>,
    /// The order whose notes are refused, with all that come along; after each time the next attempt is refused unchanged.
    pub(crate) refused: Mutex<Option<Key>>,
    /// Each message with the time until which it is taken.
    outbox: Mutex<BTreeMap<i64, (Outgoing, Option<Instant>)>>,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            states: Mutex::default(),
            refusing: AtomicUsize::new(0),
            ambiguous: AtomicUsize::new(0),
            unreadable: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            attempts: AtomicUsize::new(0),
            largest_batch: AtomicUsize::new(0),
            postponed: AtomicUsize::new(0),
            gate: RwLock::new(()),
            notes: Mutex::default(),
            refused: Mutex::default(),
            outbox: Mutex::default(),
        })
    }

    pub(crate) fn put(&self, outgoing: Outgoing) {
        self.outbox.lock().unwrap().insert(outgoing.id, (outgoing, None));
    }

    pub(crate) fn outbox_is_empty(&self) -> bool {
        self.outbox.lock().unwrap().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.states.lock().unwrap().len()
    }

    pub(crate) fn version(&self, key: &Key) -> Option<u64> {
        self.states.lock().unwrap().get(key).map(State::version)
    }
}

fn counts_down(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

#[async_trait]
impl PaymentStore for Memory {
    async fn apply(&self, batch: Vec<Arrival>) -> Result<Vec<Applied>, Error> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        self.largest_batch.fetch_max(batch.len(), Ordering::SeqCst);
        let _open = self.gate.read().await;
        if counts_down(&self.refusing) {
            return Err(Error::Unavailable("disk full".into()));
        }
        let mut states = self.states.lock().unwrap();
        let mut outcomes = Vec::new();
        for Arrival { event, .. } in batch {
            let (Merged { change, conflicts, claims }, payment) = match states.get_mut(&event.key) {
                Some(state) => {
                    let merged = state.merge(event);
                    (merged, state.payment())
                }
                None => {
                    let state = State::first(event);
                    let payment = state.payment();
                    states.insert(payment.key.clone(), state);
                    (Merged::FIRST, payment)
                }
            };
            outcomes.push(Ok(Outcome { change, conflicts, claims, payment: Arc::new(payment) }));
        }
        if counts_down(&self.ambiguous) {
            return Err(Error::Unavailable("answer lost".into()));
        }
        Ok(outcomes)
    }

    async fn read(&self, key: &Key) -> Result<Option<Arc<Payment>>, Error> {
        if counts_down(&self.unreadable) {
            return Err(Error::Overloaded);
        }
        Ok(self.states.lock().unwrap().get(key).map(|state| Arc::new(state.payment())))
    }

    async fn acknowledge(&self, _key: &Key, _version: u64, _by: PageRef) -> Result<Acknowledgement, Error> {
        Ok(Acknowledgement::NoSuchVersion)
    }

    async fn record(&self, notes: Vec<Note>) -> Result<(), Error> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.read().await;
        if counts_down(&self.refusing) {
            return Err(Error::Unavailable("disk full".into()));
        }
        if notes.iter().any(|note| Some(&note.key) == self.refused.lock().unwrap().as_ref()) {
            self.refusing.store(1, Ordering::SeqCst);
            return Err(Error::Refused("one row".into()));
        }
        self.notes.lock().unwrap().extend(notes);
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

    async fn outbox_lease(&self, messages_max: usize, lease_ms: u64) -> Result<Vec<Outgoing>, Error> {
        let now = Instant::now();
        let mut outbox = self.outbox.lock().unwrap();
        let free = outbox.values_mut().filter(|(_, until)| until.is_none_or(|until| until <= now));
        let taken = free.take(messages_max).map(|(outgoing, until)| {
            *until = Some(now + Duration::from_millis(lease_ms));
            outgoing.clone()
        });
        Ok(taken.collect())
    }

    async fn outbox_remove(&self, ids: Vec<i64>) -> Result<(), Error> {
        let _open = self.gate.read().await;
        if counts_down(&self.refusing) {
            return Err(Error::Unavailable("disk full".into()));
        }
        let mut outbox = self.outbox.lock().unwrap();
        ids.iter().for_each(|id| drop(outbox.remove(id)));
        Ok(())
    }

    async fn outbox_postpone(&self, ids: Vec<i64>, by_ms: u64) -> Result<(), Error> {
        self.postponed.fetch_add(ids.len(), Ordering::SeqCst);
        let until = Some(Instant::now() + Duration::from_millis(by_ms));
        let mut outbox = self.outbox.lock().unwrap();
        for id in ids {
            outbox.entry(id).and_modify(|(_, leased)| *leased = until);
        }
        Ok(())
    }

    async fn outbox_len(&self) -> Result<u64, Error> {
        Ok(u64::try_from(self.outbox.lock().unwrap().len()).unwrap())
    }

    async fn purge(&self, _before: PurgeBefore, _rows_max: usize) -> Result<Purged, Error> {
        Ok(Purged { done: true, ..Purged::default() })
    }

    async fn revoke(&self, _revocation: &Revocation, _now_s: i64) -> Result<(), Error> {
        Err(Error::Unavailable("the broker's side revokes nothing".into()))
    }

    async fn revocations(&self, _now_s: i64) -> Result<Vec<Revocation>, Error> {
        Ok(Vec::new())
    }

    async fn check(&self) -> Result<(), Error> {
        if self.down.load(Ordering::SeqCst) { Err(Error::Unavailable("no disk".into())) } else { Ok(()) }
    }

    async fn close(&self) {}
}
