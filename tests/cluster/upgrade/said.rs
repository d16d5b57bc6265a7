//! What a service answers of each order, as JSON that can be kept beside a fixture.

use serde_json::{Map, Value, json};

use super::history::{Order, orders};
use crate::support::Service;

/// Words for people may be edited.
const WORDS: [&str; 3] = ["label", "text", "since"];

/// What is answered of all orders of the history, by merchant and order.
pub(super) async fn of_all(service: &Service) -> Value {
    let mut said = Map::new();
    for order in orders() {
        let name = format!("{}/{}", order.merchant_id, order.order_id);
        said.insert(name, of(service, &order).await);
    }
    Value::Object(said)
}

/// What is answered of one order.
pub(super) async fn of(service: &Service, order: &Order) -> Value {
    let Order { merchant_id, order_id } = order;
    let payment = service.payment(order_id, &order.ticket(), "").await;
    let mut said = json!({ "status": payment.status, "etag": payment.header("etag"), "payment": payment.json });
    // A problem's sentence is for people.
    if payment.status != 200 {
        said["payment"] = payment.json["code"].clone();
    }
    let timeline = service.admin_get(&format!("/v1/orders/{merchant_id}/{order_id}")).await;
    said["timeline_status"] = timeline.status.into();
    said["timeline"] = if timeline.status == 200 { without_words(timeline.json) } else { Value::Null };
    // Said once is enough.
    if said["timeline"]["payment"] == said["payment"] {
        said["timeline"]["payment"] = "the same".into();
    }
    said
}

fn without_words(mut timeline: Value) -> Value {
    let entries = timeline["entries"].take();
    let members = timeline.as_object_mut().expect("an object");
    let mut entries = if let Value::Array(entries) = entries { entries } else { panic!("no entries") };
    for object in entries.iter_mut().filter_map(Value::as_object_mut).chain([&mut *members]) {
        object.retain(|name, _| !WORDS.contains(&name.as_str()));
    }
    members.insert("entries".to_owned(), entries.into());
    timeline
}

/// Checks that all orders are answered as they were: every member of an answer, and every entry of a timeline, with nothing
/// before or between them. A newer version may say more.
#[track_caller]
pub(super) fn assert_same(was: &Value, is: &Value) {
    let (was, is) = (was.as_object().expect("an object"), is.as_object().expect("an object"));
    assert_eq!(was.keys().collect::<Vec<_>>(), is.keys().collect::<Vec<_>>());
    for (order, was) in was {
        let (mut was, mut is) = (was.clone(), is[order].clone());
        let (before, after) = (entries(&mut was), entries(&mut is));
        assert!(before.len() <= after.len(), "{order}: {before:?} {after:?}");
        for (was, is) in before.iter().zip(&after).chain([(&was, &is)]) {
            assert_within(order, was, is);
        }
    }
}

/// Takes the entries out of an answer, but those that come of asking for it.
pub(super) fn entries(said: &mut Value) -> Vec<Value> {
    let entries = said.pointer_mut("/timeline/entries").map(Value::take);
    let Some(Value::Array(mut entries)) = entries else { return Vec::new() };
    // Whoever asks counts as a page that waits.
    entries.retain(|entry| entry["type"] != "watched" && entry["transport"] != "poll");
    // After which time depends on the first, which may have been one of those.
    entries.iter_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("after_first_ms")));
    entries
}

/// Checks each member of an object, and those of the objects in it.
#[track_caller]
fn assert_within(order: &str, was: &Value, is: &Value) {
    let (Some(was), Some(is)) = (was.as_object(), is.as_object()) else {
        return assert_eq!(was, is, "{order}");
    };
    for (name, was) in was {
        let is = is.get(name).unwrap_or_else(|| panic!("{order}: {name} is missing in {is:?}"));
        // A payment is what pages are shown: nothing is added to it.
        if name == "payment" { assert_eq!(was, is, "{order}") } else { assert_within(order, was, is) }
    }
}
