//! Many at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::events::{changes, event, key, versions};
use super::{Place, Settings, open, settings};
use crate::payment::{Change, Display, Event, Status};
use crate::store::{Arrival, Error, PaymentStore};

pub(crate) async fn a_big_batch_is_one_batch(place: &impl Place) {
    let store = open(place).await;
    let batch: Vec<_> =
        (0..3000).map(|n| event(&format!("o{}", n % 1000), &format!("e{n}"), Status::Pending, n)).collect();
    let outcomes = store.apply_events(batch).await.unwrap();
    assert!(changes(&outcomes).iter().all(|change| *change == Change::Applied));
    assert_eq!(versions(&outcomes), [[1; 1000], [2; 1000], [3; 1000]].concat());
    let reads = join_all((0..1000).map(|n| {
        let store = Arc::clone(&store);
        async move { store.read(&key(&format!("o{n}"))).await.unwrap().unwrap().version }
    }));
    assert_eq!(reads.await, [3; 1000]);
}

pub(crate) async fn a_read_sees_what_was_applied_before(place: &impl Place) {
    let store = open(place).await;
    let one_order = |order: String| {
        let store = Arc::clone(&store);
        async move {
            for n in 0..30 {
                let outcomes =
                    store.apply_events(vec![event(&order, &format!("e{n}"), Status::Pending, n)]).await.unwrap();
                let read = store.read(&key(&order)).await.unwrap().unwrap();
                assert_eq!(read, outcomes[0].payment);
            }
        }
    };
    join_all((0..8).map(|n| one_order(format!("o{n}")))).await;
}

pub(crate) async fn tasks_at_once_end_in_one_state(place: &impl Place) {
    const ORDERS: usize = 5;
    const EVENTS: u32 = 24;
    let statuses = [Status::Pending, Status::Processing, Status::Authorized, Status::Failed, Status::Succeeded];
    let of_order = |order: usize| -> Vec<Event> {
        let made = (0..EVENTS).map(|n| {
            let status = statuses[usize::try_from(n * 7 + n / 3).unwrap() % statuses.len()];
            event(&format!("o{order}"), &format!("e{n}"), status, (n * 11) % 17)
        });
        made.collect()
    };
    let store = open(place).await;
    // Each task gives all events of all orders, each in an order and in batches of its own.
    let task = |task: usize| {
        let store = Arc::clone(&store);
        let mut events: Vec<_> = (0..ORDERS).flat_map(of_order).collect();
        let turned = task * 13 % events.len();
        events.rotate_left(turned);
        if task % 2 == 1 {
            events.reverse();
        }
        async move {
            let mut outcomes = Vec::new();
            for batch in events.chunks(task + 1) {
                // Half of them by their own thread.
                if task % 4 < 2 {
                    outcomes.extend(store.apply_events(batch.to_vec()).await.unwrap());
                } else {
                    let batch = batch.iter().cloned().map(Arrival::from).collect();
                    outcomes.extend(store.apply_blocking(batch).await.unwrap().into_iter().map(Result::unwrap));
                }
            }
            outcomes
        }
    };
    let outcomes: Vec<_> = join_all((0..8).map(task)).await.into_iter().flatten().collect();
    let mut handed_out: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for outcome in &outcomes {
        let known = handed_out.entry(outcome.payment.key.clone()).or_default();
        match outcome.change {
            Change::Applied => known.push(outcome.payment.version),
            change => assert!(matches!(change, Change::Duplicate | Change::Stale)),
        }
    }
    let fresh = place_of_one(&store, of_order(0)).await;
    for (key, mut versions) in handed_out {
        let read = store.read(&key).await.unwrap().unwrap();
        versions.sort_unstable();
        assert_eq!(versions, (1..=read.version).collect::<Vec<_>>(), "each version is handed out once");
        assert_eq!((read.status, &read.occurred_at), (fresh.status, &fresh.occurred_at));
    }
}

/// Where the same events end when they come one after another.
async fn place_of_one(store: &Arc<dyn PaymentStore>, events: Vec<Event>) -> Arc<crate::payment::Payment> {
    let mut last = None;
    for event in events {
        let event = Event { key: key("reference"), ..event };
        last = store.apply_events(vec![event]).await.unwrap().pop();
    }
    last.unwrap().payment
}

pub(crate) async fn reads_beyond_the_bound_are_refused(place: &impl Place) {
    let store = place.open(Settings { reads_waiting_max: 4, ..settings() }).await;
    // Too large to be kept beside the store: each answer is a reading.
    let display: Box<RawValue> = serde_json::from_str(&format!(r#"{{"note":"{}"}}"#, "x".repeat(1500))).unwrap();
    let large = Event { display: Some(Display::new(&display)), ..event("a", "e1", Status::Pending, 1) };
    store.apply_events(vec![large]).await.unwrap();
    let key = key("a");
    // All are asked for before the first can be answered by much.
    let answers = join_all((0..20_000).map(|_| store.read(&key))).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(good.len() >= 4 && !refused.is_empty(), "{} good, {} refused", good.len(), refused.len());
    assert!(refused.iter().all(|answer| matches!(answer, Err(Error::Overloaded))));
    assert_eq!(store.read(&key).await.unwrap().unwrap().version, 1, "and then it goes on");
}

pub(crate) async fn who_stops_waiting_harms_nobody(place: &impl Place) {
    let store = open(place).await;
    for n in 0..50 {
        let order = format!("o{n}");
        let key = key(&order);
        let (apply, read) = (store.apply_events(vec![event(&order, "e1", Status::Pending, n)]), store.read(&key));
        tokio::select! { biased; _ = apply => {}, _ = read => {}, () = std::future::ready(()) => {} }
    }
    let outcomes = store.apply_events(vec![event("last", "e1", Status::Pending, 1)]).await.unwrap();
    assert_eq!(store.read(&key("last")).await.unwrap().unwrap(), outcomes[0].payment);
}
