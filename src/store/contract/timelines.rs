//! Timelines.

use serde_json::{Value, json};

use super::events::{event, key, one_by_one, page};
use super::{Place, open, open_with, settings};
use crate::payment::Status;
use crate::store::{
    Arrival, ENTRIES_MAX, Entry, Error, EscalatedOrders, Inquiry, Note, NoteKind, PageRef, PaymentStore, PurgeBefore,
};
use crate::telemetry::Transport;

/// What each entry says, times and nodes left out.
fn whats(entries: &[Entry]) -> Vec<Value> {
    entries.iter().map(|entry| Value::Object(entry.what.clone())).collect()
}

fn types(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.what["type"].as_str().unwrap()).collect()
}

async fn entries(store: &dyn PaymentStore, order: &str) -> Vec<Entry> {
    store.timeline(&key(order)).await.unwrap().entries
}

fn arrival(order: &str, id: &str, status: Status, second: u32, received_ms: i64) -> Arrival {
    Arrival { received_ms, ..Arrival::from(event(order, id, status, second)) }
}

fn note(order: &str, at_ms: i64, what: NoteKind) -> Note {
    Note { key: key(order), at_ms, what }
}

fn arrived(id: &str, status: &str, at: &str, redelivered: bool, outcome: &str, version: u64) -> Value {
    json!({
        "type": "arrived", "event_id": id, "status": status, "occurred_at": at, "redelivered": redelivered,
        "outcome": outcome, "version": version,
    })
}

pub(crate) async fn a_timeline_says_what_each_event_did(place: &impl Place) {
    let store = open(place).await;
    let failed = arrival("a", "e1", Status::Failed, 5, 1_000);
    let again = Arrival { redelivered: true, received_ms: 2_000, ..failed.clone() };
    let stale = arrival("a", "e2", Status::Pending, 9, 3_000);
    let canceled = arrival("a", "e3", Status::Canceled, 7, 4_000);
    let mut reused = failed.clone();
    (reused.event.status, reused.received_ms) = (Status::Succeeded, 5_000);
    store.apply(vec![failed, again]).await.unwrap();
    for arrival in [stale, canceled, reused] {
        store.apply(vec![arrival]).await.unwrap();
    }
    store.close().await;

    let store = open(place).await;
    let timeline = store.timeline(&key("a")).await.unwrap();
    let expected = [
        arrived("e1", "failed", "2026-01-31T08:00:05Z", false, "applied", 1),
        arrived("e1", "failed", "2026-01-31T08:00:05Z", true, "duplicate", 1),
        arrived("e2", "pending", "2026-01-31T08:00:09Z", false, "stale", 1),
        arrived("e3", "canceled", "2026-01-31T08:00:07Z", false, "stale", 1),
        json!({
            "type": "conflict", "kinds": ["failed_and_canceled"], "event_id": "e3", "claims": [
                {"event_id": "e1", "status": "failed", "occurred_at": "2026-01-31T08:00:05Z"},
                {"event_id": "e3", "status": "canceled", "occurred_at": "2026-01-31T08:00:07Z"},
            ],
        }),
        arrived("e1", "succeeded", "2026-01-31T08:00:05Z", false, "id_reused", 1),
    ];
    assert_eq!(whats(&timeline.entries), expected);
    let times: Vec<_> = timeline.entries.iter().map(|entry| entry.at_ms).collect();
    assert_eq!(times, [1_000, 2_000, 3_000, 4_000, 4_000, 5_000]);
    assert!(timeline.entries.iter().all(|entry| entry.node == settings().instance));
    assert_eq!(timeline.payment.unwrap(), store.read(&key("a")).await.unwrap().unwrap());
    assert_eq!(timeline.acked_version, 0);
}

pub(crate) async fn a_timeline_says_what_pages_did(place: &impl Place) {
    let store = open(place).await;
    let other = PageRef { transport: Transport::LongPoll, connection: 8 };
    store.apply(vec![arrival("a", "e1", Status::Pending, 1, 1_000)]).await.unwrap();
    store
        .record(vec![
            note("a", 900, NoteKind::Watched(page())),
            note("a", 2_500, NoteKind::Watched(other)),
            note("a", 2_000, NoteKind::Pushed { page: page(), version: 1, after_ms: Some(12) }),
            note("a", 2_600, NoteKind::Pushed { page: other, version: 1, after_ms: None }),
            note("a", 3_000, NoteKind::DeadLettered { event_id: "e9".to_owned(), reason: "id_reused" }),
        ])
        .await
        .unwrap();
    for _ in 0..2 {
        store.acknowledge(&key("a"), 1, other).await.unwrap();
    }
    let timeline = store.timeline(&key("a")).await.unwrap();
    let expected = [
        json!({"type": "watched", "transport": "websocket", "connection": 1, "pages": 2, "last_ms": 2_500}),
        arrived("e1", "pending", "2026-01-31T08:00:01Z", false, "applied", 1),
        json!({"type": "pushed", "transport": "websocket", "connection": 1, "version": 1, "ms": 12}),
        json!({"type": "pushed", "transport": "long_poll", "connection": 8, "version": 1}),
        json!({"type": "dead_lettered", "event_id": "e9", "reason": "id_reused"}),
        json!({"type": "acknowledged", "transport": "long_poll", "connection": 8, "version": 1}),
    ];
    assert_eq!(whats(&timeline.entries), expected);
    assert_eq!(timeline.acked_version, 1);
    store.acknowledge(&key("never"), 1, page()).await.unwrap();
    assert!(entries(&*store, "never").await.is_empty());
}

pub(crate) async fn a_timeline_begins_before_the_first_event(place: &impl Place) {
    let store = open(place).await;
    let nothing = store.timeline(&key("a")).await.unwrap();
    assert!(nothing.payment.is_none() && nothing.entries.is_empty());
    let dead = NoteKind::DeadLettered { event_id: "e0".to_owned(), reason: "unknown_status" };
    store.record(vec![note("a", 10, dead), note("a", 20, NoteKind::Watched(page()))]).await.unwrap();
    store.inquire(vec![Inquiry { key: key("a"), step: 1, waited_s: 5 }]).await.unwrap();
    let timeline = store.timeline(&key("a")).await.unwrap();
    assert!(timeline.payment.is_none());
    assert_eq!(types(&timeline.entries), ["dead_lettered", "watched", "inquired"]);
    one_by_one(&store, [event("a", "e1", Status::Succeeded, 1)]).await;
    store.close().await;
    let store = open(place).await;
    assert_eq!(types(&entries(&*store, "a").await), ["dead_lettered", "watched", "inquired", "arrived"]);
    let inquired = json!({"type": "inquired", "step": 1, "waited_s": 5});
    assert_eq!(whats(&entries(&*store, "a").await)[2], inquired);
    assert!(entries(&*store, "b").await.is_empty());
}

pub(crate) async fn one_commit_records_all_that_is_in_it(place: &impl Place) {
    let store = open(place).await;
    // More orders than a batch and all at once, some of them more than once.
    let apply = |n: u32| {
        let batch = (0..8).map(|m| arrival(&format!("o{m}"), &format!("e{n}"), Status::Pending, n, i64::from(n)));
        store.apply(batch.collect())
    };
    let noted =
        (0..8).map(|m| note(&format!("o{m}"), 100, NoteKind::Pushed { page: page(), version: 1, after_ms: None }));
    futures_util::future::join_all((0..20).map(apply)).await.into_iter().for_each(|outcomes| {
        outcomes.unwrap();
    });
    store.record(noted.collect()).await.unwrap();
    for m in 0..8 {
        let entries = entries(&*store, &format!("o{m}")).await;
        assert_eq!(entries.len(), 21);
        assert_eq!(entries[20].what["type"], "pushed");
        assert!(entries[..20].is_sorted_by_key(|entry| entry.at_ms));
    }
}

pub(crate) async fn a_timeline_keeps_its_latest_entries(place: &impl Place) {
    let store = open(place).await;
    let seen = ENTRIES_MAX + ENTRIES_MAX / 2;
    let same = |n: usize| arrival("a", "e1", Status::Pending, 1, i64::try_from(n).unwrap());
    for from in (0..seen).step_by(50) {
        store.apply((from..from + 50).map(same).collect()).await.unwrap();
    }
    let entries = entries(&*store, "a").await;
    assert_eq!(entries.len(), ENTRIES_MAX);
    assert_eq!(entries[ENTRIES_MAX - 1].at_ms, i64::try_from(seen - 1).unwrap());
    assert!(entries.is_sorted_by_key(|entry| entry.at_ms));
}

pub(crate) async fn switched_off_nothing_is_recorded_and_all_else_is_as_before(place: &impl Place) {
    let off = super::Settings { timeline: false, ..settings() }.escalating(60_000, EscalatedOrders::Watched);
    let store = open_with(place, off).await;
    store.record(vec![note("a", 10, NoteKind::Watched(page()))]).await.unwrap();
    store.apply(vec![arrival("a", "e1", Status::Succeeded, 1, 1_000)]).await.unwrap();
    let pushed = NoteKind::Pushed { page: page(), version: 1, after_ms: None };
    let dead = NoteKind::DeadLettered { event_id: "e0".to_owned(), reason: "unknown_status" };
    store.record(vec![note("a", 1_001, pushed), note("b", 1_001, dead)]).await.unwrap();
    store.inquire(vec![Inquiry { key: key("b"), step: 1, waited_s: 5 }]).await.unwrap();
    assert_eq!(store.escalate(61_000, 10).await.unwrap().messages, 1);
    store.acknowledge(&key("a"), 1, page()).await.unwrap();
    let keys: Vec<_> = store.outbox_lease(10, 1_000).await.unwrap().into_iter().map(|m| m.routing_key).collect();
    assert_eq!(keys, ["payment.inquiry", "payment.undelivered", "payment.delivered"]);
    let timeline = store.timeline(&key("a")).await.unwrap();
    assert!(types(&timeline.entries).iter().all(|kind| *kind == "watched"), "{:?}", timeline.entries);
    assert_eq!((timeline.acked_version, timeline.payment.unwrap().version), (1, 1));
}

pub(crate) async fn a_closed_store_records_nothing(place: &impl Place) {
    let store = open(place).await;
    store.close().await;
    assert!(matches!(store.record(vec![note("a", 1, NoteKind::Watched(page()))]).await, Err(Error::Closed)));
    assert!(matches!(store.timeline(&key("a")).await, Err(Error::Closed)));
    assert!(matches!(store.escalate(1, 1).await, Err(Error::Closed)));
    let inquiry = Inquiry { key: key("a"), step: 1, waited_s: 5 };
    assert!(matches!(store.inquire(vec![inquiry]).await, Err(Error::Closed)));
    assert!(matches!(store.outbox_lease(1, 1).await, Err(Error::Closed)));
    assert!(matches!(store.outbox_remove(vec![1]).await, Err(Error::Closed)));
    assert!(matches!(store.outbox_len().await, Err(Error::Closed)));
    assert!(matches!(store.outbox_postpone(vec![1], 1).await, Err(Error::Closed)));
    let before = PurgeBefore { payments_ms: 1, entries_ms: 1, unknown_ms: 1 };
    assert!(matches!(store.purge(before, 1).await, Err(Error::Closed)));
}
