//! How orders are found without their merchant, or by the provider's number.

use super::events::{event, key, page};
use super::{Place, Settings, open, open_with, settings};
use crate::payment::{Event, EventId, Key, MerchantId, OrderId, Status, Timestamp};
use crate::store::{Arrival, Note, NoteKind, ORDERS_MAX, OrderSummary, PaymentStore, PurgeBefore, TRANSACTIONS_MAX};

fn of_merchant(merchant: &str, order: &str) -> Key {
    Key::new(MerchantId::new(merchant).unwrap(), OrderId::new(order).unwrap())
}

fn bearing(order: &str, id: &str, status: Status, second: u32, transaction: &str) -> Event {
    Event { provider_transaction_id: Some(transaction.into()), ..event(order, id, status, second) }
}

fn names(orders: &[OrderSummary]) -> Vec<String> {
    orders.iter().map(|order| format!("{}/{}", order.key.merchant_id, order.key.order_id)).collect()
}

async fn by_transaction(store: &dyn PaymentStore, transaction: &str) -> Vec<String> {
    let found = store.orders_of_transaction(transaction, None).await.unwrap();
    assert!(!found.more);
    names(&found.orders)
}

pub(crate) async fn an_order_is_found_by_each_number_that_its_events_bore(place: &impl Place) {
    let store = open(place).await;
    let succeeded = Status::Succeeded;
    let other = Event { key: of_merchant("another", "b"), ..bearing("b", "e1", succeeded, 1, "4200A") };
    let batch = vec![
        bearing("a", "e1", Status::Pending, 1, "pi_1"),
        bearing("a", "e2", succeeded, 2, "4200A"),
        bearing("a", "e2", succeeded, 2, "4200A"),
        event("c", "e1", succeeded, 1),
        bearing("odd", "e1", succeeded, 1, "'; DROP TABLE payments --"),
        bearing("odd", "e2", Status::Failed, 1, "line\u{a}\u{0}break"),
        other,
    ];
    store.apply_events(batch).await.unwrap();
    // Stale, and so the only word of a second charge.
    store.apply_events(vec![bearing("a", "e3", succeeded, 3, "2026ALI")]).await.unwrap();
    store.apply_events(vec![event("a", "e4", Status::Pending, 9)]).await.unwrap();
    store.close().await;

    let store = open(place).await;
    for transaction in ["pi_1", "2026ALI"] {
        assert_eq!(by_transaction(&*store, transaction).await, ["shop/a"], "{transaction}");
    }
    assert_eq!(by_transaction(&*store, "4200A").await, ["another/b", "shop/a"]);
    assert_eq!(by_transaction(&*store, "'; DROP TABLE payments --").await, ["shop/odd"]);
    for nothing in ["4200a", "4200", "4200A ", "%", "a", "订单", "' OR '1'='1", &"x".repeat(128)] {
        assert!(by_transaction(&*store, nothing).await.is_empty(), "{nothing}");
    }
    let of_one = store.orders_of_transaction("4200A", Some(&MerchantId::new("shop").unwrap())).await.unwrap();
    assert_eq!(names(&of_one.orders), ["shop/a"]);
    assert_eq!(of_one.orders[0].status.as_deref(), Some("succeeded"));
    let nobody = MerchantId::new("nobody").unwrap();
    assert!(store.orders_of_transaction("4200A", Some(&nobody)).await.unwrap().orders.is_empty());
}

pub(crate) async fn an_order_keeps_no_more_numbers_than_it_may(place: &impl Place) {
    let store = open(place).await;
    let mut paid = bearing("a", "paid", Status::Succeeded, 1, "paid");
    store.apply_events(vec![paid.clone()]).await.unwrap();
    let many = TRANSACTIONS_MAX * 2 + 5;
    for first in (0..many).step_by(10) {
        let open = |n: usize| bearing("a", &format!("e{n}"), Status::Pending, 2, &format!("open-{n}"));
        store.apply_events((first..first + 10).map(open).collect()).await.unwrap();
    }
    let mut left = 0;
    for n in 0..many {
        left += by_transaction(&*store, &format!("open-{n}")).await.len();
    }
    assert!(left <= TRANSACTIONS_MAX, "{left}");
    assert_eq!(by_transaction(&*store, "paid").await, ["shop/a"], "what the payment remembers stays");
    (paid.event_id, paid.provider_transaction_id) = (EventId::new("last").unwrap(), Some("last".into()));
    store.apply_events(vec![paid]).await.unwrap();
    assert_eq!(by_transaction(&*store, "last").await, ["shop/a"]);
}

pub(crate) async fn a_number_that_many_orders_bear_is_answered_within_bounds(place: &impl Place) {
    let store = open(place).await;
    let each = |n: usize| bearing(&format!("o{n:04}"), "e1", Status::Succeeded, 1, "N/A");
    store.apply_events((0..1_100).map(each).collect()).await.unwrap();
    let found = store.orders_of_transaction("N/A", None).await.unwrap();
    assert_eq!((found.orders.len(), found.more), (ORDERS_MAX, true));
}

pub(crate) async fn an_order_is_found_without_its_merchant(place: &impl Place) {
    let store = open(place).await;
    let of = |merchant: &str, order: &str| Event {
        key: of_merchant(merchant, order),
        ..event("x", "e1", Status::Succeeded, 1)
    };
    store.apply_events(vec![of("m1", "o"), of("m2", "o"), of("m2", "p*|@"), of("m3", "q")]).await.unwrap();
    let watched = |key| Note { key, at_ms: 7_000, what: NoteKind::Watched(page()) };
    store.record(vec![watched(of_merchant("m3", "o")), watched(of_merchant("stranger", "o"))]).await.unwrap();
    let found = async |order: &str| store.orders_of_number(&OrderId::new(order).unwrap()).await.unwrap();
    let of_several = found("o").await;
    assert_eq!(names(&of_several.orders), ["m1/o", "m2/o", "m3/o"]);
    assert_eq!((of_several.orders[2].status.clone(), of_several.orders[2].changed_ms), (None, 7_000));
    assert!(!of_several.more);
    assert_eq!(names(&found("p*|@").await.orders), ["m2/p*|@"]);
    assert!(found("O").await.orders.is_empty() && found("unheard").await.orders.is_empty());
}

pub(crate) async fn the_orders_of_which_something_was_recorded_last_come_first(place: &impl Place) {
    let store = open(place).await;
    assert!(store.recent_orders().await.unwrap().is_empty());
    let arrival = |order: &str, id: &str, received_ms| Arrival {
        received_ms,
        ..Arrival::from(event(order, id, Status::Pending, 1))
    };
    for n in 0..60 {
        store.apply(vec![arrival(&format!("o{n}"), "e1", 1_000 + n)]).await.unwrap();
    }
    store.apply(vec![arrival("o3", "e2", 2_000)]).await.unwrap();
    store.close().await;
    let recent = open(place).await.recent_orders().await.unwrap();
    assert_eq!(recent.len(), ORDERS_MAX);
    assert_eq!(recent[0], OrderSummary { key: key("o3"), status: Some("pending".into()), changed_ms: 2_000 });
    assert_eq!(names(&recent[1..3]), ["shop/o59", "shop/o58"]);
}

pub(crate) async fn without_timelines_recent_orders_are_those_that_were_made_last(place: &impl Place) {
    let store = open_with(place, Settings { timeline: false, ..settings() }).await;
    store.apply_events(vec![event("a", "e1", Status::Pending, 1)]).await.unwrap();
    assert_eq!(names(&store.recent_orders().await.unwrap()), ["shop/a"]);
}

pub(crate) async fn a_providers_number_goes_with_its_payment(place: &impl Place) {
    let store = open(place).await;
    store.apply_events(vec![bearing("a", "e1", Status::Succeeded, 1, "4200A")]).await.unwrap();
    let all_ms = 4_000_000_000_000;
    let before = PurgeBefore { payments_ms: all_ms, entries_ms: all_ms, unknown_ms: all_ms };
    while !store.purge(before, 50).await.unwrap().done {}
    assert!(by_transaction(&*store, "4200A").await.is_empty());
    let at = Timestamp::parse("2026-01-31T08:00:01Z").unwrap();
    let anew = Event::new(key("a"), EventId::new("e9").unwrap(), Status::Pending, at);
    store.apply_events(vec![anew]).await.unwrap();
    assert!(by_transaction(&*store, "4200A").await.is_empty(), "an order that is made anew bears it no longer");
}
