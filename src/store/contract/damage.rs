//! A payment that cannot be read or written is the concern of that payment alone.

use super::events::{event, key, page};
use super::{Place, open, open_with, settings};
use crate::payment::{Change, Status};
use crate::store::{
    Acknowledgement, Applied, Arrival, Error, Escalated, EscalatedOrders, Inquiry, Note, NoteKind, PaymentStore,
    PurgeBefore, Purged,
};

/// What makes the row of an order one that no state can be read from, and what puts it right.
fn damage(order: &str) -> String {
    format!("UPDATE payments SET state = '!' || state WHERE order_id = '{order}'")
}

fn repair(order: &str) -> String {
    format!("UPDATE payments SET state = substr(state, 2) WHERE order_id = '{order}'")
}

fn order(n: u32) -> String {
    format!("o{n}")
}

/// Two events of each of `orders`, and one of as many that nothing was heard of.
fn batch(orders: std::ops::Range<u32>) -> Vec<Arrival> {
    let twice = [("e2", Status::Processing, 2), ("e3", Status::Succeeded, 3)];
    let known = twice.into_iter().flat_map(|(id, status, second)| {
        orders.clone().map(move |n| Arrival::from(event(&order(n), id, status, second)))
    });
    let new = orders.clone().map(|n| Arrival::from(event(&format!("new-{n}"), "e1", Status::Pending, 1)));
    known.chain(new).collect()
}

/// The orders of those that were refused; all others were applied.
fn refused(batch: &[Arrival], applied: &[Applied], how: impl Fn(&Error, &str) -> bool) -> Vec<String> {
    assert_eq!(batch.len(), applied.len());
    let mut refused = Vec::new();
    for (arrival, applied) in batch.iter().zip(applied) {
        let order = arrival.event.key.order_id.as_str();
        match applied {
            Ok(outcome) => {
                assert_eq!((outcome.change, &outcome.payment.key), (Change::Applied, &arrival.event.key));
            }
            Err(error) => {
                assert!(how(error, order), "{order}: {error}");
                refused.push(order.to_owned());
            }
        }
    }
    refused
}

pub(crate) async fn a_payment_that_cannot_be_read_holds_up_no_other(place: &impl Place) {
    let store = open(place).await;
    store.apply((0..20).map(|n| Arrival::from(event(&order(n), "e1", Status::Pending, 1))).collect()).await.unwrap();
    for n in [3, 7] {
        place.execute(&damage(&order(n))).await;
    }
    let names = |error: &Error, order: &str| matches!(error, Error::Corrupt(why) if why.contains(&format!("merchant shop order {order}:")));
    let all = batch(0..20);
    let applied = store.apply(all.clone()).await.unwrap();
    assert_eq!(refused(&all, &applied, names), ["o3", "o7", "o3", "o7"]);
    let again = store.apply(batch(3..4)).await.unwrap();
    assert!(again[..2].iter().all(|applied| applied.as_ref().is_err_and(|error| names(error, "o3"))));

    let (o3, o4) = (key("o3"), key("o4"));
    let (damaged, sound) = tokio::join!(store.acknowledge(&o3, 1, page()), store.acknowledge(&o4, 3, page()));
    assert!(names(&damaged.unwrap_err(), "o3"));
    assert_eq!(sound.unwrap(), Acknowledgement::First);
    assert!(names(&store.read(&o3).await.unwrap_err(), "o3"));
    assert!(names(&store.read_many(&[o4.clone(), o3.clone()]).await.unwrap_err(), "o3"));
    let watched = |order: &str| Note { key: key(order), at_ms: 1_000, what: NoteKind::Watched(page()) };
    store.record(vec![watched("o3"), watched("o4"), watched("o5")]).await.unwrap();
    for order in ["o4", "o5"] {
        let timeline = store.timeline(&key(order)).await.unwrap();
        assert!(timeline.entries.iter().any(|entry| entry.what["type"] == "watched"), "{order}: {timeline:?}");
    }
    let inquiry = |order: &str| Inquiry { key: key(order), step: 1, waited_s: 5 };
    let inquiries = ["o3", "new-1", "o7", "new-2"].map(inquiry).to_vec();
    assert_eq!(store.inquire(inquiries).await.unwrap(), 2);
    store.close().await;

    let store = open(place).await;
    assert_eq!(store.read(&key("o4")).await.unwrap().unwrap().version, 3);
    place.execute(&repair("o3")).await;
    let applied = store.apply(batch(3..4)).await.unwrap();
    let versions: Vec<_> = applied.iter().map(|applied| applied.as_ref().unwrap().payment.version).collect();
    assert_eq!(versions, [2, 3, 1], "nothing of the event was kept while it was refused");
    place.execute("DELETE FROM payments WHERE order_id = 'o7'").await;
    let applied = store.apply(batch(7..8)).await.unwrap();
    assert_eq!(applied[0].as_ref().unwrap().payment.version, 1);
}

pub(crate) async fn a_payment_that_cannot_be_written_holds_up_no_other(place: &impl Place) {
    let store = open(place).await;
    store.apply((0..200).map(|n| Arrival::from(event(&order(n), "e1", Status::Pending, 1))).collect()).await.unwrap();
    place.refuse(&["o0", "o150"]).await;
    let all = batch(0..200);
    let applied = store.apply(all.clone()).await.unwrap();
    let by_rule =
        |error: &Error, _order: &str| matches!(error, Error::Refused(why) if why.contains("a rule of its own"));
    assert_eq!(refused(&all, &applied, by_rule), ["o0", "o150", "o0", "o150"]);
    let (o0, o1) = (key("o0"), key("o1"));
    let (refused, taken) = tokio::join!(store.acknowledge(&o0, 1, page()), store.acknowledge(&o1, 3, page()));
    assert!(by_rule(&refused.unwrap_err(), "o0"));
    assert_eq!(taken.unwrap(), Acknowledgement::First);
    assert_eq!(store.read(&o0).await.unwrap().unwrap().version, 1, "it can be read all the same");

    place.refuse_nothing().await;
    let applied = store.apply(batch(0..1)).await.unwrap();
    assert_eq!(applied[1].as_ref().unwrap().payment.version, 3);
}

/// Looks for what is undelivered until nothing is, a few at a time.
async fn escalate(store: &dyn PaymentStore, now_ms: i64) -> Escalated {
    let mut all = Escalated::default();
    for _ in 0..100 {
        let step = store.escalate(now_ms, 4).await.unwrap();
        assert!(step.messages <= 4, "{step:?}");
        all.messages += step.messages;
        all.damaged += step.damaged;
        if step.done {
            return Escalated { done: true, ..all };
        }
    }
    panic!("without end: {all:?}");
}

pub(crate) async fn damaged_results_do_not_keep_those_of_others_from_being_escalated(place: &impl Place) {
    let store = open_with(place, settings().escalating(60_000, EscalatedOrders::All)).await;
    let paid = |n: u32| Arrival {
        received_ms: i64::from(n) * 100,
        ..Arrival::from(event(&order(n), "e1", Status::Succeeded, 1))
    };
    store.apply((0..50).map(paid).collect()).await.unwrap();
    // More than one look takes, and the oldest of all.
    for n in 0..40 {
        place.execute(&damage(&order(n))).await;
    }
    place.refuse(&["o44", "o46"]).await;
    let undelivered = |messages, damaged| Escalated { messages, damaged, done: true };
    assert_eq!(escalate(&*store, 65_000).await, undelivered(8, 42));
    assert_eq!(escalate(&*store, 65_000).await, undelivered(0, 0), "those are not looked at again at once");
    let late = Arrival { received_ms: 70_000, ..Arrival::from(event("late", "e1", Status::Succeeded, 1)) };
    store.apply(vec![late]).await.unwrap();
    assert_eq!(escalate(&*store, 130_000).await, undelivered(1, 0));
    assert_eq!(store.outbox_len().await.unwrap(), 9);
    store.close().await;
    place.refuse_nothing().await;
    for n in 0..39 {
        place.execute(&repair(&order(n))).await;
    }
    let store = open_with(place, settings().escalating(60_000, EscalatedOrders::All)).await;
    assert_eq!(escalate(&*store, 130_000).await, undelivered(41, 1), "it is not forgotten of those that are put right");
}

pub(crate) async fn a_payment_that_cannot_be_removed_stays_alone(place: &impl Place) {
    let store = open(place).await;
    store.apply((0..30).map(|n| Arrival::from(event(&order(n), "e1", Status::Pending, 1))).collect()).await.unwrap();
    place.execute(&damage("o9")).await;
    place.refuse(&["o0", "o1", "o7", "o29"]).await;
    let before = PurgeBefore { payments_ms: 4_000_000_000_000, entries_ms: i64::MIN, unknown_ms: i64::MIN };
    let mut all = Purged::default();
    for _ in 0..100 {
        let step = store.purge(before, 4).await.unwrap();
        all.payments += step.payments;
        all.damaged += step.damaged;
        if step.done {
            all.done = true;
            break;
        }
    }
    assert_eq!(all, Purged { payments: 26, damaged: 4, entries: 0, done: true });
    let timeline = store.timeline(&key("o7")).await.unwrap();
    assert!(timeline.payment.is_some() && timeline.entries.len() == 1, "with all that belongs to it: {timeline:?}");
    for gone in ["o8", "o9", "o28"] {
        assert!(store.timeline(&key(gone)).await.unwrap().payment.is_none(), "{gone}");
    }
}
