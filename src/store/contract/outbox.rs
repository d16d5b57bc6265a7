//! What merchants are sent, and how often.

use serde_json::{Value, json};

use super::events::{event, fen_of, key, one_by_one, page};
use super::{Place, Settings, open, open_with, settings};
use crate::payment::{Event, RefundStatus, Status};
use crate::store::{Arrival, EscalatedOrders, Inquiry, Note, NoteKind, Outgoing, PageRef, PaymentStore};
use crate::telemetry::Transport;

const AFTER_MS: u64 = 60_000;
/// When results are received in these tests, and when they are due.
const RECEIVED_MS: i64 = 1_000_000;
const DUE_MS: i64 = 1_060_000;

fn escalating(orders: EscalatedOrders) -> Settings {
    settings().escalating(AFTER_MS, orders)
}

fn arrival(order: &str, id: &str, status: Status, watched: bool) -> Arrival {
    Arrival { received_ms: RECEIVED_MS, watched, ..Arrival::from(event(order, id, status, 5)) }
}

fn watched(order: &str, at_ms: i64) -> Note {
    Note { key: key(order), at_ms, what: NoteKind::Watched(page()) }
}

/// All that waits, taken for so long that nobody else gets it within the test.
async fn waiting(store: &dyn PaymentStore) -> Vec<Outgoing> {
    store.outbox_lease(1_000, 3_600_000).await.unwrap()
}

/// Takes what waits out for good and answers the ids.
async fn take(store: &dyn PaymentStore) -> Vec<String> {
    let messages = waiting(store).await;
    store.outbox_remove(messages.iter().map(|message| message.id).collect()).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 0);
    messages.into_iter().map(|message| message.message_id).collect()
}

fn data(message: &Outgoing) -> Value {
    let mut body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!((&body["specversion"], &body["type"]), (&json!("1.0"), &json!(message.routing_key)));
    assert_eq!(body["id"], message.message_id.as_str());
    assert_eq!(body["source"], format!("payment-notifier/{}", settings().instance));
    body["data"].take()
}

pub(crate) async fn the_first_acknowledgement_of_a_result_is_delivered(place: &impl Place) {
    let store = open(place).await;
    let refunded =
        Event { refund: super::events::refund(RefundStatus::Full, 100), ..event("a", "e3", Status::Succeeded, 9) };
    one_by_one(&store, [event("a", "e1", Status::Pending, 1)]).await;
    store.acknowledge(&key("a"), 1, page()).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 0, "not a result");
    one_by_one(&store, [event("a", "e2", Status::Succeeded, 2)]).await;
    let by = PageRef { transport: Transport::Sse, connection: 3 };
    store.acknowledge(&key("a"), 1, by).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 0, "not of the result");
    store.acknowledge(&key("a"), 2, by).await.unwrap();
    store.acknowledge(&key("a"), 2, page()).await.unwrap();
    one_by_one(&store, [refunded]).await;
    store.acknowledge(&key("a"), 3, page()).await.unwrap();
    store.close().await;

    let store = open(place).await;
    assert_eq!(store.outbox_len().await.unwrap(), 1);
    let messages = waiting(&*store).await;
    let [message] = &messages[..] else { panic!("once: {messages:?}") };
    assert_eq!(message.routing_key, "payment.delivered");
    assert_eq!(message.message_id, "payment.delivered:shop:a:2");
    let data = data(message);
    assert_eq!(
        (&data["merchant_id"], &data["order_id"], &data["version"], &data["status"], &data["transport"]),
        (&json!("shop"), &json!("a"), &json!(2), &json!("succeeded"), &json!("sse"))
    );
    let ms = data["ms_since_arrival"].as_i64().unwrap();
    assert!((0..600_000).contains(&ms), "{ms}");
    assert!(data["acknowledged_at"].is_string());
}

pub(crate) async fn a_result_that_no_page_shows_is_undelivered_once(place: &impl Place) {
    let store = open_with(place, escalating(EscalatedOrders::Watched)).await;
    let failed = arrival("a", "e1", Status::Failed, true);
    store.apply(vec![failed.clone()]).await.unwrap();
    store.apply(vec![failed]).await.unwrap();
    assert_eq!(store.escalate(DUE_MS - 1, 10).await.unwrap().messages, 0);
    store.close().await;
    let store = open_with(place, escalating(EscalatedOrders::Watched)).await;
    let (one, other) = tokio::join!(store.escalate(DUE_MS, 10), store.escalate(DUE_MS, 10));
    assert_eq!(one.unwrap().messages + other.unwrap().messages, 1);
    store.record(vec![watched("a", DUE_MS)]).await.unwrap();
    assert_eq!(store.escalate(DUE_MS * 2, 10).await.unwrap().messages, 0, "nor for a page that comes late");
    let messages = waiting(&*store).await;
    let [message] = &messages[..] else { panic!("once: {messages:?}") };
    assert_eq!(message.message_id, "payment.undelivered:shop:a:1");
    let expected = json!({
        "merchant_id": "shop", "order_id": "a", "version": 1, "status": "failed", "final": true,
        "occurred_at": "2026-01-31T08:00:05Z", "arrived_at": "1970-01-01T00:16:40Z",
    });
    assert_eq!(data(message), expected);
    let timeline = store.timeline(&key("a")).await.unwrap().entries;
    let undelivered = timeline.iter().filter(|entry| entry.what["type"] == "undelivered").count();
    assert_eq!(undelivered, 1);

    // Another result is another matter.
    store.apply(vec![arrival("a", "e2", Status::Succeeded, true)]).await.unwrap();
    assert_eq!(store.escalate(DUE_MS, 10).await.unwrap().messages, 1);
    // Late, but shown.
    store.acknowledge(&key("a"), 2, page()).await.unwrap();
    store.outbox_remove(vec![message.id]).await.unwrap();
    assert_eq!(take(&*store).await, ["payment.undelivered:shop:a:2", "payment.delivered:shop:a:2"]);
}

pub(crate) async fn an_acknowledgement_ends_the_escalation(place: &impl Place) {
    let store = open_with(place, escalating(EscalatedOrders::All)).await;
    let batch = ["a", "b", "c"].map(|order| arrival(order, "e1", Status::Succeeded, false));
    store.apply(batch.to_vec()).await.unwrap();
    store.acknowledge(&key("b"), 1, page()).await.unwrap();
    store.acknowledge(&key("c"), 2, page()).await.unwrap();
    store.close().await;
    let store = open_with(place, escalating(EscalatedOrders::All)).await;
    assert_eq!(store.escalate(DUE_MS, 1).await.unwrap().messages, 1, "no more than may be");
    assert_eq!(store.escalate(DUE_MS, 10).await.unwrap().messages, 1);
    let mut ids = take(&*store).await;
    ids.sort_unstable();
    let undelivered = ["a", "c"].map(|order| format!("payment.undelivered:shop:{order}:1"));
    assert_eq!(ids, ["payment.delivered:shop:b:1", &undelivered[0], &undelivered[1]]);
}

pub(crate) async fn which_orders_are_escalated_is_set(place: &impl Place) {
    for (orders, expected) in [
        (EscalatedOrders::Off, &[][..]),
        (EscalatedOrders::Watched, &["here", "later", "left"][..]),
        (EscalatedOrders::All, &["here", "later", "left", "nobody"][..]),
    ] {
        let store = open_with(place, escalating(orders)).await;
        let order = |name: &str| format!("{name}-{orders:?}");
        store.record(vec![watched(&order("left"), RECEIVED_MS - 50)]).await.unwrap();
        let mut batch =
            ["nobody", "later", "left"].map(|name| arrival(&order(name), "e1", Status::Succeeded, false)).to_vec();
        batch.push(arrival(&order("here"), "e1", Status::Succeeded, true));
        batch.push(arrival(&order("open"), "e1", Status::Pending, true));
        store.apply(batch).await.unwrap();
        store.record(vec![watched(&order("later"), RECEIVED_MS + 50)]).await.unwrap();
        store.escalate(DUE_MS, 10).await.unwrap();
        let mut ids = take(&*store).await;
        ids.sort_unstable();
        let expected: Vec<_> =
            expected.iter().map(|name| format!("payment.undelivered:shop:{}:1", order(name))).collect();
        assert_eq!(ids, expected, "{orders:?}");
        store.close().await;
    }
}

pub(crate) async fn a_page_that_comes_late_is_given_time(place: &impl Place) {
    let store = open_with(place, escalating(EscalatedOrders::Watched)).await;
    let orders = ["acknowledged", "silent", "shown"];
    let batch = orders.map(|order| arrival(order, "e1", Status::Succeeded, false));
    store.apply(batch.to_vec()).await.unwrap();
    store.acknowledge(&key("shown"), 1, page()).await.unwrap();
    assert_eq!(store.escalate(DUE_MS, 10).await.unwrap().messages, 0, "nobody waits");
    store.record(orders.map(|order| watched(order, DUE_MS + 9_000)).to_vec()).await.unwrap();
    assert_eq!(store.escalate(DUE_MS + 9_000, 10).await.unwrap().messages, 0);
    store.acknowledge(&key("acknowledged"), 1, page()).await.unwrap();
    assert_eq!(store.escalate(DUE_MS + 20_000, 10).await.unwrap().messages, 1);
    assert_eq!(take(&*store).await.last().unwrap(), "payment.undelivered:shop:silent:1");
}

pub(crate) async fn each_conflict_is_published_once(place: &impl Place) {
    let store = open(place).await;
    let failed = event("a", "e1", Status::Failed, 5);
    let canceled = event("a", "e2", Status::Canceled, 6);
    one_by_one(&store, [failed.clone(), canceled.clone(), canceled, failed]).await;
    one_by_one(&store, [event("a", "e3", Status::Canceled, 7), event("a", "e4", Status::Succeeded, 1)]).await;
    store.close().await;
    let store = open(place).await;
    let messages = waiting(&*store).await;
    let ids: Vec<_> = messages.iter().map(|message| message.message_id.as_str()).collect();
    assert_eq!(ids, ["payment.conflict:shop:a:1:ac0f09c0f8bf5e7a", "payment.conflict:shop:a:2:449777124b1466a8"]);
    let claim = |id: &str, status: &str, at: &str| json!({"event_id": id, "status": status, "occurred_at": at});
    let expected = json!({
        "merchant_id": "shop", "order_id": "a", "kinds": ["failed_and_canceled"], "version": 1, "status": "failed",
        "event_id": "e2",
        "claims": [claim("e1", "failed", "2026-01-31T08:00:05Z"), claim("e2", "canceled", "2026-01-31T08:00:06Z")],
    });
    assert_eq!(data(&messages[0]), expected);
    assert_eq!(data(&messages[1])["kinds"], json!(["failed_after_succeeded", "canceled_after_succeeded"]));
}

pub(crate) async fn each_further_charge_of_an_order_is_published_once(place: &impl Place) {
    let store = open(place).await;
    let paid = |id: &str, provider: &str, transaction: &str, second| Event {
        amount: Some(fen_of(1999)),
        provider: Some(provider.into()),
        provider_transaction_id: Some(transaction.into()),
        ..event("a", id, Status::Succeeded, second)
    };
    let (first, second) = (paid("e1", "wechat_pay", "4200A", 1), paid("e2", "alipay", "2026ALI", 2));
    one_by_one(&store, [first.clone(), second.clone(), second, first]).await;
    store.close().await;
    let store = open(place).await;
    let outcomes = one_by_one(&store, [paid("e3", "stripe", "pi_3", 3), paid("e4", "stripe", "pi_3", 4)]).await;
    assert_eq!(outcomes[0].payment.provider.as_deref(), Some("wechat_pay"), "the first stands");
    let messages: Vec<_> = waiting(&*store).await.iter().map(data).collect();
    let transactions = |n: usize| {
        let claims = messages[n]["claims"].as_array().unwrap().iter();
        claims.map(|claim| claim["provider_transaction_id"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message["kinds"] == json!(["paid_twice"])));
    assert_eq!((transactions(0), transactions(1)), (vec!["4200A", "2026ALI"], vec!["4200A", "2026ALI", "pi_3"]));
    let timeline = store.timeline(&key("a")).await.unwrap();
    let told: Vec<_> = timeline.entries.iter().filter(|entry| entry.what["type"] == "conflict").collect();
    assert_eq!(
        told.iter().map(|entry| &entry.what["claims"]).collect::<Vec<_>>(),
        [&messages[0]["claims"], &messages[1]["claims"]]
    );
}

pub(crate) async fn each_step_of_an_inquiry_is_published_once_and_none_after_the_result(place: &impl Place) {
    let store = open(place).await;
    let inquiry = |order: &str, step| Inquiry { key: key(order), step, waited_s: 5 * u64::from(step) };
    let pending = Event {
        provider: Some("wechat_pay".into()),
        provider_transaction_id: Some("4200001".into()),
        ..event("a", "e1", Status::Pending, 1)
    };
    one_by_one(&store, [pending, event("final", "e1", Status::Failed, 1)]).await;
    let first = ["a", "final", "unknown", "a"].map(|order| inquiry(order, 1));
    assert_eq!(store.inquire(first.to_vec()).await.unwrap(), 2);
    assert_eq!(store.inquire(first.to_vec()).await.unwrap(), 0);
    store.close().await;
    let store = open(place).await;
    assert_eq!(store.inquire(first.to_vec()).await.unwrap(), 0);
    assert_eq!(store.inquire(vec![inquiry("a", 2)]).await.unwrap(), 1);
    assert_eq!(store.inquire(vec![inquiry("a", 1)]).await.unwrap(), 0);
    one_by_one(&store, [event("a", "e2", Status::Succeeded, 2)]).await;
    assert_eq!(store.inquire(vec![inquiry("a", 3)]).await.unwrap(), 0);
    let messages = waiting(&*store).await;
    assert!(messages.iter().all(|message| message.routing_key == "payment.inquiry"));
    let data: Vec<_> = messages.iter().map(data).collect();
    let of_a = |step: u32| {
        json!({
            "merchant_id": "shop", "order_id": "a", "waited_s": 5 * step, "step": step, "status": "pending", "version": 1,
            "provider": "wechat_pay", "provider_transaction_id": "4200001",
        })
    };
    let of_unknown = json!({
        "merchant_id": "shop", "order_id": "unknown", "waited_s": 5, "step": 1, "status": "unknown", "version": 0,
    });
    assert_eq!(data, [of_a(1), of_unknown, of_a(2)]);
    let watched_by_nobody = store.timeline(&key("unknown")).await.unwrap().entries;
    assert!(watched_by_nobody.iter().all(|entry| entry.what["type"] == "inquired"), "{watched_by_nobody:?}");
}

pub(crate) async fn what_is_taken_from_the_outbox_comes_back_unless_it_was_sent(place: &impl Place) {
    let store = open(place).await;
    let inquiries = (0..10).map(|n| Inquiry { key: key(&format!("o{n}")), step: 1, waited_s: 5 }).collect();
    assert_eq!(store.inquire(inquiries).await.unwrap(), 10);
    assert_eq!(store.outbox_len().await.unwrap(), 10);
    let ids = |messages: Vec<Outgoing>| messages.into_iter().map(|message| message.id).collect::<Vec<_>>();
    let first = ids(store.outbox_lease(4, 3_600_000).await.unwrap());
    let second = ids(store.outbox_lease(4, 1).await.unwrap());
    assert!(first.len() == 4 && second.len() == 4 && first.is_sorted() && first[3] < second[0], "the oldest first");
    store.outbox_remove(first[..2].to_vec()).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 8);
    // The second are free again once their time is over, the first are not.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut third = Vec::new();
    while third.len() < 6 {
        assert!(std::time::Instant::now() < deadline, "only {third:?}");
        third.extend(ids(store.outbox_lease(100, 3_600_000).await.unwrap()));
    }
    third.sort_unstable();
    assert_eq!(third[..4], second);
    assert_eq!(third.len(), 6);
    store.outbox_remove(third.clone()).await.unwrap();
    store.outbox_remove(third).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 2);
    store.close().await;
    let store = open(place).await;
    assert_eq!(store.outbox_len().await.unwrap(), 2, "what was not sent is not lost");
    store.outbox_remove(first).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 0);
}

pub(crate) async fn what_is_postponed_comes_back_later_and_in_front_of_nobody(place: &impl Place) {
    let store = open(place).await;
    let inquiries = (0..6).map(|n| Inquiry { key: key(&format!("o{n}")), step: 1, waited_s: 5 }).collect();
    store.inquire(inquiries).await.unwrap();
    let ids = |messages: Vec<Outgoing>| messages.into_iter().map(|message| message.id).collect::<Vec<_>>();
    let first = ids(store.outbox_lease(3, 3_600_000).await.unwrap());
    store.outbox_postpone(first.clone(), 1).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut again = Vec::new();
    while again.len() < 3 {
        assert!(std::time::Instant::now() < deadline, "only {again:?}");
        again.extend(ids(store.outbox_lease(1, 3_600_000).await.unwrap()).into_iter().filter(|id| first.contains(id)));
    }
    again.sort_unstable();
    assert_eq!(again, first, "however long the lease was that they had");
    store.outbox_postpone(first.clone(), 3_600_000).await.unwrap();
    assert!(ids(store.outbox_lease(10, 3_600_000).await.unwrap()).iter().all(|id| !first.contains(id)));
    assert_eq!(store.outbox_len().await.unwrap(), 6, "they stay");
    store.outbox_remove(first).await.unwrap();
    assert_eq!(store.outbox_len().await.unwrap(), 3);
}
