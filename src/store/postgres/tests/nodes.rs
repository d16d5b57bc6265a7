//! Several nodes on one database.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::payment::{Change, Payment, Refund, RefundStatus, State};
use crate::store::{NoteKind, PurgeBefore};
use crate::telemetry::Transport;

const PAGE: PageRef = PageRef { transport: Transport::Sse, connection: 7 };
const NODES: usize = 2;

/// Events of a few orders, with ties and repetitions, in an order of the seed's own.
fn shuffled(seed: u64) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut events = Vec::new();
    for order in 0..6 {
        for n in 0..random.random_range(1..12) {
            let status = Status::ALL[random.random_range(0..Status::ALL.len())];
            let mut event = event(&format!("o{order}"), &format!("e{n}"), status, random.random_range(0..5));
            if random.random_bool(0.3) {
                let status = RefundStatus::ALL[random.random_range(0..RefundStatus::ALL.len())];
                event.refund = Some(Refund { status, amount: None });
            }
            for _ in 0..random.random_range(1..4) {
                events.push(event.clone());
            }
        }
    }
    events.shuffle(&mut random);
    events
}

/// All but the version, which tells how many changes the way to it took.
fn unversioned(payment: &Payment) -> Payment {
    Payment { version: 0, ..payment.clone() }
}

/// Where the merge alone ends, given one event after another.
fn alone(events: &[Event]) -> BTreeMap<Key, Payment> {
    let mut states: BTreeMap<Key, State> = BTreeMap::new();
    for event in events {
        match states.get_mut(&event.key) {
            Some(state) => {
                state.merge(event.clone());
            }
            None => drop(states.insert(event.key.clone(), State::first(event.clone()))),
        }
    }
    states.into_iter().map(|(key, state)| (key, unversioned(&state.payment()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_merge_the_same_orders_at_once_end_where_one_alone_ends() {
    for seed in 0..8 {
        let events = shuffled(seed);
        let expected = alone(&events);
        let database = Database::create().await;
        let nodes: Vec<_> = (0..NODES).map(|n| node(&database, n)).collect();
        let tasks = (0..NODES * 2).map(|task| {
            let (store, mut events) = (Arc::clone(&nodes[task % NODES]), events.clone());
            let mut random = StdRng::seed_from_u64(seed * 100 + u64::try_from(task).unwrap());
            events.shuffle(&mut random);
            async move {
                let mut applied = Vec::new();
                while !events.is_empty() {
                    let batch = events.split_off(events.len().saturating_sub(random.random_range(1..20)));
                    applied.extend(store.apply_events(batch).await.unwrap());
                }
                applied
            }
        });
        let mut versions: BTreeMap<Key, BTreeSet<u64>> = BTreeMap::new();
        for outcome in join_all(tasks).await.into_iter().flatten() {
            if outcome.change == Change::Applied {
                let known = versions.entry(outcome.payment.key.clone()).or_default();
                assert!(known.insert(outcome.payment.version), "seed {seed}: a version is handed out once");
            }
        }
        for (key, expected) in expected {
            for store in &nodes {
                let read = store.read(&key).await.unwrap().unwrap();
                assert_eq!(unversioned(&read), expected, "seed {seed}");
                assert_eq!(versions[&key].iter().copied().collect::<Vec<_>>(), Vec::from_iter(1..=read.version));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_make_the_tables_once() {
    let database = Database::create().await;
    let nodes: Vec<_> = (0..4).map(|n| node(&database, n)).collect();
    let checked = join_all(nodes.iter().map(|store| store.check())).await;
    assert!(checked.iter().all(Result::is_ok), "{checked:?}");
    let outcomes = nodes[0].apply_events(vec![event("a", "e1", Status::Pending, 1)]).await.unwrap();
    assert_eq!(nodes[3].read(&key("a")).await.unwrap().unwrap(), outcomes[0].payment);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_newer_version_are_used_if_they_are_compatible_and_refused_if_not() {
    let database = Database::create().await;
    node(&database, 1).check().await.unwrap();
    database.execute("ALTER TABLE payments ADD COLUMN later text; INSERT INTO schema_steps VALUES (99, 1)").await;
    let older = node(&database, 2);
    older.apply_events(vec![event("a", "e1", Status::Pending, 1)]).await.unwrap();
    database.execute("INSERT INTO schema_steps VALUES (100, 100)").await;
    let refused = node(&database, 3).check().await.unwrap_err();
    assert!(matches!(&refused, Error::Corrupt(why) if why.contains("a newer one has changed them")), "{refused}");
    older.check().await.unwrap();
}

/// Two orders that nobody has acknowledged in time.
async fn overdue(store: &Postgres) -> i64 {
    let notes = ["a", "b"].map(|order| Note { key: key(order), at_ms: 0, what: NoteKind::Watched(PAGE) });
    store.record(notes.to_vec()).await.unwrap();
    let batch = ["a", "b"].map(|order| event(order, "e1", Status::Succeeded, 1));
    store.apply_events(batch.to_vec()).await.unwrap();
    unix_ms() + 61_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_nodes_that_escalate_and_inquire_at_once_each_thing_is_done_by_one() {
    let database = Database::create().await;
    let nodes: Vec<_> = (0..4).map(|n| node(&database, n)).collect();
    let now_ms = overdue(&nodes[0]).await;
    let escalated = join_all(nodes.iter().map(|store| store.escalate(now_ms, 100))).await;
    assert_eq!(escalated.into_iter().map(|escalated| escalated.unwrap().messages).sum::<usize>(), 2);
    let inquiries = || (1..=3).map(|step| Inquiry { key: key("c"), step, waited_s: 5 }).collect();
    let inquired = join_all(nodes.iter().map(|store| store.inquire(inquiries()))).await;
    assert_eq!(inquired.into_iter().map(Result::unwrap).sum::<usize>(), 3);
    assert_eq!(nodes[1].inquire(vec![Inquiry { key: key("a"), step: 1, waited_s: 5 }]).await.unwrap(), 0, "final");
    assert_eq!(nodes[2].outbox_len().await.unwrap(), 5);

    let taken = join_all(nodes.iter().map(|store| store.outbox_lease(2, 60_000))).await;
    let taken: Vec<_> = taken.into_iter().flat_map(Result::unwrap).collect();
    let ids: BTreeSet<i64> = taken.iter().map(|message| message.id).collect();
    assert_eq!((taken.len(), ids.len()), (5, 5), "no message is taken twice");
    nodes[3].outbox_remove(ids.into_iter().take(4).collect()).await.unwrap();
    assert_eq!(nodes[0].outbox_len().await.unwrap(), 1);
    assert_eq!(nodes[0].outbox_lease(10, 0).await.unwrap(), [], "the last is leased");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_by_the_clock_of_the_database() {
    let database = Database::create().await;
    let store = node(&database, 1);
    let now_ms = overdue(&store).await;
    assert_eq!(store.escalate(now_ms, 1).await.unwrap().messages, 1, "no more than asked for");
    let first = store.outbox_lease(10, 0).await.unwrap();
    assert_eq!(store.outbox_lease(10, 60_000).await.unwrap(), first);
    assert_eq!(store.outbox_lease(10, 60_000).await.unwrap(), []);
    database.execute("UPDATE outbox SET leased_until = clock_timestamp()").await;
    assert_eq!(store.outbox_lease(10, 60_000).await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_tells_the_story_of_another() {
    let database = Database::create().await;
    let (one, other) = (node(&database, 1), node(&database, 2));
    one.record(vec![Note { key: key("a"), at_ms: 5, what: NoteKind::Watched(PAGE) }]).await.unwrap();
    one.apply_events(vec![event("a", "e1", Status::Failed, 1), event("a", "e2", Status::Canceled, 1)]).await.unwrap();
    other.acknowledge(&key("a"), 2, PAGE).await.unwrap();
    let timeline = one.timeline(&key("a")).await.unwrap();
    let kinds: Vec<_> =
        timeline.entries.iter().map(|entry| (entry.node.as_str(), entry.what["type"].as_str().unwrap())).collect();
    let expected = [
        ("node-1", "watched"),
        ("node-1", "arrived"),
        ("node-1", "arrived"),
        ("node-1", "conflict"),
        ("node-2", "acknowledged"),
    ];
    assert_eq!(kinds, expected);
    let kinds: Vec<_> =
        other.outbox_lease(10, 0).await.unwrap().into_iter().map(|message| message.routing_key).collect();
    assert_eq!(kinds, ["payment.conflict", "payment.delivered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_is_removed_in_steps_by_one_node_at_a_time() {
    let database = Database::create().await;
    let nodes: Vec<_> = (0..2).map(|n| node(&database, n)).collect();
    let batch = (0..25).map(|n| event(&format!("o{n:02}"), "e1", Status::Succeeded, 1)).collect();
    nodes[0].apply_events(batch).await.unwrap();
    let before = |ms| PurgeBefore { payments_ms: ms, entries_ms: 0, unknown_ms: ms };
    assert_eq!(nodes[0].purge(before(0), 10).await.unwrap(), Purged { done: true, ..Purged::default() });
    let later = unix_ms() + 1000;
    let mut removed = 0;
    for step in 0.. {
        let (one, other) = tokio::join!(nodes[0].purge(before(later), 10), nodes[1].purge(before(later), 10));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.payments <= 10 && other.payments <= 10 && step < 10);
        removed += one.payments + other.payments;
        if one.done && other.done && removed == 25 {
            break;
        }
    }
    for n in 0..25 {
        let timeline = nodes[1].timeline(&key(&format!("o{n:02}"))).await.unwrap();
        assert!(timeline.payment.is_none() && timeline.entries.is_empty());
    }
}
