//! A message's properties have to fit one AMQP frame, headers included: a larger one ends the connection, and all that is under
//! way on it. Here is how large they are, and what is left out first where they are too large or the broker refuses them.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, ShortString};

use super::headers::{self, Headers};

/// Type, channel, size and end of a frame; class, weight, body size and flags before the properties.
const FRAME_BYTES: usize = 22;
/// For what RabbitMQ adds to the headers of a message that it delivers again (the delivery count) or dead-letters itself
/// (`x-death` and its like).
pub(super) const BROKER_BYTES: usize = 1024;
/// The same, and for what a replay adds.
pub(super) const DEAD_LETTER_BYTES: usize = BROKER_BYTES + 512;
/// Bytes of an error's sentence where all of it would not fit.
const ERROR_BYTES_MIN: usize = 255;
/// Bytes of a body that are tried in turn where the broker does not take the whole of it.
const BODY_BYTES: [usize; 4] = [1024 * 1024, 64 * 1024, 4 * 1024, 0];

/// Bytes that properties may take on a connection with such frames, so much left free.
pub(super) fn properties_bytes_max(frame_max: u32, free: usize) -> usize {
    usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(FRAME_BYTES + free)
}

/// At least as many bytes as properties take in a frame.
pub(super) fn properties_bytes(of: &BasicProperties) -> usize {
    const NUMBERS_BYTES_MAX: usize = 10;
    let texts = [
        of.content_type(),
        of.content_encoding(),
        of.correlation_id(),
        of.reply_to(),
        of.expiration(),
        of.message_id(),
        of.kind(),
        of.user_id(),
        of.app_id(),
        of.cluster_id(),
    ];
    let texts = texts.into_iter().flatten().map(|text| 1 + text.as_str().len()).sum::<usize>();
    NUMBERS_BYTES_MAX + texts + of.headers().as_ref().map_or(0, |table| headers_bytes(table.inner()))
}

/// At least as many bytes as headers take.
pub(super) fn headers_bytes(headers: &Headers) -> usize {
    4 + headers.iter().map(|(name, value)| header_bytes(name, value)).sum::<usize>()
}

fn header_bytes(name: &ShortString, value: &AMQPValue) -> usize {
    1 + name.as_str().len() + value_bytes(value)
}

fn value_bytes(value: &AMQPValue) -> usize {
    const SCALAR_BYTES_MAX: usize = 9;
    match value {
        AMQPValue::LongString(text) => 5 + text.len(),
        AMQPValue::ShortString(text) => 5 + text.as_str().len(),
        AMQPValue::ByteArray(bytes) => 5 + bytes.len(),
        AMQPValue::FieldArray(list) => 5 + list.as_slice().iter().map(value_bytes).sum::<usize>(),
        AMQPValue::FieldTable(table) => 1 + headers_bytes(table.inner()),
        _ => SCALAR_BYTES_MAX,
    }
}

/// Leaves out what is needed least until the properties take at most `bytes_max` bytes: headers of the publisher's, the largest
/// first; then earlier reasons, the oldest first; then what is only for replies, and the end of the sentence. Not set where
/// that is not enough. In a frame of 4,096 bytes, the smallest that AMQP knows, it is.
pub(super) fn fit(properties: &BasicProperties, bytes_max: usize) -> Option<BasicProperties> {
    let (mut rest, mut headers) = (headers::properties_kept(properties), table(properties));
    let mut bytes = properties_bytes(&rest) + headers_bytes(&headers);
    if bytes <= bytes_max {
        return Some(rest.with_headers(headers.into()));
    }
    headers.insert(headers::HEADERS_DROPPED.into(), AMQPValue::Boolean(true));
    bytes = properties_bytes(&rest) + headers_bytes(&headers);
    let foreign = headers.iter().filter(|(name, _)| !headers::is_own(name.as_str()));
    let mut foreign: Vec<_> = foreign.map(|(name, value)| (header_bytes(name, value), name.clone())).collect();
    foreign.sort_unstable_by_key(|(bytes, _)| *bytes);
    while bytes > bytes_max
        && let Some((header_bytes, name)) = foreign.pop()
    {
        headers.remove(&name);
        bytes -= header_bytes;
    }
    if bytes > bytes_max {
        drop_history(&mut headers, bytes - bytes_max);
        bytes = properties_bytes(&rest) + headers_bytes(&headers);
    }
    if bytes > bytes_max {
        rest = needed(&rest);
        headers.retain(|name, _| ![headers::ORIGINAL_USER_ID, headers::ORIGINAL_EXPIRATION].contains(&name.as_str()));
        if let Some(error) = headers.get(headers::ERROR).and_then(headers::as_text) {
            headers::set_text(&mut headers, headers::ERROR, headers::cut(&error, ERROR_BYTES_MIN));
        }
        bytes = properties_bytes(&rest) + headers_bytes(&headers);
    }
    (bytes <= bytes_max).then(|| rest.with_headers(headers.into()))
}

/// Drops the oldest of the history, `surplus` bytes at least where it has as many.
fn drop_history(headers: &mut Headers, surplus: usize) {
    let Some(AMQPValue::FieldArray(entries)) = headers.remove(headers::REASON_HISTORY) else { return };
    let mut dropped = 0;
    let is_dropped = |entry: &&AMQPValue| {
        let goes = dropped < surplus;
        dropped += value_bytes(entry);
        goes
    };
    let kept: Vec<_> = entries.as_slice().iter().skip_while(is_dropped).cloned().collect();
    if !kept.is_empty() {
        headers.insert(headers::REASON_HISTORY.into(), AMQPValue::FieldArray(FieldArray::from(kept)));
    }
}

/// What identifies the message.
fn needed(of: &BasicProperties) -> BasicProperties {
    let mut kept = BasicProperties::default();
    if let Some(content_type) = of.content_type() {
        kept = kept.with_content_type(content_type.clone());
    }
    if let Some(id) = of.message_id() {
        kept = kept.with_message_id(id.clone());
    }
    if let Some(kind) = of.kind() {
        kept = kept.with_type(kind.clone());
    }
    if let Some(timestamp) = of.timestamp() {
        kept = kept.with_timestamp(*timestamp);
    }
    kept
}

fn table(of: &BasicProperties) -> Headers {
    of.headers().as_ref().map(|table| table.inner().clone()).unwrap_or_default()
}

/// The properties without all that a publisher has given beyond what is [`needed`]. Not set where there is no such thing.
pub(super) fn without_foreign(properties: &BasicProperties) -> Option<BasicProperties> {
    let mut headers = table(properties);
    let (before, rest) = (headers.len(), needed(properties));
    headers.retain(|name, _| headers::is_own(name.as_str()));
    if headers.len() == before && rest == headers::properties_kept(properties) {
        return None;
    }
    headers.insert(headers::HEADERS_DROPPED.into(), AMQPValue::Boolean(true));
    Some(rest.with_headers(headers.into()))
}

/// Cuts the body to the next smaller size, and says in the headers how large it was. Not set where nothing is left of it.
pub(super) fn with_less_body(properties: &BasicProperties, body: &mut Vec<u8>) -> Option<BasicProperties> {
    let bytes_max = BODY_BYTES.into_iter().find(|bytes| *bytes < body.len())?;
    let mut headers = table(properties);
    let bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
    headers.entry(headers::TRUNCATED.into()).or_insert(AMQPValue::LongLongInt(bytes));
    body.truncate(bytes_max);
    body.shrink_to_fit();
    Some(headers::properties_kept(properties).with_headers(headers.into()))
}

#[cfg(test)]
mod tests {
    use lapin::types::{FieldTable, LongString};
    use proptest::prelude::*;

    use super::*;

    fn long(bytes: usize) -> AMQPValue {
        AMQPValue::LongString(LongString::from(vec![b'a'; bytes]))
    }

    fn short(bytes: usize) -> ShortString {
        "s".repeat(bytes).into()
    }

    /// Every property and every header of our own as large as it may be.
    fn largest() -> BasicProperties {
        let mut headers = Headers::new();
        for name in [headers::REASON, headers::REPLAYED_REASON, headers::DEAD_LETTERED_AT] {
            headers.insert(name.into(), long(255));
        }
        for name in [headers::ORIGINAL_EXCHANGE, headers::ORIGINAL_ROUTING_KEY] {
            headers.insert(name.into(), long(255));
        }
        for name in [headers::ORIGINAL_USER_ID, headers::ORIGINAL_EXPIRATION] {
            headers.insert(name.into(), long(255));
        }
        headers.insert(headers::ERROR.into(), long(1024));
        headers.insert(headers::REPLAYS.into(), AMQPValue::LongLongInt(i64::MAX));
        headers.insert(headers::TRUNCATED.into(), AMQPValue::LongLongInt(i64::MAX));
        let history = FieldArray::from(vec![long(1024); 10]);
        headers.insert(headers::REASON_HISTORY.into(), AMQPValue::FieldArray(history));
        BasicProperties::default()
            .with_content_type(short(255))
            .with_content_encoding(short(255))
            .with_correlation_id(short(255))
            .with_reply_to(short(255))
            .with_message_id(short(255))
            .with_type(short(255))
            .with_app_id(short(255))
            .with_cluster_id(short(255))
            .with_timestamp(u64::MAX)
            .with_priority(255)
            .with_headers(headers.into())
    }

    fn names(of: &BasicProperties) -> Vec<String> {
        table(of).keys().map(ToString::to_string).collect()
    }

    #[test]
    fn what_this_service_says_fits_the_smallest_frame_that_amqp_knows() {
        let kept = fit(&largest(), properties_bytes_max(4096, DEAD_LETTER_BYTES)).unwrap();
        for name in [headers::REASON, headers::ERROR, headers::ORIGINAL_EXCHANGE, headers::ORIGINAL_ROUTING_KEY] {
            assert!(names(&kept).contains(&name.to_owned()), "{name}");
        }
        assert!(properties_bytes(&kept) <= properties_bytes_max(4096, DEAD_LETTER_BYTES));
    }

    #[test]
    fn the_largest_of_the_publishers_headers_goes_first_and_the_oldest_reason_next() {
        let mut headers = table(&largest());
        headers.insert("cloudEvents_id".into(), long(36));
        headers.insert("large".into(), long(60_000));
        headers.insert("larger".into(), long(60_001));
        let properties = BasicProperties::default().with_headers(headers.into());
        let kept = fit(&properties, 100_000).unwrap();
        assert_eq!((names(&kept).contains(&"large".into()), names(&kept).contains(&"larger".into())), (true, false));
        let kept = fit(&properties, 8_000).unwrap();
        let Some(AMQPValue::FieldArray(history)) = table(&kept).get(headers::REASON_HISTORY).cloned() else { panic!() };
        assert!((1..10).contains(&history.as_slice().len()) && !names(&kept).contains(&"cloudEvents_id".into()));
        assert!(names(&kept).contains(&headers::HEADERS_DROPPED.to_owned()));
        let all = fit(&properties, 200_000).unwrap();
        assert_eq!(names(&all).len(), names(&properties).len());
    }

    #[test]
    fn what_is_refused_whole_is_tried_without_foreign_headers_and_then_with_less_and_less_body() {
        let mut headers = table(&largest());
        headers.insert("mine".into(), long(1));
        let properties = BasicProperties::default().with_message_id("m".into()).with_headers(headers.into());
        let smaller = without_foreign(&properties).unwrap();
        assert!(!names(&smaller).contains(&"mine".into()) && smaller.message_id().is_some());
        assert!(without_foreign(&smaller).is_none());
        let (mut body, mut sizes, mut properties) = (vec![b'a'; 2_000_000], Vec::new(), BasicProperties::default());
        while let Some(smaller) = with_less_body(&properties, &mut body) {
            properties = smaller;
            sizes.push(body.len());
        }
        assert_eq!(sizes, [1024 * 1024, 64 * 1024, 4 * 1024, 0]);
        assert_eq!(table(&properties).get(headers::TRUNCATED), Some(&AMQPValue::LongLongInt(2_000_000)));
    }

    fn value() -> impl Strategy<Value = AMQPValue> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(AMQPValue::Boolean),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            any::<f64>().prop_map(AMQPValue::Double),
            Just(AMQPValue::Void),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| AMQPValue::LongString(bytes.into())),
            proptest::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| AMQPValue::FieldArray(list.into())),
                proptest::collection::btree_map("[a-z]{0,9}", inner, 0..4).prop_map(|map| {
                    let mut table = FieldTable::default();
                    for (name, value) in map {
                        table.insert(name.into(), value);
                    }
                    AMQPValue::FieldTable(table)
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_table_is_larger_in_a_frame_than_it_is_counted(values in proptest::collection::vec(value(), 0..12), id in "[a-z]{0,255}") {
            let mut headers = Headers::new();
            for (at, value) in values.into_iter().enumerate() {
                headers.insert(format!("h{at}").into(), value);
            }
            let properties = BasicProperties::default()
                .with_headers(headers.into())
                .with_message_id(id.as_str().into())
                .with_priority(1)
                .with_delivery_mode(2)
                .with_timestamp(3);
            let mut wire = vec![0; 1 << 20];
            let written = lapin::protocol::basic::gen_properties(&properties)(wire.as_mut_slice().into());
            let written = usize::try_from(written.unwrap().position).unwrap();
            // The two bytes of flags are counted with the frame.
            prop_assert!(written <= properties_bytes(&properties) + 2, "{written} {}", properties_bytes(&properties));
        }
    }
}
