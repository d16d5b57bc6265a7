//! Any order and any repetition of the same events ends in the same state, says the contract. Here that is held against
//! random events: in the pure merge, in the store under random batchings, and against a model that knows nothing of
//! either.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use payment_notifier::payment::{
    Change, Conflict, Currency, Event, EventId, Key, MerchantId, Money, OrderId, Payment, Rank, Reason, Refund,
    RefundStatus, State, Status, Timestamp,
};
use payment_notifier::store::sqlite::Options;
use payment_notifier::store::{EscalatedOrders, Escalation, PaymentStore, Sqlite};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One instant in more than one offset, and few instants, so that ties are frequent.
const INSTANTS: [&str; 7] = [
    "2026-01-31T08:30:00Z",
    "2026-01-31T16:30:00+08:00",
    "2026-01-31T08:30:00.000Z",
    "2026-01-31T08:30:01Z",
    "2026-01-31T03:30:01.0-05:00",
    "2026-01-31T08:30:01.001Z",
    "2026-02-01T00:00:00Z",
];

fn money() -> impl Strategy<Value = Option<Money>> {
    let amount = (0..3i64, select(vec!["CNY", "JPY"]));
    proptest::option::of(amount.prop_map(|(value, code)| Money::new(value, Currency::new(code).unwrap()).unwrap()))
}

/// An event of order `order` but for its id.
fn event(order: usize) -> impl Strategy<Value = Event> {
    let refund = (select(RefundStatus::ALL.to_vec()), money()).prop_map(|(status, amount)| Refund { status, amount });
    // Nothing but succeeded events would hide the lower ranks: most often there is none of them.
    let status = prop_oneof![
        4 => select(Status::ALL[..4].to_vec()),
        3 => select(Status::ALL[5..].to_vec()),
        1 => Just(Status::Succeeded),
    ];
    let parts = (status, select(INSTANTS.to_vec()), money(), proptest::option::weighted(0.4, refund), any::<bool>());
    parts.prop_map(move |(status, at, amount, refund, reason)| {
        let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new(&format!("o{order}")).unwrap());
        let reason = reason.then(|| Reason { code: Some(at.into()), message: None });
        let at = Timestamp::parse(at).unwrap();
        Event { amount, refund, reason, ..Event::new(key, EventId::new("e").unwrap(), status, at) }
    })
}

/// Events of one order, each with an id of its own, in no particular order of ids.
fn events_of(order: usize, most: usize) -> impl Strategy<Value = Vec<Event>> {
    let ids = proptest::collection::btree_set("[a-c]{1,4}", 1..=most).prop_map(Vec::from_iter).prop_shuffle();
    (proptest::collection::vec(event(order), most), ids).prop_map(|(events, ids)| {
        let named = ids.iter().zip(events).map(|(id, event)| Event { event_id: EventId::new(id).unwrap(), ..event });
        named.collect()
    })
}

/// All of `events` at least once, some more than once, in any order.
fn arrivals(events: Vec<Event>) -> impl Strategy<Value = Vec<Event>> {
    let again = proptest::collection::vec(any::<Index>(), 0..6);
    (Just(events), again)
        .prop_map(|(events, again)| {
            let repeated: Vec<_> = again.iter().map(|index| index.get(&events).clone()).collect();
            [events, repeated].concat()
        })
        .prop_shuffle()
}

/// What must not depend on the order of arrival.
fn lasting(payment: &Payment) -> Payment {
    Payment { version: 0, ..payment.clone() }
}

/// Every field as text: two instants in two offsets are equal, their texts are not.
fn as_shown(payment: &Payment) -> String {
    format!("{:?}", lasting(payment))
}

/// Merges one after another and checks on the way what holds for every step.
fn merge(arrivals: &[Event]) -> (State, BTreeSet<&'static str>) {
    let mut known = BTreeSet::new();
    let mut told = BTreeSet::new();
    let mut state: Option<State> = None;
    for event in arrivals {
        let is_repeated = !known.insert(event.event_id.clone());
        let Some(state) = &mut state else {
            state = Some(State::first(event.clone()));
            continue;
        };
        let (before, rank) = (state.version(), state.payment().status.rank());
        let shown = as_shown(&state.payment());
        let merged = state.merge(event.clone());
        assert!(state.payment().status.rank() >= rank, "the rank never goes down");
        assert_eq!(merged.change == Change::Duplicate, is_repeated);
        assert_ne!(merged.change, Change::IdReused);
        assert_eq!(state.version(), before + u64::from(merged.change == Change::Applied));
        if merged.change != Change::Applied {
            assert_eq!(as_shown(&state.payment()), shown, "what is not applied is not seen");
        }
        for conflict in merged.conflicts.iter() {
            assert!(told.insert(conflict.as_str()), "a conflict is told once");
        }
    }
    (state.unwrap(), told)
}

/// The contract's rule as a choice of the greatest, and its conflicts as a question about each pair.
mod model {
    use super::*;

    /// Seconds and below since 1970, forwards for what is still moving and backwards for what is final.
    type Time = (Option<i128>, Option<Reverse<i128>>);

    fn instant(event: &Event) -> i128 {
        let at =
            time::OffsetDateTime::parse(event.occurred_at.as_str(), &time::format_description::well_known::Rfc3339);
        at.unwrap().unix_timestamp_nanos()
    }

    fn time(event: &Event, earlier_wins: bool) -> Time {
        let at = instant(event);
        if earlier_wins { (None, Some(Reverse(at))) } else { (Some(at), None) }
    }

    fn rank(status: Status) -> u8 {
        match status.as_str() {
            "succeeded" => 2,
            "failed" | "canceled" | "expired" => 1,
            _ => 0,
        }
    }

    pub(super) fn head(events: &[Event]) -> &Event {
        let order = |event: &&Event| {
            let rank = rank(event.status);
            (rank, time(event, rank > 0), event.event_id.as_str().to_owned())
        };
        events.iter().max_by_key(order).unwrap()
    }

    pub(super) fn refund(events: &[Event]) -> Option<Refund> {
        let order = |event: &&Event| {
            let status = event.refund.unwrap().status.as_str();
            let level = ["processing", "partial", "full"].iter().position(|name| *name == status).unwrap();
            (level, time(event, level == 2), event.event_id.as_str().to_owned())
        };
        events.iter().filter(|event| event.refund.is_some()).max_by_key(order)?.refund
    }

    pub(super) fn conflicts(events: &[Event]) -> BTreeSet<&'static str> {
        let succeeded = events.iter().filter(|event| rank(event.status) == 2).map(instant).min();
        let of = |name: &str| events.iter().filter(move |event| event.status.as_str() == name).collect::<Vec<_>>();
        let found = Conflict::ALL.into_iter().filter(|conflict| match conflict {
            Conflict::FailedAndCanceled => !of("failed").is_empty() && !of("canceled").is_empty(),
            Conflict::FailedAndExpired => !of("failed").is_empty() && !of("expired").is_empty(),
            Conflict::CanceledAndExpired => !of("canceled").is_empty() && !of("expired").is_empty(),
            Conflict::FailedAfterSucceeded => of("failed").iter().any(|e| succeeded.is_some_and(|s| instant(e) > s)),
            Conflict::CanceledAfterSucceeded => {
                of("canceled").iter().any(|e| succeeded.is_some_and(|s| instant(e) > s))
            }
            Conflict::ExpiredAfterSucceeded => of("expired").iter().any(|e| succeeded.is_some_and(|s| instant(e) > s)),
        });
        found.map(Conflict::as_str).collect()
    }
}

/// Holds a payment against the model.
fn assert_is_greatest(payment: &Payment, events: &[Event]) {
    let head = model::head(events);
    assert_eq!(payment.key, head.key);
    assert_eq!(payment.status, head.status);
    assert_eq!(payment.is_final(), payment.status.rank() != Rank::Open);
    assert_eq!(payment.occurred_at.as_str(), head.occurred_at.as_str());
    assert_eq!((payment.amount, &payment.reason), (head.amount, &head.reason));
    assert_eq!(payment.refund, model::refund(events));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_repetition_ends_in_the_greatest_event(
        (events, one, other) in events_of(0, 12)
            .prop_flat_map(|events| (Just(events.clone()), arrivals(events.clone()), arrivals(events)))
    ) {
        let ((state, told), (other, told_other)) = (merge(&one), merge(&other));
        prop_assert_eq!(as_shown(&state.payment()), as_shown(&other.payment()));
        assert_is_greatest(&state.payment(), &events);
        let all: BTreeSet<_> = state.conflicts().iter().map(Conflict::as_str).collect();
        prop_assert_eq!(&told, &all);
        prop_assert_eq!(&told_other, &all);
        prop_assert_eq!(model::conflicts(&events), all);
    }

    #[test]
    fn a_state_kept_as_text_merges_on_as_if_it_had_not_been(
        (arrivals, cut) in (events_of(0, 8).prop_flat_map(arrivals), any::<Index>())
    ) {
        let cut = cut.index(arrivals.len());
        let mut state = State::first(arrivals[0].clone());
        for (n, event) in arrivals.iter().enumerate().skip(1) {
            if n == cut {
                let text = serde_json::to_string(&state).unwrap();
                state = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(serde_json::to_string(&state).unwrap(), text);
            }
            state.merge(event.clone());
        }
        let (whole, _) = merge(&arrivals);
        prop_assert_eq!(serde_json::to_string(&state).unwrap(), serde_json::to_string(&whole).unwrap());
    }
}

/// Cuts `arrivals` into batches of these sizes, over and over.
fn batches(arrivals: &[Event], sizes: &[usize]) -> Vec<Vec<Event>> {
    let (mut rest, mut batches) = (arrivals, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (batch, after) = rest.split_at((*size).min(rest.len()));
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

/// Runs the batches through an empty store. Answers each order's payment, and the conflicts that were told of it.
async fn store(batches: Vec<Vec<Event>>) -> BTreeMap<Key, (Payment, BTreeSet<&'static str>)> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("payments.db").display());
    let options = Options {
        batch_events_max: 8,
        readers: 1,
        reads_waiting_max: 64,
        cache_kib: 1024,
        instance: String::new(),
        timeline: true,
        escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Watched },
    };
    let store = Sqlite::open(&url, options).unwrap();
    let mut told: BTreeMap<Key, (u64, BTreeSet<&'static str>)> = BTreeMap::new();
    for batch in batches {
        for outcome in store.apply_events(batch).await.unwrap() {
            let (version, conflicts) = told.entry(outcome.payment.key.clone()).or_default();
            *version += u64::from(outcome.change == Change::Applied);
            assert_eq!(outcome.payment.version, *version, "one more for each accepted change, from 1");
            for conflict in outcome.conflicts.iter() {
                assert!(conflicts.insert(conflict.as_str()), "a conflict is told once");
            }
        }
    }
    let mut ends = BTreeMap::new();
    for (key, (version, conflicts)) in told {
        let payment = store.read(&key).await.unwrap().unwrap();
        assert_eq!(payment.version, version);
        ends.insert(key, (lasting(&payment), conflicts));
    }
    store.close().await;
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_ends_where_the_merge_does_under_any_batching(
        (events, one, other) in (events_of(0, 6), events_of(1, 6), events_of(2, 6))
            .prop_map(|(a, b, c)| [a, b, c].concat())
            .prop_flat_map(|events| (Just(events.clone()), arrivals(events.clone()), arrivals(events))),
        sizes in proptest::collection::vec(1..9usize, 1..4),
        other_sizes in proptest::collection::vec(1..30usize, 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (ends, other) = runtime.block_on(async {
            (store(batches(&one, &sizes)).await, store(batches(&other, &other_sizes)).await)
        });
        prop_assert_eq!(format!("{ends:?}"), format!("{other:?}"));
        for (key, (payment, told)) in ends {
            let of_order: Vec<_> = events.iter().filter(|event| event.key == key).cloned().collect();
            assert_is_greatest(&payment, &of_order);
            prop_assert_eq!(told, model::conflicts(&of_order));
        }
    }
}
