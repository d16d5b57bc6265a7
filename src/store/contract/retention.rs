//! What is removed, and when.

use super::events::{event, key, page};
use super::{Place, open_with, settings};
use crate::payment::{Change, Status};
use crate::runtime::unix_ms;
use crate::store::{Arrival, ENTRIES_MAX, EscalatedOrders, Inquiry, Note, NoteKind, PaymentStore, PurgeBefore, Purged};

/// Later than anything that a test writes.
const LATER_MS: i64 = 4_000_000_000_000;
const ROWS_MAX: usize = 7;

fn arrival(order: &str, id: &str, received_ms: i64) -> Arrival {
    Arrival { received_ms, ..Arrival::from(event(order, id, Status::Pending, 1)) }
}

/// Retires until it is done. No step takes more than it may.
async fn purge(store: &dyn PaymentStore, payments_ms: i64, entries_ms: i64) -> Purged {
    purge_before(store, PurgeBefore { payments_ms, entries_ms, unknown_ms: payments_ms }).await
}

async fn purge_before(store: &dyn PaymentStore, before: PurgeBefore) -> Purged {
    let mut all = Purged::default();
    for _ in 0..1_000 {
        let step = store.purge(before, ROWS_MAX).await.unwrap();
        assert!(step.payments <= ROWS_MAX && step.entries <= ROWS_MAX, "{step:?}");
        all.payments += step.payments;
        all.entries += step.entries;
        all.damaged += step.damaged;
        if step.done {
            return Purged { done: true, ..all };
        }
    }
    panic!("without end: {all:?}");
}

/// Waits until the clock shows another millisecond.
fn tick() -> i64 {
    let before = unix_ms();
    while unix_ms() <= before {
        std::thread::yield_now();
    }
    unix_ms()
}

pub(crate) async fn old_payments_go_with_all_that_belongs_to_them(place: &impl Place) {
    let store = open_with(place, settings().escalating(60_000, EscalatedOrders::All)).await;
    let orders: Vec<_> = (0..30).map(|n| format!("o{n}")).collect();
    for order in &orders {
        store.apply(vec![arrival(order, "e1", 1_000)]).await.unwrap();
    }
    let watched = |order: &str| Note { key: key(order), at_ms: 900, what: NoteKind::Watched(page()) };
    store.record(vec![watched("o3"), watched("o29"), watched("never-heard-of")]).await.unwrap();
    let before_ms = tick();
    // These change after it, and one is made after it.
    for order in ["o4", "o20"] {
        store.apply(vec![arrival(order, "e2", 1_000)]).await.unwrap();
    }
    store.apply(vec![arrival("young", "e1", 1_000)]).await.unwrap();
    let removed = |payments| Purged { payments, done: true, ..Purged::default() };
    assert_eq!(purge(&*store, 0, 0).await, removed(0));
    assert_eq!(purge(&*store, before_ms, 0).await, removed(28));
    assert_eq!(purge(&*store, before_ms, 0).await, removed(0));
    for order in orders.iter().map(String::as_str).chain(["young"]) {
        let timeline = store.timeline(&key(order)).await.unwrap();
        let stays = ["o4", "o20", "young"].contains(&order);
        assert_eq!(store.read(&key(order)).await.unwrap().is_some(), stays, "{order}");
        assert_eq!((timeline.payment.is_some(), !timeline.entries.is_empty()), (stays, stays), "{order}: {timeline:?}");
    }
    assert!(store.timeline(&key("never-heard-of")).await.unwrap().entries.is_empty());
    let again = store.apply(vec![arrival("o3", "e1", 1_000)]).await.unwrap();
    let again = again[0].as_ref().unwrap();
    assert_eq!((again.change, again.payment.version), (Change::Applied, 1), "as if it had never been");
    assert_eq!(store.timeline(&key("o3")).await.unwrap().entries.len(), 1);
}

pub(crate) async fn old_entries_go_and_their_payment_stays(place: &impl Place) {
    let store = open_with(place, settings()).await;
    for n in 0..40 {
        store.apply(vec![arrival(&format!("o{}", n % 2), &format!("e{n}"), n)]).await.unwrap();
    }
    assert_eq!(purge(&*store, 0, 30).await, Purged { entries: 30, done: true, ..Purged::default() });
    for order in ["o0", "o1"] {
        let timeline = store.timeline(&key(order)).await.unwrap();
        assert_eq!(timeline.payment.unwrap().key, key(order));
        assert_eq!(timeline.entries.len(), 5);
        assert!(timeline.entries.iter().all(|entry| entry.at_ms >= 30));
    }
    assert_eq!(purge(&*store, 0, 40).await.entries, 10);
    store.apply(vec![arrival("o0", "e0", 50)]).await.unwrap();
    assert_eq!(store.timeline(&key("o0")).await.unwrap().entries[0].what["outcome"], "duplicate");
}

pub(crate) async fn what_waits_to_be_published_outlives_its_payment(place: &impl Place) {
    let store = open_with(place, settings().escalating(60_000, EscalatedOrders::All)).await;
    let failed = Arrival { received_ms: 1_000, ..Arrival::from(event("a", "e1", Status::Failed, 1)) };
    store.apply(vec![failed]).await.unwrap();
    store.inquire(vec![Inquiry { key: key("b"), step: 1, waited_s: 5 }]).await.unwrap();
    assert_eq!(store.escalate(LATER_MS, 10).await.unwrap().messages, 1);
    assert_eq!(purge(&*store, LATER_MS, LATER_MS).await.payments, 1);
    assert!(store.timeline(&key("b")).await.unwrap().entries.is_empty());
    assert_eq!(store.outbox_len().await.unwrap(), 2);
    assert_eq!(store.escalate(LATER_MS, 10).await.unwrap().messages, 0);
}

pub(crate) async fn purging_stands_in_nobodys_way(place: &impl Place) {
    let store = open_with(place, settings()).await;
    let applying = async {
        for n in 0..100 {
            let batch = (0..5).map(|m| arrival(&format!("o{}", (n * 7 + m * 3) % 20), &format!("e{n}"), n)).collect();
            assert_eq!(store.apply(batch).await.unwrap().len(), 5);
        }
    };
    let purging = async {
        for _ in 0..100 {
            let before = PurgeBefore { payments_ms: LATER_MS, entries_ms: LATER_MS, unknown_ms: LATER_MS };
            store.purge(before, ROWS_MAX).await.unwrap();
        }
    };
    tokio::join!(applying, purging);
    purge(&*store, LATER_MS, LATER_MS).await;
    for n in 0..20 {
        let timeline = store.timeline(&key(&format!("o{n}"))).await.unwrap();
        assert!(timeline.payment.is_none() && timeline.entries.is_empty(), "{timeline:?}");
    }
}

pub(crate) async fn an_order_of_many_events_keeps_little_more_than_it_shows(place: &impl Place) {
    let store = open_with(place, settings()).await;
    for turn in 0..40 {
        // Two of one order to one of another each time: a rhythm.
        let batch =
            (0..100).flat_map(|_| ["hot", "warm", "hot"].map(|order| arrival(order, &format!("e{turn}"), turn)));
        store.apply(batch.collect()).await.unwrap();
    }
    // Nor does an order keep more of which nothing but bad messages is known.
    let dead = |n: i64| {
        let what = NoteKind::DeadLettered { event_id: format!("e{n}"), reason: "unknown_status" };
        Note { key: key("unknown"), at_ms: n, what }
    };
    for from in (0..2_000).step_by(200) {
        store.record((from..from + 200).map(dead).collect()).await.unwrap();
    }
    for order in ["hot", "warm", "unknown"] {
        assert_eq!(store.timeline(&key(order)).await.unwrap().entries.len(), ENTRIES_MAX, "{order}");
    }
    let kept = purge(&*store, 0, LATER_MS).await.entries;
    assert!(kept < ENTRIES_MAX * 2 * 3, "{kept} of 14,000 entries");
}

pub(crate) async fn what_is_known_of_an_order_without_a_payment_goes_whatever_is_kept_of_payments(place: &impl Place) {
    let store = open_with(place, settings()).await;
    let note = |order: &str, at_ms, what| Note { key: key(order), at_ms, what };
    let dead = || NoteKind::DeadLettered { event_id: "e0".to_owned(), reason: "unknown_status" };
    let pushed = NoteKind::Pushed { page: page(), version: 1, after_ms: None };
    store.apply(vec![arrival("paid", "e1", 1_000)]).await.unwrap();
    let of_unknown = ["dead-1", "dead-2", "dead-3"].map(|order| note(order, 2_000, dead()));
    store.record(of_unknown.to_vec()).await.unwrap();
    store.record(vec![note("waited", 2_000, NoteKind::Watched(page())), note("waited", 2_100, dead())]).await.unwrap();
    store.record(vec![note("paid", 2_000, dead()), note("paid", 2_000, NoteKind::Watched(page()))]).await.unwrap();
    store.record(vec![note("dead-2", 9_000, dead()), note("never", 2_000, pushed)]).await.unwrap();
    assert!(store.timeline(&key("never")).await.unwrap().entries.is_empty(), "there is nothing that it could go with");
    for n in 0..20 {
        store.record(vec![note(&format!("many-{n}"), 2_000, dead())]).await.unwrap();
    }
    // Everything else for ever.
    let before = PurgeBefore { payments_ms: i64::MIN, entries_ms: i64::MIN, unknown_ms: 5_000 };
    assert_eq!(purge_before(&*store, before).await, Purged { done: true, ..Purged::default() });
    for (order, entries) in [("dead-1", 0), ("dead-2", 2), ("dead-3", 0), ("waited", 0), ("many-19", 0), ("paid", 3)] {
        assert_eq!(store.timeline(&key(order)).await.unwrap().entries.len(), entries, "{order}");
    }
    let before = PurgeBefore { unknown_ms: 10_000, ..before };
    purge_before(&*store, before).await;
    assert!(store.timeline(&key("dead-2")).await.unwrap().entries.is_empty());
    assert_eq!(store.timeline(&key("paid")).await.unwrap().entries.len(), 3);
}
