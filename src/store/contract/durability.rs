//! What outlives what.

use super::events::{changes, event, fen_of, key, one_by_one, page, versions};
use super::{Place, open};
use crate::payment::{Change, Event, Status};
use crate::store::{Acknowledgement, Error};

pub(crate) async fn a_page_acknowledges_versions_that_exist(place: &impl Place) {
    let store = open(place).await;
    assert_eq!(store.acknowledge(&key("a"), 1, page()).await.unwrap(), Acknowledgement::NoSuchVersion);
    let events = [
        event("a", "e1", Status::Pending, 1),
        event("a", "e2", Status::Processing, 2),
        event("a", "e3", Status::Succeeded, 3),
    ];
    one_by_one(&store, events).await;
    for (version, expected) in [
        (0, Acknowledgement::NoSuchVersion),
        (4, Acknowledgement::NoSuchVersion),
        (u64::MAX, Acknowledgement::NoSuchVersion),
        (2, Acknowledgement::First),
        (2, Acknowledgement::Known),
        (1, Acknowledgement::Known),
        (3, Acknowledgement::First),
        (3, Acknowledgement::Known),
    ] {
        assert_eq!(store.acknowledge(&key("a"), version, page()).await.unwrap(), expected, "version {version}");
    }
    let read = store.read(&key("a")).await.unwrap().unwrap();
    assert_eq!((read.version, read.status), (3, Status::Succeeded), "a page changes nothing");
    store.close().await;
    let store = open(place).await;
    assert_eq!(store.acknowledge(&key("a"), 3, page()).await.unwrap(), Acknowledgement::Known);
    // A later event neither undoes nor gives an acknowledgement.
    one_by_one(&store, [event("a", "e4", Status::Succeeded, 1)]).await;
    assert_eq!(store.acknowledge(&key("a"), 3, page()).await.unwrap(), Acknowledgement::Known);
    assert_eq!(store.acknowledge(&key("a"), 4, page()).await.unwrap(), Acknowledgement::First);
}

pub(crate) async fn everything_outlives_a_restart(place: &impl Place) {
    let store = open(place).await;
    let batch = (0..100).map(|n| event(&format!("o{n}"), "e1", Status::Pending, n)).collect();
    let outcomes = store.apply_events(batch).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(place).await;
    for outcome in outcomes {
        assert_eq!(store.read(&outcome.payment.key).await.unwrap().unwrap(), outcome.payment);
    }
}

pub(crate) async fn an_unclosed_store_has_lost_nothing(place: &impl Place) {
    let store = open(place).await;
    let outcomes = one_by_one(&store, [event("a", "e1", Status::Succeeded, 1)]).await;
    // Let go without a `close`, which would have tidied up.
    drop(store);
    let second = open(place).await;
    assert_eq!(second.read(&key("a")).await.unwrap().unwrap(), outcomes[0].payment);
}

pub(crate) async fn duplicates_are_known_after_a_restart(place: &impl Place) {
    let store = open(place).await;
    let paid = Event { amount: Some(fen_of(1)), ..event("a", "e1", Status::Succeeded, 5) };
    let stale = event("a", "e2", Status::Pending, 1);
    one_by_one(&store, [paid.clone(), stale.clone()]).await;
    store.close().await;
    let store = open(place).await;
    let other = Event { amount: Some(fen_of(2)), ..paid.clone() };
    let outcomes = one_by_one(&store, [paid, stale, other, event("a", "e3", Status::Succeeded, 2)]).await;
    assert_eq!(changes(&outcomes), [Change::Duplicate, Change::Duplicate, Change::IdReused, Change::Applied]);
    assert_eq!(versions(&outcomes), [1, 1, 1, 2], "versions go on where they were");
}

pub(crate) async fn a_closed_store_says_so(place: &impl Place) {
    let store = open(place).await;
    one_by_one(&store, [event("a", "e1", Status::Pending, 1)]).await;
    store.close().await;
    assert!(matches!(store.apply_events(vec![event("a", "e2", Status::Pending, 2)]).await, Err(Error::Closed)));
    assert!(matches!(store.apply_events(Vec::new()).await, Err(Error::Closed)));
    assert!(matches!(store.read(&key("a")).await, Err(Error::Closed)));
    assert!(matches!(store.acknowledge(&key("a"), 1, page()).await, Err(Error::Closed)));
    assert!(matches!(store.check().await, Err(Error::Closed)));
    assert_eq!(open(place).await.read(&key("a")).await.unwrap().unwrap().version, 1);
}

pub(crate) async fn closing_twice_is_closing_once(place: &impl Place) {
    let store = open(place).await;
    tokio::join!(store.close(), store.close());
    store.close().await;
}

pub(crate) async fn it_can_be_checked(place: &impl Place) {
    let store = open(place).await;
    store.check().await.unwrap();
    one_by_one(&store, [event("a", "e1", Status::Pending, 1)]).await;
    store.check().await.unwrap();
    assert_eq!(store.read(&key("a")).await.unwrap().unwrap().version, 1);
}
