//! The headers by which a dead letter says why it is one, where it came from, and how often it was replayed.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};

/// Why it is a dead letter: a code for programs.
pub(super) const REASON: &str = "x-reason";
/// The same as a sentence for people.
pub(super) const ERROR: &str = "x-error";
/// The reasons before the last replay or move, oldest first, as `code: sentence`.
pub(super) const REASON_HISTORY: &str = "x-reason-history";
/// When it became one, RFC 3339.
pub(super) const DEAD_LETTERED_AT: &str = "x-dead-lettered-at";
/// How often it was replayed.
pub(super) const REPLAYS: &str = "x-replays";
/// The reason that it had when it was replayed last.
pub(super) const REPLAYED_REASON: &str = "x-replayed-reason";
/// The exchange that it was published to first.
pub(super) const ORIGINAL_EXCHANGE: &str = "x-original-exchange";
/// The routing key that it had first.
pub(super) const ORIGINAL_ROUTING_KEY: &str = "x-original-routing-key";

/// The property `user-id` that it had first.
pub(super) const ORIGINAL_USER_ID: &str = "x-original-user-id";
/// The property `expiration` that it had first, milliseconds as text.
pub(super) const ORIGINAL_EXPIRATION: &str = "x-original-expiration";
/// True where headers or properties were left out.
pub(super) const HEADERS_DROPPED: &str = "x-headers-dropped";
/// Bytes that the body had before it was cut.
pub(super) const TRUNCATED: &str = "x-truncated";

/// The names above. A publisher may set them too, so what they hold is bounded by [`of`].
const OWN: [&str; 12] = [
    REASON,
    ERROR,
    REASON_HISTORY,
    DEAD_LETTERED_AT,
    REPLAYS,
    REPLAYED_REASON,
    ORIGINAL_EXCHANGE,
    ORIGINAL_ROUTING_KEY,
    ORIGINAL_USER_ID,
    ORIGINAL_EXPIRATION,
    HEADERS_DROPPED,
    TRUNCATED,
];

/// Bytes of a name, as AMQP has them.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a sentence.
const SENTENCE_BYTES_MAX: usize = 1024;
/// Entries of [`REASON_HISTORY`]. Older ones are dropped.
const HISTORY_ENTRIES_MAX: usize = 10;
/// RabbitMQ writes it into what it delivers. On a message that is published anew it would be another message's.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// A message's headers, to be changed.
pub(super) type Headers = BTreeMap<ShortString, AMQPValue>;

/// Those that it came with, without what RabbitMQ adds to a delivery. Of those that are named like this service's own only
/// what this service could have written: sentences are cut, and what is of another type or too long for a name is left out.
pub(super) fn of(properties: &BasicProperties) -> Headers {
    let mut headers = properties.headers().as_ref().map(|table| table.inner().clone()).unwrap_or_default();
    headers.remove(DELIVERY_COUNT);
    for name in OWN {
        if let Some(value) = headers.remove(name)
            && let Some(value) = bounded(name, &value)
        {
            headers.insert(name.into(), value);
        }
    }
    headers
}

pub(super) fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}

/// What may stand under one of [`OWN`].
fn bounded(name: &str, value: &AMQPValue) -> Option<AMQPValue> {
    let long = |text: &str| AMQPValue::LongString(text.into());
    match name {
        REASON | REPLAYED_REASON => as_text(value).map(|text| long(cut(&text, NAME_BYTES_MAX))),
        ERROR => as_text(value).map(|text| long(cut(&text, SENTENCE_BYTES_MAX))),
        REPLAYS | TRUNCATED => whole_number(value).filter(|n| *n >= 0).map(AMQPValue::LongLongInt),
        HEADERS_DROPPED => matches!(value, AMQPValue::Boolean(true)).then(|| value.clone()),
        REASON_HISTORY => match value {
            AMQPValue::FieldArray(entries) => {
                let latest = entries.as_slice().iter().rev().take(HISTORY_ENTRIES_MAX).rev();
                let texts = latest.filter_map(as_text).map(|text| long(cut(&text, SENTENCE_BYTES_MAX)));
                Some(AMQPValue::FieldArray(FieldArray::from(texts.collect::<Vec<_>>())))
            }
            _ => None,
        },
        // Cut, a name would be another's.
        _ => as_name(value).map(|text| long(&text)),
    }
}

pub(super) fn set_text(headers: &mut Headers, name: &str, value: &str) {
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

/// The beginning of a text, of so many bytes at most.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The sentence of a reason.
pub(super) fn set_error(headers: &mut Headers, sentence: &str) {
    set_text(headers, ERROR, cut(sentence, SENTENCE_BYTES_MAX));
}

/// A header that AMQP could carry as a name: of an exchange, of a queue, a routing key.
pub(super) fn name(headers: &FieldTable, header: &str) -> Option<String> {
    headers.inner().get(header).and_then(as_name)
}

fn as_name(value: &AMQPValue) -> Option<String> {
    as_text(value).filter(|text| text.len() <= NAME_BYTES_MAX)
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
    headers.inner().get(name).and_then(whole_number)
}

/// One value as a whole number.
pub(super) fn whole_number(value: &AMQPValue) -> Option<i64> {
    match value {
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

/// Adds an entry to the history, and drops the oldest beyond its bound.
pub(super) fn push_history(headers: &mut Headers, entry: &str) {
    let mut entries = match headers.remove(REASON_HISTORY) {
        Some(AMQPValue::FieldArray(entries)) => entries.as_slice().to_vec(),
        _ => Vec::new(),
    };
    entries.push(AMQPValue::LongString(cut(entry, SENTENCE_BYTES_MAX).into()));
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
        note(ORIGINAL_USER_ID, user);
    }
    if let Some(expiration) = given.expiration() {
        note(ORIGINAL_EXPIRATION, expiration);
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
