//! The ledger without a store.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::payment::{Event, MerchantId, OrderId, Status, Timestamp};
use crate::store::{Acknowledgement, ENTRIES_MAX, Entry, Inquiry, Note, NoteKind};
use crate::telemetry::Transport;

const PAGE: PageRef = PageRef { transport: Transport::Sse, connection: 3 };
const NOW_MS: i64 = 1_800_000_000_000;

fn rules(orders: EscalatedOrders) -> Rules {
    Rules { instance: "node-1".to_owned(), timeline: true, escalation: Escalation { after_ms: 60_000, orders } }
}

fn key(order: &str) -> Key {
    Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap())
}

fn arrival(id: &str, status: Status, second: u32) -> Arrival {
    let at = Timestamp::parse(&format!("2026-01-31T08:30:{second:02}Z")).unwrap();
    let event = Event::new(key("a"), EventId::new(id).unwrap(), status, at);
    Arrival { event, received_ms: NOW_MS, redelivered: false, watched: false }
}

/// A ledger whose order `a` has had these events before.
fn ledger<'r>(rules: &'r Rules, before: &[Arrival]) -> Ledger<'r> {
    let mut past = Ledger::new(rules, NOW_MS);
    past.load(key("a"), Row::Absent);
    for arrival in before {
        past.apply(0, arrival, false).unwrap().unwrap();
    }
    let mut ledger = Ledger::new(rules, NOW_MS);
    for (key, row) in past.rows {
        let row = match row {
            Row::Read(Record { state, acked_version, finality, .. }) => {
                Row::Read(Record::stored(state, acked_version, finality))
            }
            other => other,
        };
        ledger.load(key, row);
    }
    ledger
}

fn record<'l>(ledger: &'l Ledger<'_>) -> &'l Record {
    match ledger.row(&key("a")) {
        Some(Row::Read(record)) => record,
        other => panic!("{other:?}"),
    }
}

/// The kinds of the entries, and the keys of the messages.
fn recorded(ledger: &Ledger<'_>) -> (Vec<String>, Vec<&'static str>) {
    let kind = |json: &str| {
        let entry: Value = serde_json::from_str(json).unwrap();
        entry.get("outcome").unwrap_or(&entry["type"]).as_str().unwrap().to_owned()
    };
    let entries = ledger.log.entries().map(|entry| kind(entry.unwrap().2)).collect();
    (entries, ledger.log.messages.iter().map(|message| message.routing_key).collect())
}

#[test]
fn what_becomes_of_an_event() {
    let rules = rules(EscalatedOrders::All);
    let e1 = || arrival("e1", Status::Failed, 5);
    for (name, before, event, change, version, changed, entries, messages) in [
        ("first", vec![], e1(), Change::Applied, 1, true, vec!["applied"], vec![]),
        ("the same again", vec![e1()], e1(), Change::Duplicate, 1, false, vec!["duplicate"], vec![]),
        (
            "an id used twice",
            vec![e1()],
            arrival("e1", Status::Succeeded, 6),
            Change::IdReused,
            1,
            false,
            vec!["id_reused"],
            vec![],
        ),
        (
            "stale, and remembered",
            vec![e1()],
            arrival("e2", Status::Pending, 9),
            Change::Stale,
            1,
            true,
            vec!["stale"],
            vec![],
        ),
        (
            "a conflict",
            vec![e1()],
            arrival("e2", Status::Canceled, 7),
            Change::Stale,
            1,
            true,
            vec!["stale", "conflict"],
            vec!["payment.conflict"],
        ),
        (
            "greater",
            vec![arrival("e0", Status::Pending, 1)],
            arrival("e1", Status::Succeeded, 5),
            Change::Applied,
            2,
            true,
            vec!["applied"],
            vec![],
        ),
    ] {
        let mut ledger = ledger(&rules, &before);
        let outcome = ledger.apply(0, &event, false).unwrap().unwrap();
        assert_eq!((outcome.change, outcome.payment.version), (change, version), "{name}");
        assert_eq!(record(&ledger).changed, changed, "{name}");
        assert_eq!(recorded(&ledger), (entries.into_iter().map(str::to_owned).collect(), messages), "{name}");
    }
}

#[test]
fn a_damaged_payment_is_answered_and_left_alone() {
    let rules = rules(EscalatedOrders::Watched);
    let mut ledger = Ledger::new(&rules, NOW_MS);
    ledger.load(key("a"), Row::Damaged(damaged(&key("a"), "no state")));
    let applied = ledger.apply(0, &arrival("e1", Status::Succeeded, 1), false).unwrap();
    assert!(matches!(applied, Err(Error::Corrupt(_))));
    assert!(matches!(ledger.acknowledge(0, 1, PAGE).unwrap(), Err(Error::Corrupt(_))));
    assert!(matches!(ledger.escalate(&key("a"), NOW_MS).unwrap(), Err(Error::Corrupt(_))));
    assert!(!ledger.is_open(&key("a")));
    ledger.note(&Note { key: key("a"), at_ms: 5, what: NoteKind::Watched(PAGE) }).unwrap();
    assert_eq!(ledger.began()[&key("a")].pages, 1, "that a page waits is known all the same");
    assert_eq!(recorded(&ledger), (vec![], vec![]));
}

#[test]
fn a_row_that_was_not_loaded_is_a_fault_and_no_new_payment() {
    let rules = rules(EscalatedOrders::Off);
    let mut ledger = Ledger::new(&rules, NOW_MS);
    assert!(ledger.apply(0, &arrival("e1", Status::Succeeded, 1), false).is_err());
    ledger.load(key("a"), Row::Unread);
    assert!(ledger.apply(0, &arrival("e1", Status::Succeeded, 1), false).is_err());
    assert_eq!(ledger.place(&key("a")), None);
    ledger.load(key("a"), Row::Absent);
    assert_eq!(ledger.place(&key("a")), Some(0));
    ledger.apply(0, &arrival("e1", Status::Succeeded, 1), false).unwrap().unwrap();
    ledger.load(key("a"), Row::Absent);
    assert_eq!(record(&ledger).payment.version, 1, "what a transaction has made of it is not loaded over");
}

#[test]
fn which_versions_are_acknowledged() {
    let rules = rules(EscalatedOrders::All);
    let before = [arrival("e1", Status::Pending, 1), arrival("e2", Status::Succeeded, 2)];
    for (acks, answers, messages) in [
        (vec![0, 3], vec![Acknowledgement::NoSuchVersion; 2], vec![]),
        (vec![1, 1], vec![Acknowledgement::First, Acknowledgement::Known], vec![]),
        (
            vec![1, 2, 2],
            vec![Acknowledgement::First, Acknowledgement::First, Acknowledgement::Known],
            vec!["payment.delivered"],
        ),
        (vec![2, 1], vec![Acknowledgement::First, Acknowledgement::Known], vec!["payment.delivered"]),
    ] {
        let mut ledger = ledger(&rules, &before);
        let answered: Vec<_> =
            acks.iter().map(|version| ledger.acknowledge(0, *version, PAGE).unwrap().unwrap()).collect();
        assert_eq!(answered, answers, "{acks:?}");
        assert_eq!(recorded(&ledger).1, messages, "{acks:?}");
        assert_eq!(record(&ledger).finality.escalate_ms.is_none(), !messages.is_empty(), "{acks:?}");
    }
    let mut unknown = ledger(&rules, &[]);
    assert_eq!(unknown.acknowledge(0, 1, PAGE).unwrap().unwrap(), Acknowledgement::NoSuchVersion);
    assert_eq!(unknown.acknowledge(1, 1, PAGE).unwrap().unwrap(), Acknowledgement::NoSuchVersion);
}

#[test]
fn it_is_asked_who_waits_only_where_that_matters() {
    let (watched, all) = (rules(EscalatedOrders::Watched), rules(EscalatedOrders::All));
    let paid = arrival("e2", Status::Succeeded, 2);
    let asks = |rules, before: &[Arrival], arrival: &Arrival| ledger(rules, before).asks_watched(0, arrival);
    assert!(asks(&watched, &[], &paid));
    assert!(!asks(&all, &[], &paid));
    assert!(!asks(&watched, &[], &arrival("e1", Status::Pending, 1)));
    assert!(!asks(&watched, &[arrival("e1", Status::Succeeded, 1)], &paid), "it is final by that already");
    assert!(!asks(&watched, &[], &Arrival { watched: true, ..paid.clone() }));
    let mut began = ledger(&watched, &[]);
    began.note(&Note { key: key("a"), at_ms: 5, what: NoteKind::Watched(PAGE) }).unwrap();
    assert!(!began.asks_watched(0, &paid));
    began.apply(0, &paid, false).unwrap().unwrap();
    assert_eq!(record(&began).finality.escalate_ms, Some(NOW_MS + 60_000), "the page began in this transaction");
}

#[test]
fn a_result_is_escalated_once_when_it_is_due() {
    let rules = rules(EscalatedOrders::All);
    let mut ledger = ledger(&rules, &[arrival("e1", Status::Succeeded, 1)]);
    let due_ms = NOW_MS + 60_000;
    assert!(!ledger.escalate(&key("a"), due_ms - 1).unwrap().unwrap());
    assert!(!record(&ledger).changed);
    assert!(ledger.escalate(&key("a"), due_ms).unwrap().unwrap());
    assert!(!ledger.escalate(&key("a"), due_ms).unwrap().unwrap());
    assert_eq!(recorded(&ledger), (vec!["undelivered".to_owned()], vec!["payment.undelivered"]));
    assert!(matches!(ledger.escalate(&key("b"), due_ms).unwrap(), Err(Error::Corrupt(_))), "not found by its order");
}

#[test]
fn inquiries_are_of_open_orders() {
    let rules = rules(EscalatedOrders::Off);
    for (before, is_open) in [
        (vec![], true),
        (vec![arrival("e1", Status::Pending, 1)], true),
        (vec![arrival("e1", Status::Succeeded, 1)], false),
    ] {
        assert_eq!(ledger(&rules, &before).is_open(&key("a")), is_open);
    }
    let mut ledger = ledger(&rules, &[]);
    ledger.inquired(&Inquiry { key: key("a"), step: 2, waited_s: 31 }).unwrap();
    assert_eq!(recorded(&ledger), (vec!["inquired".to_owned()], vec!["payment.inquiry"]));
    assert_eq!(ledger.unknown().into_iter().collect::<Vec<_>>(), [(&key("a"), NOW_MS)]);
}

#[test]
fn notes_go_to_known_orders_and_dead_letters_to_all() {
    let pushed = NoteKind::Pushed { page: PAGE, version: 1, after_ms: None };
    let dead = NoteKind::DeadLettered { event_id: "e9".to_owned(), reason: "id_reused" };
    let noted = |timeline, row| {
        let rules = Rules { timeline, ..rules(EscalatedOrders::Off) };
        let mut ledger = Ledger::new(&rules, NOW_MS);
        ledger.load(key("a"), row);
        for (at_ms, what) in [(7, pushed.clone()), (9, dead.clone()), (8, dead.clone())] {
            ledger.note(&Note { key: key("a"), at_ms, what }).unwrap();
        }
        (recorded(&ledger).0.len(), ledger.unknown().values().copied().collect::<Vec<_>>())
    };
    assert_eq!(noted(true, Row::Unread), (3, vec![]));
    assert_eq!(noted(true, Row::Absent), (2, vec![9]));
    assert_eq!(noted(false, Row::Unread), (0, vec![]));
}

#[test]
fn pages_that_began_are_counted_by_order() {
    let rules = rules(EscalatedOrders::Watched);
    let mut ledger = ledger(&rules, &[arrival("e1", Status::Succeeded, 1)]);
    let other = PageRef { connection: 4, ..PAGE };
    for (at_ms, page) in [(NOW_MS + 9, PAGE), (NOW_MS + 5, other), (NOW_MS + 12, other)] {
        ledger.note(&Note { key: key("a"), at_ms, what: NoteKind::Watched(page) }).unwrap();
    }
    let began = Began { first: PAGE, pages: 3, first_ms: NOW_MS + 9, last_ms: NOW_MS + 12 };
    assert_eq!(ledger.began()[&key("a")], began);
    assert_eq!(record(&ledger).finality.escalate_ms, Some(NOW_MS + 60_000));
    assert!(record(&ledger).changed);
}

#[test]
fn what_an_attempt_before_did_is_answered_once_of_a_duplicate() {
    let rules = rules(EscalatedOrders::Off);
    let first = arrival("e1", Status::Failed, 5);
    let mut ledger = ledger(&rules, std::slice::from_ref(&first));
    let did = Did { change: Change::Applied, conflicts: Conflicts::NONE, claims: Vec::new(), version: 1 };
    ledger.repeat([((key("a"), first.event.event_id.clone()), did)]);
    let changes: Vec<_> = (0..2).map(|_| ledger.apply(0, &first, false).unwrap().unwrap().change).collect();
    assert_eq!(changes, [Change::Applied, Change::Duplicate]);
    assert!(ledger.log.may_be_written && !record(&ledger).changed);
}

#[test]
fn every_order_of_many_entries_is_trimmed_in_time() {
    let rules = rules(EscalatedOrders::Off);
    let again = arrival("e1", Status::Pending, 1);
    let (mut written, mut looks, mut longest) = (0, 0, 0);
    let mut since = 0;
    for _ in 0..400 {
        let mut ledger = ledger(&rules, std::slice::from_ref(&again));
        for _ in 0..3 {
            ledger.apply(0, &again, false).unwrap().unwrap();
        }
        since += ledger.log.len();
        if !ledger.log.trimmed(written).is_empty() {
            (looks, longest, since) = (looks + 1, longest.max(since), 0);
        }
        written += u64::try_from(ledger.log.len()).unwrap();
    }
    assert!((10..=30).contains(&looks), "about one entry in 64: {looks} of {written}");
    assert!(longest < ENTRIES_MAX, "{longest} entries without a look");
}

fn stored(at_ms: i64) -> StoredEntry {
    StoredEntry { at_ms, node: "node-1".to_owned(), json: format!(r#"{{"type":"pushed","version":{at_ms}}}"#) }
}

fn watch(first_ms: i64, pages: u64) -> Watch {
    let (transport, node) = ("sse".to_owned(), "node-2".to_owned());
    Watch { first_ms, last_ms: first_ms + 1, pages, transport, connection: 1, node }
}

#[test]
fn a_timeline_is_in_order_of_time_and_keeps_the_latest() {
    let shown = |stored, watch| assemble(&key("a"), None, stored, watch).unwrap().entries;
    let times = |entries: &[Entry]| entries.iter().map(|entry| entry.at_ms).collect::<Vec<_>>();
    let entries = shown(vec![stored(5), stored(3), stored(5), stored(9)], Some(watch(5, 2)));
    assert_eq!(times(&entries), [3, 5, 5, 5, 9]);
    assert_eq!(entries[1].what["type"], "watched", "who waited comes before what came at that time");
    assert!(shown(vec![], Some(watch(5, 0))).is_empty(), "nobody waited");
    let many = || (1..=500).map(stored).collect::<Vec<_>>();
    assert_eq!(ENTRIES_MAX, 500);
    for (first_ms, first) in [(0, 1), (250, 2)] {
        let entries = shown(many(), Some(watch(first_ms, 1)));
        assert_eq!((entries.len(), entries[0].at_ms), (ENTRIES_MAX, first), "the oldest goes");
    }
    let broken = StoredEntry { json: "{".to_owned(), ..stored(1) };
    let why = assemble(&key("a"), None, vec![broken], None).unwrap_err().to_string();
    assert!(why.contains("timeline of merchant shop order a"), "{why}");
}

#[test]
fn which_rows_are_old() {
    let row = |made_ms, changed_ms| Some((made_ms, changed_ms));
    for (name, rows, rows_max, looked_at, old, done) in [
        ("nothing", vec![], 4, 0, vec![], true),
        ("all, and there may be more", vec![row(1, 1), row(2, 3)], 2, 2, vec![0, 1], false),
        ("all, and no more", vec![row(1, 1), row(2, 3)], 4, 2, vec![0, 1], true),
        ("changed since", vec![row(1, 1), row(2, 99), row(3, 3)], 4, 3, vec![0, 2], true),
        ("young ones end it", vec![row(1, 1), row(50, 50), row(2, 2)], 3, 1, vec![0], true),
        ("one that cannot be read", vec![row(1, 1), None, row(2, 2)], 3, 3, vec![0, 2], false),
        ("made under a wrong clock", vec![row(1, 1), row(901, 901), row(2, 2)], 3, 3, vec![0, 2], false),
    ] {
        assert_eq!(examine(&rows, 50, 900, rows_max), Examined { looked_at, old, done }, "{name}");
    }
}

#[test]
fn a_step_is_done_where_every_table_is() {
    let swept = |rows, damaged, done| Swept { rows, damaged, done };
    let all = purged(swept(3, 1, true), &[swept(9, 2, true)], swept(5, 0, true));
    assert_eq!((all.payments, all.entries, all.damaged, all.done), (3, 5, 3, true));
    for undone in 0..3 {
        let each = |n| swept(0, 0, n != undone);
        assert!(!purged(each(0), &[each(1)], each(2)).done);
    }
}

#[test]
fn a_row_says_whose_it_is_and_counts_from_one() {
    let state_of = |text: &str| state(&key("a"), text);
    let good = serde_json::to_string(&crate::payment::State::first(arrival("e1", Status::Pending, 1).event)).unwrap();
    assert!(state_of(&good).is_ok());
    for (text, why) in [
        ("{}", "order a"),
        (good.replace("\"order_id\":\"a\"", "\"order_id\":\"b\"").as_str(), "another payment"),
        (good.replace("\"version\":1", "\"version\":0").as_str(), "out of range"),
        (good.replace("\"version\":1", &format!("\"version\":{}", u64::MAX)).as_str(), "out of range"),
    ] {
        let error = state_of(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn payments_are_shared_and_not_copied() {
    let rules = rules(EscalatedOrders::Off);
    let mut ledger = ledger(&rules, &[]);
    let outcome = ledger.apply(0, &arrival("e1", Status::Pending, 1), false).unwrap().unwrap();
    assert!(Arc::ptr_eq(&outcome.payment, &record(&ledger).payment));
}
