//! The headers by which a dead letter says why it is one, where it came from, and how often it was replayed.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};

/// A stable code.
pub(super) const REASON: &str = "x-reason";
/// A sentence.
pub(super) const ERROR: &str = "x-error";
/// The reasons before the last replay or move, oldest first, as `code: sentence`.
pub(super) const REASON_HISTORY: &str = "x-reason-history";
/// RFC 3339.
pub(super) const DEAD_LETTERED_AT: &str = "x-dead-lettered-at";
/// How often it was replayed.
pub(super) const REPLAYS: &str = "x-replays";
/// The reason that it had when it was replayed last.
pub(super) const REPLAYED_REASON: &str = "x-replayed-reason";
/// Where it was published first.
pub(super) const ORIGINAL_EXCHANGE: &str = "x-original-exchange";
/// With what.
pub(super) const ORIGINAL_ROUTING_KEY: &str = "x-original-routing-key";

/// What has to survive even where a message's other headers are left behind.
pub(super) const OWN_ABOUT_REPLAYS: [&str; 5] =
    [REASON_HISTORY, REPLAYS, REPLAYED_REASON, ORIGINAL_EXCHANGE, ORIGINAL_ROUTING_KEY];

/// Entries of [`REASON_HISTORY`]. Older ones are dropped.
const HISTORY_ENTRIES_MAX: usize = 10;
/// RabbitMQ writes it into what it delivers. On a message that is published anew it would be another message's.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// A message's headers, to be changed.
pub(super) type Headers = BTreeMap<ShortString, AMQPValue>;

/// Those that it came with, without what RabbitMQ adds to a delivery.
pub(super) fn of(properties: &BasicProperties) -> Headers {
    let mut headers = properties.headers().as_ref().map(|table| table.inner().clone()).unwrap_or_default();
    headers.remove(DELIVERY_COUNT);
    headers
}

pub(super) fn set_text(headers: &mut Headers, name: &str, value: &str) {
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

/// A header that is text; bytes that are not UTF-8 are replaced.
pub(super) fn text(headers: &FieldTable, name: &str) -> Option<String> {
    headers.inner().get(name).and_then(as_text)
}

pub(super) fn as_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// A header that is a whole number of any size.
pub(super) fn number(headers: &FieldTable, name: &str) -> Option<i64> {
    match headers.inner().get(name)? {
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        AMQPValue::ShortShortUInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::ShortUInt(n) => Some((*n).into()),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::LongLongInt(n) => Some(*n),
        _ => None,
    }
}

/// Moves a reason that is there into the history: what comes next has a reason of its own, or none.
pub(super) fn remember_reason(headers: &mut Headers) {
    let error = headers.remove(ERROR).as_ref().and_then(as_text).unwrap_or_default();
    headers.remove(DEAD_LETTERED_AT);
    let Some(reason) = headers.remove(REASON).as_ref().and_then(as_text) else { return };
    push_history(headers, &format!("{reason}: {error}"));
}

/// Adds to the history.
pub(super) fn push_history(headers: &mut Headers, entry: &str) {
    let mut entries = match headers.remove(REASON_HISTORY) {
        Some(AMQPValue::FieldArray(entries)) => entries.as_slice().to_vec(),
        _ => Vec::new(),
    };
    entries.push(AMQPValue::LongString(entry.into()));
    let surplus = entries.len().saturating_sub(HISTORY_ENTRIES_MAX);
    headers.insert(REASON_HISTORY.into(), AMQPValue::FieldArray(FieldArray::from(entries.split_off(surplus))));
}

/// Notes where a message came from, unless that is noted already: a replay or a move is not its origin.
pub(super) fn keep_origin(headers: &mut Headers, exchange: &ShortString, key: &ShortString, given: &BasicProperties) {
    let mut note = |name: &str, value: &ShortString| {
        headers.entry(name.into()).or_insert_with(|| AMQPValue::LongString(value.as_str().into()));
    };
    note(ORIGINAL_EXCHANGE, exchange);
    note(ORIGINAL_ROUTING_KEY, key);
    // As properties these would be refused (another user's name) or would delete the message in time.
    if let Some(user) = given.user_id() {
        note("x-original-user-id", user);
    }
    if let Some(expiration) = given.expiration() {
        note("x-original-expiration", expiration);
    }
}

/// All properties but `headers`, `delivery-mode`, `user-id` and `expiration`.
pub(super) fn properties_kept(given: &BasicProperties) -> BasicProperties {
    let mut kept = BasicProperties::default();
    let text = |from: &Option<ShortString>, to: fn(BasicProperties, ShortString) -> BasicProperties, kept| match from {
        Some(value) => to(kept, value.clone()),
        None => kept,
    };
    kept = text(given.content_type(), BasicProperties::with_content_type, kept);
    kept = text(given.content_encoding(), BasicProperties::with_content_encoding, kept);
    kept = text(given.correlation_id(), BasicProperties::with_correlation_id, kept);
    kept = text(given.reply_to(), BasicProperties::with_reply_to, kept);
    kept = text(given.message_id(), BasicProperties::with_message_id, kept);
    kept = text(given.kind(), BasicProperties::with_type, kept);
    kept = text(given.app_id(), BasicProperties::with_app_id, kept);
    kept = text(given.cluster_id(), BasicProperties::with_cluster_id, kept);
    if let Some(priority) = given.priority() {
        kept = kept.with_priority(*priority);
    }
    if let Some(timestamp) = given.timestamp() {
        kept = kept.with_timestamp(*timestamp);
    }
    kept
}

/// At least as many bytes as the headers take in a frame.
pub(super) fn bytes(headers: &Headers) -> usize {
    4 + headers.iter().map(|(name, value)| 1 + name.as_str().len() + value_bytes(value)).sum::<usize>()
}

fn value_bytes(value: &AMQPValue) -> usize {
    const SCALAR_BYTES_MAX: usize = 9;
    match value {
        AMQPValue::LongString(text) => 5 + text.len(),
        AMQPValue::ShortString(text) => 5 + text.as_str().len(),
        AMQPValue::ByteArray(bytes) => 5 + bytes.len(),
        AMQPValue::FieldArray(list) => 5 + list.as_slice().iter().map(value_bytes).sum::<usize>(),
        AMQPValue::FieldTable(table) => 1 + bytes(table.inner()),
        _ => SCALAR_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_bounded_and_keeps_the_latest() {
        let mut headers = Headers::new();
        for n in 0..25 {
            set_text(&mut headers, REASON, &format!("r{n}"));
            set_text(&mut headers, ERROR, "e");
            remember_reason(&mut headers);
        }
        assert!(!headers.contains_key(REASON) && !headers.contains_key(ERROR));
        let Some(AMQPValue::FieldArray(entries)) = headers.get(REASON_HISTORY) else { panic!("{headers:?}") };
        let entries: Vec<_> = entries.as_slice().iter().filter_map(as_text).collect();
        assert_eq!((entries.len(), entries[0].as_str(), entries[9].as_str()), (10, "r15: e", "r24: e"));
    }
}
