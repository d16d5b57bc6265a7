//! Attempts to pay, what is told of them, and rows of version 0.1.0.

use serde::{Deserialize, Serialize};

use super::*;

fn at(second: u32) -> Timestamp {
    Timestamp::parse(&format!("2026-01-31T08:{:02}:{:02}Z", second / 60, second % 60)).unwrap()
}

fn fen(value: i64) -> Option<Money> {
    Some(Money::new(value, Currency::new("CNY").unwrap()).unwrap())
}

/// An event of attempt `transaction`, an empty one being none, for 19.99 yuan.
fn event(id: &str, status: Status, transaction: &str, second: u32) -> Event {
    let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new("a").unwrap());
    let provider_transaction_id = (!transaction.is_empty()).then(|| transaction.into());
    Event {
        provider_transaction_id,
        amount: fen(1999),
        ..Event::new(key, EventId::new(id).unwrap(), status, at(second))
    }
}

fn paid(id: &str, transaction: &str, second: u32) -> Event {
    event(id, Status::Succeeded, transaction, second)
}

/// The kinds of conflict that one event brought to light, and the ids of the events in them.
type Told = (Vec<&'static str>, Vec<String>);

/// What is told of each event but the first.
fn told(events: &[Event]) -> (State, Vec<Told>) {
    let mut state = State::first(events[0].clone());
    let of = |merged: Merged| {
        let ids = merged.claims.iter().map(|claim| claim.event_id.as_ref().map_or("-", EventId::as_str).to_owned());
        (merged.conflicts.iter().map(Conflict::as_str).collect(), ids.collect())
    };
    let told = events[1..].iter().map(|event| of(state.merge(event.clone()))).collect();
    (state, told)
}

/// What the last of `events` is told.
fn last_told(events: &[Event]) -> Told {
    told(events).1.pop().unwrap()
}

#[test]
fn each_further_charge_is_told_once() {
    let events = [
        paid("e1", "4200A", 10),
        paid("e2", "2026ALI", 20),
        Event { provider: Some("other".into()), ..paid("e3", "4200A", 30) },
        paid("e4", "", 40),
        paid("e5", "pi_3", 5),
        event("e6", Status::Failed, "pi_4", 50),
    ];
    let (state, told) = told(&events);
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let nothing = (vec![], vec![]);
    assert_eq!(told[0], (vec!["paid_twice"], ids(&["e1", "e2"])));
    assert_eq!(
        (&told[1], &told[2]),
        (&nothing, &nothing),
        "one number whatever the provider, and one without a number"
    );
    assert_eq!(told[3], (vec!["paid_twice"], ids(&["e5", "e1", "e2"])));
    assert_eq!(told[4].0, ["failed_after_succeeded"], "the one without a number may have been that attempt's");
    assert_eq!(told[4].1, ids(&["e4", "e6"]));
    assert_eq!(state.payment().occurred_at, at(5));
    let mut transactions: Vec<_> = state.transactions().collect();
    assert_eq!(transactions[0], "pi_3");
    transactions.sort_unstable();
    assert_eq!(transactions, ["2026ALI", "4200A", "pi_3", "pi_4"]);
}

#[test]
fn an_attempt_that_came_to_nothing_does_not_contradict_another() {
    for status in [Status::Failed, Status::Canceled, Status::Expired] {
        for closed in Status::ALL[5..].iter().map(|other| event("e3", *other, "pi_C", 70)) {
            let events = [event("e1", status, "pi_A", 60), paid("e2", "pi_B", 10), closed];
            assert!(told(&events).1.iter().all(|(kinds, _)| kinds.is_empty()), "{status}");
        }
        for (one, other) in [("pi_A", "pi_A"), ("", "pi_A"), ("pi_A", ""), ("", "")] {
            let kinds = last_told(&[paid("e1", one, 10), event("e2", status, other, 60)]).0;
            assert_eq!(kinds, [format!("{status}_after_succeeded")], "{one} {other}");
        }
    }
}

#[test]
fn two_amounts_are_told_of_one_attempt() {
    let cheaper = |event: Event| Event { amount: fen(1), ..event };
    let unsaid = |event: Event| Event { amount: None, ..event };
    for (one, other, kinds) in [
        (paid("e1", "A", 1), cheaper(paid("e2", "A", 2)), vec!["amount_differs"]),
        (paid("e1", "A", 1), cheaper(paid("e2", "", 2)), vec!["amount_differs"]),
        (paid("e1", "", 1), cheaper(paid("e2", "", 2)), vec!["amount_differs"]),
        (paid("e1", "A", 1), cheaper(paid("e2", "B", 2)), vec!["paid_twice"]),
        (paid("e1", "A", 1), paid("e2", "", 2), vec![]),
        (paid("e1", "A", 1), unsaid(paid("e2", "A", 2)), vec![]),
        (paid("e1", "A", 1), cheaper(event("e2", Status::Pending, "A", 2)), vec![]),
    ] {
        assert_eq!(last_told(&[one.clone(), other.clone()]).0, kinds, "{one:?} {other:?}");
        assert_eq!(last_told(&[other.clone(), one.clone()]).0, kinds, "{other:?} {one:?}");
    }
    let third = Event { amount: fen(7), ..paid("e3", "A", 3) };
    let events = [paid("e1", "A", 1), cheaper(paid("e2", "A", 2)), third];
    assert_eq!(last_told(&events).0, ["amount_differs"], "each further amount");
}

#[test]
fn an_event_id_with_another_number_is_reported_and_a_number_that_is_left_out_is_not() {
    let changes = |events: [Event; 3]| {
        let mut state = State::first(events[0].clone());
        [state.merge(events[1].clone()).change, state.merge(events[2].clone()).change]
    };
    let again = [paid("e1", "4200A", 1), paid("e1", "2026ALI", 1), paid("e1", "", 1)];
    assert_eq!(changes(again), [Change::IdReused, Change::Duplicate]);
    let not_the_head = [paid("e1", "A", 1), paid("e2", "B", 2), paid("e2", "C", 2)];
    assert_eq!(changes(not_the_head), [Change::Stale, Change::IdReused]);
    let beaten_later = [paid("e1", "A", 2), paid("e2", "A", 1), paid("e1", "C", 2)];
    assert_eq!(changes(beaten_later), [Change::Applied, Change::IdReused], "one claim stands for both");
    let beaten_at_once = [paid("e1", "A", 1), paid("e2", "A", 2), paid("e2", "C", 2)];
    assert_eq!(changes(beaten_at_once), [Change::Stale, Change::IdReused], "one claim stands for both");
    let repeated = [paid("e1", "A", 1), paid("e2", "A", 2), paid("e2", "", 2)];
    assert_eq!(changes(repeated), [Change::Stale, Change::Duplicate]);
    let open = |id, transaction| event(id, Status::Processing, transaction, 1);
    let of_an_open_one = [open("e1", "A"), open("e1", "B"), open("e2", "B")];
    assert_eq!(changes(of_an_open_one), [Change::Duplicate, Change::Applied], "whichever was the last");
}

#[test]
fn a_payment_of_one_attempt_takes_no_more_room_than_in_0_1_0() {
    for events in [
        vec![paid("e1", "A", 1)],
        vec![event("e0", Status::Pending, "A", 1), paid("e1", "A", 2), paid("e2", "A", 3)],
        vec![event("e1", Status::Failed, "A", 1)],
    ] {
        let text = serde_json::to_string(&told(&events).0).unwrap();
        assert!(!text.contains("claims") && !text.contains("beyond"), "{text}");
    }
}

#[test]
fn beyond_the_bound_it_is_told_once_and_attempts_are_not_told_apart() {
    let last = u32::try_from(CLAIMS_MAX).unwrap();
    let mut events: Vec<_> = (0..last).map(|n| paid(&format!("e{n}"), &format!("t{n}"), 100 - n)).collect();
    let closed = |id, transaction| event(id, Status::Failed, transaction, 200);
    events.extend([closed("x1", "u1"), closed("x2", "u2"), paid("x3", "u3", 1), paid("x4", "u4", 0)]);
    let (state, told) = told(&events);
    assert!(told[..CLAIMS_MAX - 1].iter().all(|(kinds, ids)| kinds == &["paid_twice"] && ids.len() > 1));
    let beyond = &told[CLAIMS_MAX - 1];
    assert_eq!(beyond.0, ["failed_after_succeeded", "attempts_exceeded"]);
    assert!(told[CLAIMS_MAX..].iter().all(|(kinds, _)| kinds.is_empty()), "{:?}", &told[CLAIMS_MAX..]);
    assert_eq!(state.conflicts().iter().count(), 3);
    assert_eq!(state.transactions().count(), CLAIMS_MAX);

    // The most that texts may be, quotes being the longest in JSON.
    let long = |n: u32, bytes: usize| format!("{n:03}{}", "\"".repeat(bytes - 3));
    let provider = Some("\"".repeat(limits::PROVIDER_BYTES_MAX).into());
    let largest = (0..200).map(|n| {
        let transaction = long(n, limits::PROVIDER_TRANSACTION_ID_BYTES_MAX);
        Event { provider: provider.clone(), ..paid(&long(n, 256), &transaction, n) }
    });
    let (state, _) = self::told(&largest.collect::<Vec<_>>());
    let bytes = serde_json::to_string(&state).unwrap().len();
    assert!(bytes < 48 * 1024, "{bytes}");
}

/// The state as version 0.1.0 reads and writes it.
#[derive(Serialize, Deserialize)]
struct State010 {
    version: u64,
    head: Event,
    evidence: Evidence010,
    seen: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Evidence010 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canceled_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expired_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succeeded_first: Option<Timestamp>,
}

/// `failed` at 08:00:01 and 08:00:09, then `succeeded` at 08:00:05 with 4200A, as 0.1.0 stored it.
const ROW_0_1_0: &str = r#"{"version":2,"head":{"key":{"merchant_id":"shop","order_id":"a"},"event_id":"e3","status":"succeeded","occurred_at":"2026-01-31T08:00:05Z","amount":{"value":1999,"currency":"CNY"},"provider":"wechat_pay","provider_transaction_id":"4200A"},"evidence":{"failed_last":"2026-01-31T08:00:09Z","succeeded_first":"2026-01-31T08:00:05Z"},"seen":[{"id":10042117733315542322,"content":4123730947}]}"#;

#[test]
fn a_row_of_0_1_0_is_read_as_events_of_which_the_attempt_is_not_known_but_for_its_head() {
    let row = || serde_json::from_str::<State>(ROW_0_1_0).unwrap();
    assert_eq!(serde_json::to_string(&row()).unwrap(), ROW_0_1_0);
    let kinds = |conflicts: Conflicts| conflicts.iter().map(Conflict::as_str).collect::<Vec<_>>();
    assert_eq!(kinds(row().conflicts()), ["failed_after_succeeded"]);

    let mut state = row();
    let second = state.merge(paid("e4", "2026ALI", 20));
    assert_eq!(kinds(second.conflicts), ["paid_twice"]);
    let first = &second.claims[0];
    assert_eq!((first.provider_transaction_id.as_deref(), first.amount), (Some("4200A"), fen(1999)));
    assert_eq!(kinds(row().merge(paid("e4", "4200A", 20)).conflicts), Vec::<&str>::new());
    let canceled = row().merge(event("e4", Status::Canceled, "2026ALI", 2));
    assert_eq!(kinds(canceled.conflicts), ["failed_and_canceled"]);
    assert_eq!((canceled.claims.len(), &canceled.claims[1].event_id), (2, &None));

    // A node of 0.1.0 reads what this one wrote. What it writes says no more than it knows.
    let text = serde_json::to_string(&state).unwrap();
    assert!(text.contains("claims"));
    let old: State010 = serde_json::from_str(&text).unwrap();
    assert_eq!((old.version, old.head.provider_transaction_id.as_deref()), (2, Some("4200A")));
    assert_eq!(
        (old.evidence.failed_last.as_ref(), old.evidence.succeeded_first.as_ref()),
        (Some(&at(9)), Some(&at(5)))
    );
    let mut back: State = serde_json::from_str(&serde_json::to_string(&old).unwrap()).unwrap();
    assert_eq!(kinds(back.merge(paid("e5", "pi_3", 30)).conflicts), ["paid_twice"]);
}
