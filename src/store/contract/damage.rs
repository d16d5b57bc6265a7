//! A payment that cannot be read or written is the concern of that payment alone.

use super::events::{event, key, page};
use super::{Place, open};
use crate::payment::{Change, Status};
use crate::store::{Acknowledgement, Applied, Arrival, Error, Inquiry, Note, Noted};

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
    let watched = |order: &str| Note { key: key(order), at_ms: 1_000, what: Noted::Watched(page()) };
    store.note(vec![watched("o3"), watched("o4"), watched("o5")]).await.unwrap();
    for order in ["o4", "o5"] {
        let story = store.story(&key(order)).await.unwrap();
        assert!(story.entries.iter().any(|entry| entry.what["type"] == "watched"), "{order}: {story:?}");
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
