//! Short ways to say what happened.

use std::sync::Arc;

use crate::payment::{
    Change, Currency, Event, EventId, Key, MerchantId, Money, OrderId, Refund, RefundStatus, Status, Timestamp,
};
use crate::store::{Outcome, PageRef, PaymentStore};
use crate::telemetry::Transport;

pub(super) fn key(order: &str) -> Key {
    Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap())
}

/// Some page.
pub(super) fn page() -> PageRef {
    PageRef { transport: Transport::WebSocket, connection: 1 }
}

/// An event of order `order`, `second` seconds into an hour.
pub(super) fn event(order: &str, id: &str, status: Status, second: u32) -> Event {
    let at = format!("2026-01-31T08:{:02}:{:02}Z", second / 60, second % 60);
    Event::new(key(order), EventId::new(id).unwrap(), status, Timestamp::parse(&at).unwrap())
}

pub(super) fn refund(status: RefundStatus, fen: i64) -> Option<Refund> {
    Some(Refund { status, amount: Some(fen_of(fen)) })
}

pub(super) fn fen_of(value: i64) -> Money {
    Money::new(value, Currency::new("CNY").unwrap()).unwrap()
}

/// Applies events one batch each and gives the outcomes.
pub(super) async fn one_by_one(store: &Arc<dyn PaymentStore>, events: impl IntoIterator<Item = Event>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for event in events {
        outcomes.extend(store.apply_events(vec![event]).await.unwrap());
    }
    outcomes
}

pub(super) fn changes(outcomes: &[Outcome]) -> Vec<Change> {
    outcomes.iter().map(|outcome| outcome.change).collect()
}

pub(super) fn versions(outcomes: &[Outcome]) -> Vec<u64> {
    outcomes.iter().map(|outcome| outcome.payment.version).collect()
}
