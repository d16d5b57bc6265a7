//! `GET /v1/orders/{merchant_id}/{order_id}`: what happened to one order, for programs and for people.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::context::OperatorContext;
use super::entries::{EntryText, entry_text, since, state};
use super::problems::store_problem;
use super::words::ENGLISH;
use crate::http::Problem;
use crate::payment::{Key, MerchantId, OrderId, Payment};
use crate::runtime::rfc3339_ms;
use crate::store::{ENTRIES_MAX, Entry, Timeline};

pub(super) async fn get(
    State(context): State<OperatorContext>,
    ids: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path((merchant_id, order_id)) = ids?;
    let key = key(&merchant_id, &order_id)?;
    let timeline = timeline(&context, &key).await?.ok_or_else(unknown_order)?;
    Ok(Json(object(&key, &timeline)))
}

pub(super) fn key(merchant_id: &str, order_id: &str) -> Result<Key, Problem> {
    let merchant_id =
        MerchantId::new(merchant_id).map_err(|rule| Problem::bad_request(format!("merchant_id {rule}")))?;
    let order_id = OrderId::new(order_id).map_err(|rule| Problem::bad_request(format!("order_id {rule}")))?;
    Ok(Key::new(merchant_id, order_id))
}

/// The timeline, unless nothing is known of the order.
pub(super) async fn timeline(context: &OperatorContext, key: &Key) -> Result<Option<Timeline>, Problem> {
    let mut timeline = context.store.timeline(key).await.map_err(store_problem)?;
    timeline.entries.sort_by_key(sort_key);
    Ok((timeline.payment.is_some() || !timeline.entries.is_empty()).then_some(timeline))
}

/// By time. What a page was sent is written after its acknowledgement, and a millisecond may hold both.
fn sort_key(entry: &Entry) -> (i64, bool) {
    (entry.at_ms, entry.what.get("type").is_some_and(|kind| kind == "acknowledged"))
}

fn unknown_order() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_order", "this order is unknown")
}

fn object(key: &Key, timeline: &Timeline) -> Value {
    let payment = timeline.payment.as_deref().map(payment).unwrap_or_default();
    let first_ms = timeline.entries.first().map_or(0, |entry| entry.at_ms);
    json!({
        "merchant_id": key.merchant_id,
        "order_id": key.order_id,
        "payment": payment,
        "acked_version": timeline.acked_version,
        "text": state(timeline),
        "entries": timeline.entries.iter().map(|entry| of_entry(entry, first_ms)).collect::<Vec<_>>(),
        "entries_max": ENTRIES_MAX,
    })
}

/// Without a `display` that JavaScript can read and this parser cannot: half a character, or a number without end.
fn payment(payment: &Payment) -> Value {
    let value = serde_json::from_slice(&payment.page_json());
    let without_display = || serde_json::from_slice(&Payment { display: None, ..payment.clone() }.page_json());
    value.or_else(|_| without_display()).unwrap_or_default()
}

fn of_entry(entry: &Entry, first_ms: i64) -> Value {
    let mut object = Map::new();
    object.insert("at".to_owned(), rfc3339_ms(entry.at_ms).into());
    object.insert("after_first_ms".to_owned(), entry.at_ms.saturating_sub(first_ms).into());
    object.insert("since".to_owned(), since(entry.at_ms.saturating_sub(first_ms)).into());
    object.insert("node".to_owned(), entry.node.clone().into());
    object.extend(entry.what.iter().map(|(name, value)| (name.clone(), value.clone())));
    let EntryText { label, text, .. } = entry_text(&entry.what, &ENGLISH.timeline);
    object.insert("label".to_owned(), label.into());
    object.insert("text".to_owned(), text.into());
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::payment::{Display, Event, EventId, State, Status, Timestamp};

    #[test]
    fn a_payment_is_shown_whatever_its_display_is() {
        let key = Key::new(MerchantId::new("m").unwrap(), OrderId::new("o").unwrap());
        let at = Timestamp::parse("2026-01-31T08:30:00Z").unwrap();
        for display in [r#"{"n":"\ud83d"}"#, r#"{"n":1e999}"#] {
            let mut event = Event::new(key.clone(), EventId::new("e").unwrap(), Status::Failed, at.clone());
            event.display = Some(Display::new(&RawValue::from_string(display.to_owned()).unwrap()));
            let shown = payment(&State::first(event).payment());
            assert_eq!((&shown["status"], shown.get("display")), (&json!("failed"), None), "{display}");
        }
    }

    #[test]
    fn a_page_is_given_a_version_before_it_has_shown_it() {
        let entry = |at_ms: i64, kind: &str| {
            let what = Map::from_iter([("type".to_owned(), kind.into())]);
            Entry { at_ms, node: "n".to_owned(), what }
        };
        let mut entries = [entry(1, "arrived"), entry(2, "acknowledged"), entry(2, "pushed"), entry(3, "undelivered")];
        entries.sort_by_key(sort_key);
        let kinds = entries.map(|entry| entry.what["type"].as_str().unwrap().to_owned());
        assert_eq!(kinds, ["arrived", "pushed", "acknowledged", "undelivered"]);
    }
}
