//! Any order and any repetition of the same events ends in the same state, says the contract. Here that is held against
//! random events: in the pure merge, in the store under random batchings, and against a model that knows nothing of
//! either.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use payment_notifier::payment::{
    CLAIMS_MAX, Change, Claim, Conflict, Conflicts, Currency, Event, EventId, Key, MerchantId, Money, OrderId, Payment,
    Rank, Reason, Refund, RefundStatus, State, Status, Timestamp,
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

/// Provider's numbers, and none: a few, so that attempts have several events.
const FEW_ATTEMPTS: usize = 3;

fn transaction(attempts: usize) -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::weighted(0.8, (0..attempts).prop_map(|n| format!("42{n:02}").into()))
}

/// An event of order `order` but for its id.
fn event(order: usize, attempts: usize) -> impl Strategy<Value = Event> {
    let refund = (select(RefundStatus::ALL.to_vec()), money()).prop_map(|(status, amount)| Refund { status, amount });
    // Nothing but succeeded events would hide the lower ranks: most often there is none of them.
    let status = prop_oneof![
        4 => select(Status::ALL[..4].to_vec()),
        3 => select(Status::ALL[5..].to_vec()),
        1 => Just(Status::Succeeded),
    ];
    let refund = proptest::option::weighted(0.4, refund);
    let parts = (status, select(INSTANTS.to_vec()), money(), refund, any::<bool>(), transaction(attempts));
    parts.prop_map(move |(status, at, amount, refund, reason, provider_transaction_id)| {
        let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new(&format!("o{order}")).unwrap());
        let reason = reason.then(|| Reason { code: Some(at.into()), message: None });
        let at = Timestamp::parse(at).unwrap();
        let event = Event::new(key, EventId::new("e").unwrap(), status, at);
        Event { amount, refund, reason, provider_transaction_id, ..event }
    })
}

/// Events of one order, each with an id of its own, in no particular order of ids.
fn events_of(order: usize, most: usize) -> impl Strategy<Value = Vec<Event>> {
    let ids = proptest::collection::btree_set("[a-c]{1,4}", 1..=most).prop_map(Vec::from_iter).prop_shuffle();
    (proptest::collection::vec(event(order, FEW_ATTEMPTS), most), ids).prop_map(|(events, ids)| {
        let named = ids.iter().zip(events).map(|(id, event)| Event { event_id: EventId::new(id).unwrap(), ..event });
        named.collect()
    })
}

/// Events of one order, most of them of an attempt of their own and succeeded or closed: often more than are told apart.
fn events_of_many_attempts() -> impl Strategy<Value = Vec<Event>> {
    let final_status = select(Status::ALL[4..].to_vec());
    let final_event = (event(0, 60), final_status).prop_map(|(event, status)| Event { status, ..event });
    proptest::collection::vec(final_event, 25..60).prop_map(|events| {
        let named = (0..).zip(events);
        named.map(|(n, event)| Event { event_id: EventId::new(&format!("e{n}")).unwrap(), ..event }).collect()
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

/// What was told of conflicts on the way.
#[derive(Debug, Default)]
struct Told {
    kinds: BTreeSet<&'static str>,
    /// How often `paid_twice` was.
    second_charges: usize,
    /// What succeeded among the claims of `amount_differs`.
    amounts: BTreeSet<(Option<Box<str>>, Option<Money>)>,
}

impl Told {
    /// Holds one answer against what is always true of it.
    fn note(&mut self, event: &Event, conflicts: Conflicts, claims: &[Claim]) {
        assert_eq!(conflicts.is_empty(), claims.is_empty());
        let ours = claims.iter().filter(|claim| claim.event_id.as_ref() == Some(&event.event_id));
        assert_eq!(ours.count(), usize::from(!conflicts.is_empty()), "the event's own claim is told");
        assert!(claims.is_sorted_by(|one, other| one.occurred_at <= other.occurred_at));
        for conflict in conflicts.iter() {
            let is_new = self.kinds.insert(conflict.as_str());
            match conflict {
                Conflict::PaidTwice => self.second_charges += 1,
                Conflict::AmountDiffers => {
                    let succeeded = claims.iter().filter(|claim| claim.status == Status::Succeeded);
                    self.amounts.extend(succeeded.map(|claim| (claim.provider_transaction_id.clone(), claim.amount)));
                }
                _ => assert!(is_new, "a conflict is told once"),
            }
        }
    }
}

/// Merges one after another and checks on the way what holds for every step.
fn merge(arrivals: &[Event]) -> (State, Told) {
    let mut known = BTreeSet::new();
    let mut told = Told::default();
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
        told.note(event, merged.conflicts, &merged.claims);
    }
    (state.unwrap(), told)
}

/// What a state remembers of attempts, but for texts of one instant in several offsets.
fn evidence(state: &State) -> (Vec<String>, String) {
    let text = serde_json::to_value(state).unwrap();
    let claims = text["evidence"]["claims"].as_array().into_iter().flatten();
    (claims.map(|claim| claim["event_id"].to_string()).collect(), text["evidence"]["beyond"].to_string())
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

    /// Whether one attempt may have had both.
    fn may_be_one(one: &Event, other: &Event) -> bool {
        match (&one.provider_transaction_id, &other.provider_transaction_id) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }

    fn pairs(events: &[Event]) -> impl Iterator<Item = (&Event, &Event)> {
        events.iter().flat_map(|one| events.iter().map(move |other| (one, other)))
    }

    pub(super) fn conflicts(events: &[Event]) -> BTreeSet<&'static str> {
        let of = |one: &Event, other: &Event| {
            let is_later = instant(one) > instant(other);
            match (one.status.as_str(), other.status.as_str(), may_be_one(one, other)) {
                ("succeeded", "succeeded", false) => Some("paid_twice"),
                ("succeeded", "succeeded", true) => {
                    let differ = one.amount.is_some() && other.amount.is_some() && one.amount != other.amount;
                    differ.then_some("amount_differs")
                }
                ("failed", "canceled", true) => Some("failed_and_canceled"),
                ("failed", "expired", true) => Some("failed_and_expired"),
                ("canceled", "expired", true) => Some("canceled_and_expired"),
                ("failed", "succeeded", true) => is_later.then_some("failed_after_succeeded"),
                ("canceled", "succeeded", true) => is_later.then_some("canceled_after_succeeded"),
                ("expired", "succeeded", true) => is_later.then_some("expired_after_succeeded"),
                _ => None,
            }
        };
        pairs(events).filter_map(|(one, other)| of(one, other)).collect()
    }

    /// The provider's numbers of attempts that succeeded, but for the first.
    pub(super) fn second_charges(events: &[Event]) -> usize {
        let succeeded = events.iter().filter(|event| rank(event.status) == 2);
        let numbers: BTreeSet<_> = succeeded.filter_map(|event| event.provider_transaction_id.as_ref()).collect();
        numbers.len().saturating_sub(1)
    }

    /// What succeeded with an amount that another contradicts.
    pub(super) fn amounts(events: &[Event]) -> BTreeSet<(Option<Box<str>>, Option<Money>)> {
        let both = |(one, other): &(&Event, &Event)| [one, other].iter().all(|event| rank(event.status) == 2);
        let differ = |(one, other): &(&Event, &Event)| {
            may_be_one(one, other) && one.amount.is_some() && other.amount.is_some() && one.amount != other.amount
        };
        let found = pairs(events).filter(both).filter(differ);
        found.map(|(one, _)| (one.provider_transaction_id.clone(), one.amount)).collect()
    }

    /// Claims that are told apart: by attempt, status, and amount if it succeeded.
    pub(super) fn claims(events: &[Event]) -> usize {
        let of = |event: &Event| {
            let amount = if rank(event.status) == 2 { event.amount } else { None };
            (event.provider_transaction_id.clone(), event.status.as_str(), amount)
        };
        events.iter().filter(|event| rank(event.status) > 0).map(of).collect::<BTreeSet<_>>().len()
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
        prop_assert_eq!(&model::conflicts(&events), &all);
        for told in [told, told_other] {
            prop_assert_eq!(&told.kinds, &all);
            prop_assert_eq!(told.second_charges, model::second_charges(&events));
            prop_assert!(told.amounts.is_superset(&model::amounts(&events)));
        }
        prop_assert_eq!(evidence(&state), evidence(&other));
        let transactions = |state: &State| state.transactions().map(str::to_owned).collect::<BTreeSet<_>>();
        prop_assert_eq!(transactions(&state), transactions(&other));
        prop_assert_eq!(state.transactions().count(), transactions(&state).len());
    }

    #[test]
    fn beyond_the_bound_any_order_ends_in_the_same_conflicts(
        (events, one, other) in events_of_many_attempts()
            .prop_flat_map(|events| (Just(events.clone()), arrivals(events.clone()), arrivals(events)))
    ) {
        let ((state, told), (other, told_other)) = (merge(&one), merge(&other));
        prop_assert_eq!(as_shown(&state.payment()), as_shown(&other.payment()));
        let all: BTreeSet<_> = state.conflicts().iter().map(Conflict::as_str).collect();
        prop_assert_eq!(&told.kinds, &all);
        prop_assert_eq!(&told_other.kinds, &all);
        prop_assert_eq!(evidence(&state), evidence(&other));
        prop_assert!(evidence(&state).0.len() <= CLAIMS_MAX);
        prop_assert!(all.is_superset(&model::conflicts(&events)), "nothing is left out");
        let is_beyond = model::claims(&events) > CLAIMS_MAX;
        prop_assert_eq!(all.contains("attempts_exceeded"), is_beyond);
        if !is_beyond {
            prop_assert_eq!(all, model::conflicts(&events));
        }
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
                let is_new = conflicts.insert(conflict.as_str());
                let is_told_again = matches!(conflict, Conflict::PaidTwice | Conflict::AmountDiffers);
                assert!(is_new || is_told_again, "a conflict is told once");
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
