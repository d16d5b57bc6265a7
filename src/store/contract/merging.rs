//! What becomes of events.

use serde_json::value::RawValue;

use super::events::{changes, event, fen_of, key, one_by_one, refund, versions};
use super::{Place, open};
use crate::payment::{Change, Conflict, Display, Event, Key, MerchantId, Reason, RefundStatus, Status, Timestamp};

pub(crate) async fn the_first_event_is_version_one(place: &impl Place) {
    let store = open(place).await;
    let outcomes = one_by_one(&store, [event("a", "e1", Status::Pending, 1)]).await;
    assert_eq!((changes(&outcomes), versions(&outcomes)), (vec![Change::Applied], vec![1]));
    assert!(outcomes[0].conflicts.is_empty());
    let read = store.read(&key("a")).await.unwrap().unwrap();
    assert_eq!(read, outcomes[0].payment);
    assert_eq!((read.status, read.is_final()), (Status::Pending, false));
}

pub(crate) async fn a_repeated_event_changes_nothing(place: &impl Place) {
    let store = open(place).await;
    let once = event("a", "e1", Status::Succeeded, 1);
    let outcomes = one_by_one(&store, [once.clone(), once.clone(), once.clone()]).await;
    assert_eq!(changes(&outcomes), [Change::Applied, Change::Duplicate, Change::Duplicate]);
    assert_eq!(versions(&outcomes), [1, 1, 1]);
    let outcomes = store.apply_events(vec![once.clone(), once]).await.unwrap();
    assert_eq!(changes(&outcomes), [Change::Duplicate, Change::Duplicate]);
}

pub(crate) async fn an_older_event_is_stale(place: &impl Place) {
    let store = open(place).await;
    let late = event("a", "e1", Status::Pending, 1);
    let events = [event("a", "e2", Status::Succeeded, 9), late.clone(), late, event("a", "e3", Status::Processing, 50)];
    let outcomes = one_by_one(&store, events).await;
    assert_eq!(changes(&outcomes), [Change::Applied, Change::Stale, Change::Duplicate, Change::Stale]);
    assert_eq!(versions(&outcomes), [1, 1, 1, 1]);
    assert!(outcomes.iter().all(|outcome| outcome.payment.status == Status::Succeeded));
}

pub(crate) async fn an_event_id_with_other_content_is_reported(place: &impl Place) {
    let store = open(place).await;
    let first = Event { amount: Some(fen_of(100)), ..event("a", "e1", Status::Pending, 1) };
    let other_amount = Event { amount: Some(fen_of(999)), ..first.clone() };
    let other_status = Event { status: Status::Succeeded, ..first.clone() };
    let outcomes = one_by_one(&store, [first, other_amount, other_status]).await;
    assert_eq!(changes(&outcomes), [Change::Applied, Change::IdReused, Change::IdReused]);
    let read = store.read(&key("a")).await.unwrap().unwrap();
    assert_eq!((read.version, read.status, read.amount), (1, Status::Pending, Some(fen_of(100))));
}

pub(crate) async fn a_refund_moves_on_its_own_axis(place: &impl Place) {
    let store = open(place).await;
    let paid = event("a", "e1", Status::Succeeded, 1);
    let part = Event { refund: refund(RefundStatus::Partial, 300), ..event("a", "e2", Status::Succeeded, 20) };
    let full = Event { refund: refund(RefundStatus::Full, 1000), ..event("a", "e3", Status::Succeeded, 30) };
    let asked = Event { refund: refund(RefundStatus::Processing, 1000), ..event("a", "e4", Status::Succeeded, 40) };
    let outcomes = one_by_one(&store, [paid.clone(), part, full.clone(), asked]).await;
    assert_eq!(changes(&outcomes), [Change::Applied, Change::Applied, Change::Applied, Change::Stale]);
    let read = store.read(&key("a")).await.unwrap().unwrap();
    assert_eq!((read.version, read.status, read.refund), (3, Status::Succeeded, full.refund));
    assert_eq!(read.occurred_at, paid.occurred_at);
}

pub(crate) async fn a_conflict_is_found_whichever_event_comes_first(place: &impl Place) {
    let store = open(place).await;
    let pairs = [
        (Status::Failed, 1, Status::Canceled, 2, Conflict::FailedAndCanceled),
        (Status::Failed, 1, Status::Expired, 2, Conflict::FailedAndExpired),
        (Status::Canceled, 1, Status::Expired, 2, Conflict::CanceledAndExpired),
        (Status::Succeeded, 1, Status::Failed, 2, Conflict::FailedAfterSucceeded),
        (Status::Succeeded, 1, Status::Canceled, 2, Conflict::CanceledAfterSucceeded),
        (Status::Succeeded, 1, Status::Expired, 2, Conflict::ExpiredAfterSucceeded),
    ];
    for (one, one_at, other, other_at, conflict) in pairs {
        let mut ends = Vec::new();
        for backwards in [false, true] {
            let order = format!("{}-{backwards}", conflict.as_str());
            let mut events = [event(&order, "e1", one, one_at), event(&order, "e2", other, other_at)];
            if backwards {
                events.reverse();
            }
            let again = events[1].clone();
            let outcomes = one_by_one(&store, events.into_iter().chain([again])).await;
            assert!(outcomes[0].conflicts.is_empty(), "{order}");
            assert_eq!(outcomes[1].conflicts.iter().collect::<Vec<_>>(), [conflict], "{order}");
            assert!(outcomes[2].conflicts.is_empty(), "a conflict is answered once: {order}");
            ends.push(outcomes[2].payment.status);
        }
        assert_eq!(ends[0], ends[1]);
    }
    // Paid after all: that is no contradiction.
    let events = [event("paid", "e1", Status::Failed, 1), event("paid", "e2", Status::Succeeded, 2)];
    let outcomes = one_by_one(&store, events).await;
    assert!(outcomes.iter().all(|outcome| outcome.conflicts.is_empty()));
    assert_eq!(outcomes[1].payment.status, Status::Succeeded);
}

pub(crate) async fn attempts_that_came_to_nothing_contradict_none_that_succeeded(place: &impl Place) {
    let store = open(place).await;
    let of = |transaction: &str, event: Event| Event { provider_transaction_id: Some(transaction.into()), ..event };
    let events = [
        of("pi_A", event("a", "e1", Status::Failed, 1)),
        of("pi_B", event("a", "e2", Status::Succeeded, 2)),
        of("pi_A", event("a", "e3", Status::Failed, 60)),
        of("pi_C", event("a", "e4", Status::Canceled, 70)),
    ];
    let outcomes = one_by_one(&store, events).await;
    assert!(outcomes.iter().all(|outcome| outcome.conflicts.is_empty()));
    let within = one_by_one(&store, [of("pi_A", event("a", "e5", Status::Canceled, 61))]).await;
    assert_eq!(within[0].conflicts.iter().collect::<Vec<_>>(), [Conflict::FailedAndCanceled]);
}

pub(crate) async fn outcomes_stand_in_the_order_of_the_events(place: &impl Place) {
    let store = open(place).await;
    let batch = vec![
        event("a", "a1", Status::Pending, 1),
        event("b", "b1", Status::Pending, 1),
        event("a", "a2", Status::Processing, 2),
        event("a", "a1", Status::Pending, 1),
        event("b", "b2", Status::Failed, 2),
        event("a", "a3", Status::Succeeded, 3),
        event("b", "b3", Status::Pending, 3),
    ];
    let orders: Vec<_> = batch.iter().map(|event| event.key.clone()).collect();
    let outcomes = store.apply_events(batch).await.unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.payment.key.clone()).collect::<Vec<_>>(), orders);
    let (applied, duplicate, stale) = (Change::Applied, Change::Duplicate, Change::Stale);
    assert_eq!(changes(&outcomes), [applied, applied, applied, duplicate, applied, applied, stale]);
    assert_eq!(versions(&outcomes), [1, 1, 2, 2, 2, 3, 2]);
    // Each is the payment after that event, not after the batch.
    assert_eq!(outcomes[2].payment.status, Status::Processing);
    assert_eq!(store.read(&key("a")).await.unwrap().unwrap(), outcomes[5].payment);
    assert_eq!(store.read(&key("b")).await.unwrap().unwrap(), outcomes[6].payment);
}

pub(crate) async fn what_nobody_spoke_of_is_unknown(place: &impl Place) {
    let store = open(place).await;
    assert!(store.read(&key("a")).await.unwrap().is_none());
    one_by_one(&store, [event("a", "e1", Status::Pending, 1)]).await;
    assert!(store.read(&key("A")).await.unwrap().is_none(), "order numbers differ by case");
}

pub(crate) async fn one_order_number_of_two_merchants_is_two_payments(place: &impl Place) {
    let store = open(place).await;
    let ours = event("a", "e1", Status::Succeeded, 1);
    let merchant_id = MerchantId::new("other").unwrap();
    let theirs = Event { key: Key { merchant_id, ..ours.key.clone() }, status: Status::Failed, ..ours.clone() };
    let (our_key, their_key) = (ours.key.clone(), theirs.key.clone());
    let outcomes = store.apply_events(vec![ours, theirs]).await.unwrap();
    assert_eq!(changes(&outcomes), [Change::Applied, Change::Applied]);
    assert_eq!(store.read(&our_key).await.unwrap().unwrap().status, Status::Succeeded);
    assert_eq!(store.read(&their_key).await.unwrap().unwrap().status, Status::Failed);
}

pub(crate) async fn texts_come_back_byte_for_byte(place: &impl Place) {
    let display = r#"{"b":1.50,"a":[12345678901234567890,1e2,-0.0],"a":"\u8ba2\n订单 \"x\"","🧾":null}"#;
    let raw: Box<RawValue> = serde_json::from_str(display).unwrap();
    let written = Event {
        occurred_at: Timestamp::parse("2026-01-31T08:30:00.120000+08:00").unwrap(),
        amount: Some(fen_of(i64::MAX)),
        provider: Some("wechat_pay".into()),
        provider_transaction_id: Some("4200001".into()),
        provider_status: Some("支付成功 '\"\\".into()),
        refund: refund(RefundStatus::Partial, 0),
        reason: Some(Reason {
            code: Some("a\"b\\c".into()), message: Some("第一行\n\t'二' \u{1f9fe}\u{7f}".into())
        }),
        display: Some(Display::new(&raw)),
        ..event("a", "事件/1 ?", Status::Failed, 1)
    };
    let store = open(place).await;
    store.apply_events(vec![written.clone()]).await.unwrap();
    store.close().await;
    let read = open(place).await.read(&key("a")).await.unwrap().unwrap();
    assert_eq!(read.display.as_ref().unwrap().as_str(), display);
    assert_eq!(read.occurred_at.as_str(), "2026-01-31T08:30:00.120000+08:00");
    assert_eq!((&read.reason, read.amount, &read.provider), (&written.reason, written.amount, &written.provider));
    assert_eq!((read.refund, read.status), (written.refund, written.status));
}

pub(crate) async fn an_empty_batch_is_nothing(place: &impl Place) {
    assert!(open(place).await.apply_events(Vec::new()).await.unwrap().is_empty());
}
