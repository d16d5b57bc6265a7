//! `GET /v1/orders/{merchant_id}/{order_id}`: what happened to one order, for programs and for people.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::context::OperatorContext;
use super::labels::{self, since};
use super::problems::store_problem;
use crate::http::Problem;
use crate::payment::{Key, MerchantId, OrderId};
use crate::runtime::rfc3339_ms;
use crate::store::{ENTRIES_MAX, Entry, Timeline};

pub(super) async fn get(
    State(context): State<OperatorContext>,
    Path((merchant_id, order_id)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let key = key(&merchant_id, &order_id)?;
    let story = told(&context, &key).await?.ok_or_else(never_heard_of)?;
    Ok(Json(object(&key, &story)))
}

pub(super) fn key(merchant_id: &str, order_id: &str) -> Result<Key, Problem> {
    let merchant_id =
        MerchantId::new(merchant_id).map_err(|rule| Problem::bad_request(format!("merchant_id {rule}")))?;
    let order_id = OrderId::new(order_id).map_err(|rule| Problem::bad_request(format!("order_id {rule}")))?;
    Ok(Key::new(merchant_id, order_id))
}

/// The story, unless nothing of the order was ever told.
pub(super) async fn told(context: &OperatorContext, key: &Key) -> Result<Option<Timeline>, Problem> {
    let mut story = context.store.timeline(key).await.map_err(store_problem)?;
    story.entries.sort_by_key(place);
    Ok((story.payment.is_some() || !story.entries.is_empty()).then_some(story))
}

/// By time. What a page was given is written down after what it says of it, and a millisecond may hold both.
fn place(entry: &Entry) -> (i64, bool) {
    (entry.at_ms, entry.what.get("type").is_some_and(|kind| kind == "acknowledged"))
}

fn never_heard_of() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_order", "this order is unknown")
}

fn object(key: &Key, story: &Timeline) -> Value {
    let payment = story.payment.as_ref().map(|payment| payment.page_json());
    let payment: Value = payment.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let first_ms = story.entries.first().map_or(0, |entry| entry.at_ms);
    json!({
        "merchant_id": key.merchant_id,
        "order_id": key.order_id,
        "payment": payment,
        "acked_version": story.acked_version,
        "text": labels::state(story),
        "entries": story.entries.iter().map(|entry| of_entry(entry, first_ms)).collect::<Vec<_>>(),
        "entries_max": ENTRIES_MAX,
    })
}

fn of_entry(entry: &Entry, first_ms: i64) -> Value {
    let mut object = Map::new();
    object.insert("at".to_owned(), rfc3339_ms(entry.at_ms).into());
    object.insert("after_first_ms".to_owned(), entry.at_ms.saturating_sub(first_ms).into());
    object.insert("since".to_owned(), since(entry.at_ms.saturating_sub(first_ms)).into());
    object.insert("node".to_owned(), entry.node.clone().into());
    object.extend(entry.what.iter().map(|(name, value)| (name.clone(), value.clone())));
    let told = labels::of(&entry.what);
    object.insert("label".to_owned(), told.label.into());
    object.insert("text".to_owned(), told.text.into());
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_given_a_version_before_it_has_shown_it() {
        let entry = |at_ms: i64, kind: &str| {
            let what = Map::from_iter([("type".to_owned(), kind.into())]);
            Entry { at_ms, node: "n".to_owned(), what }
        };
        let mut entries = [entry(1, "arrived"), entry(2, "acknowledged"), entry(2, "pushed"), entry(3, "undelivered")];
        entries.sort_by_key(place);
        let kinds = entries.map(|entry| entry.what["type"].as_str().unwrap().to_owned());
        assert_eq!(kinds, ["arrived", "pushed", "acknowledged", "undelivered"]);
    }
}
