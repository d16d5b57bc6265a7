//! A COMMIT that is done and whose answer never comes: each thing counts as done, and once.

use std::time::{Duration, Instant};

use super::proxy::{Loss, PostgresProxy};
use super::*;
use crate::payment::Change;
use crate::store::{NoteKind, Outcome};
use crate::telemetry::Transport;

const DEADLINE: Duration = Duration::from_secs(60);
const PAGE: PageRef = PageRef { transport: Transport::Sse, connection: 7 };

/// A store whose answers may be lost.
struct Place {
    database: Database,
    proxy: PostgresProxy,
    store: Postgres,
    loss: Loss,
}

impl Place {
    async fn new(loss: Loss) -> Self {
        let database = Database::create().await;
        let proxy = PostgresProxy::start(&database.url());
        // An answer that is not to come is waited for.
        let options = Options { timeout_s: if loss == Loss::Silence { 2 } else { 30 }, ..OPTIONS.clone() };
        let store = Postgres::open(&proxy.url(&database.url()), &options).unwrap();
        again(|| store.check()).await;
        Self { database, proxy, store, loss }
    }

    /// Asks, and asks again where there is no answer. The first COMMIT is done and not answered.
    async fn lost<T, F>(&self, ask: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, Error>>,
    {
        let before = self.proxy.lost();
        self.proxy.lose_commit_after("BEGIN", self.loss);
        let answer = again(ask).await;
        assert_eq!(self.proxy.lost(), before + 1, "an answer was lost");
        answer
    }

    async fn kinds(&self, order: &str) -> Vec<String> {
        let timeline = again(|| async { self.store.timeline(&key(order)).await }).await;
        let kind = |entry: &crate::store::Entry| {
            entry.what.get("outcome").unwrap_or(&entry.what["type"]).as_str().unwrap().to_owned()
        };
        timeline.entries.iter().map(kind).collect()
    }
}

async fn again<T, F>(ask: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(matches!(error, Error::Unavailable(_)) && Instant::now() < deadline, "{error}");
            }
        }
    }
}

fn each(applied: Vec<Applied>) -> Vec<Outcome> {
    applied.into_iter().map(Result::unwrap).collect()
}

fn changes(outcomes: &[Outcome]) -> Vec<Change> {
    outcomes.iter().map(|outcome| outcome.change).collect()
}

async fn events_count_as_what_they_did(loss: Loss) {
    let place = Place::new(loss).await;
    let store = &place.store;
    let failed = event("a", "e1", Status::Failed, 5);
    let batch = [failed.clone(), failed, event("a", "e2", Status::Canceled, 7), event("b", "e1", Status::Succeeded, 1)];
    let arrivals: Vec<_> = batch.iter().cloned().map(Arrival::from).collect();
    let outcomes = each(place.lost(|| store.apply(arrivals.clone())).await);
    assert_eq!(changes(&outcomes), [Change::Applied, Change::Duplicate, Change::Stale, Change::Applied]);
    assert_eq!(outcomes.iter().map(|outcome| outcome.conflicts.iter().count()).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(place.kinds("a").await, ["applied", "duplicate", "stale", "conflict"]);
    assert_eq!(place.kinds("b").await, ["applied"]);
    assert_eq!(again(|| store.outbox_len()).await, 1, "the conflict is published once");
    // What comes again after that is what it is.
    let outcomes = each(again(|| store.apply(arrivals.clone())).await);
    assert_eq!(changes(&outcomes), [Change::Duplicate; 4]);
    assert!(outcomes.iter().all(|outcome| outcome.conflicts.is_empty()));
    // Done by another node in between, it is done all the same; what is new is new.
    let more = vec![event("b", "e2", Status::Succeeded, 2), event("c", "e1", Status::Pending, 1)];
    let outcomes = again(|| store.apply_events(more.clone())).await;
    assert_eq!(changes(&outcomes), [Change::Stale, Change::Applied]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_whose_commit_was_not_answered_count_as_what_they_did() {
    for loss in [Loss::Cut, Loss::Silence] {
        events_count_as_what_they_did(loss).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_and_notes_whose_commit_was_not_answered_are_told_once() {
    for loss in [Loss::Cut, Loss::Silence] {
        let place = Place::new(loss).await;
        let store = &place.store;
        again(|| store.apply_events(vec![event("a", "e1", Status::Succeeded, 1)])).await;
        let a = key("a");
        let first = place.lost(|| store.acknowledge(&a, 1, PAGE)).await;
        assert_eq!(first, Acknowledgement::First);
        assert_eq!(again(|| store.acknowledge(&a, 1, PAGE)).await, Acknowledgement::Known);
        let note = |what| Note { key: key("a"), at_ms: unix_ms(), what };
        let dead = NoteKind::DeadLettered { event_id: "e0".to_owned(), reason: "unknown_status" };
        let notes =
            [NoteKind::Watched(PAGE), NoteKind::Pushed { page: PAGE, version: 1, after_ms: Some(1) }, dead].map(note);
        place.lost(|| store.record(notes.to_vec())).await;
        let mut kinds = place.kinds("a").await;
        kinds.sort_unstable();
        assert_eq!(kinds, ["acknowledged", "applied", "dead_lettered", "pushed", "watched"]);
        let timeline = again(|| store.timeline(&a)).await;
        let watched = timeline.entries.iter().find(|entry| entry.what["type"] == "watched").unwrap();
        assert_eq!(watched.what["pages"], 1, "{watched:?}");
        assert_eq!(again(|| store.outbox_len()).await, 1, "delivered, once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_and_removed_with_a_commit_that_was_not_answered_counts_once() {
    for loss in [Loss::Cut, Loss::Silence] {
        let place = Place::new(loss).await;
        let store = &place.store;
        let notes = ["a", "b"].map(|order| Note { key: key(order), at_ms: 0, what: NoteKind::Watched(PAGE) });
        again(|| store.record(notes.to_vec())).await;
        let paid = ["a", "b"].map(|order| event(order, "e1", Status::Succeeded, 1)).to_vec();
        again(|| store.apply_events(paid.clone())).await;
        let late_ms = unix_ms() + 600_000;
        assert_eq!(place.lost(|| store.escalate(late_ms, 10)).await.messages, 2);
        assert_eq!(again(|| store.escalate(late_ms, 10)).await.messages, 0);
        let inquiries: Vec<_> = (1..=3).map(|step| Inquiry { key: key("c"), step, waited_s: 5 }).collect();
        assert_eq!(place.lost(|| store.inquire(inquiries.clone())).await, 3);
        assert_eq!(again(|| store.inquire(inquiries.clone())).await, 0);
        let taken = place.lost(|| store.outbox_lease(10, 600_000)).await;
        assert_eq!(taken.len(), 5, "what was leased by an attempt is not held back until the lease is over");
        assert_eq!(again(|| store.outbox_lease(10, 600_000)).await, [], "and is taken once");
        let ids: Vec<_> = taken.iter().map(|message| message.id).collect();
        again(|| store.outbox_remove(ids.clone())).await;
        assert_eq!(again(|| store.outbox_len()).await, 0);
        let before = PurgeBefore { payments_ms: late_ms, entries_ms: 0, unknown_ms: 0 };
        let purged = place.lost(|| store.purge(before, 10)).await;
        assert_eq!(purged.payments, 2);
        let revocation = Revocation { revoked: crate::store::Revoked::Order(key("a")), until_s: 100 };
        place.lost(|| store.revoke(&revocation, 1)).await;
        assert_eq!(again(|| store.revocations(1)).await, [revocation]);
        let left = Postgres::open(&place.database.url(), &OPTIONS).unwrap();
        assert!(left.read(&key("a")).await.unwrap().is_none());
    }
}
