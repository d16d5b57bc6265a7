//! CloudEvents by AMQP headers. The input is a text: lines `KIND NAME=VALUE`, an empty line, and the body.
//!
//! KIND is `s` (long string), `h` (short string), `t` (timestamp), `l` (64-bit integer), `b` (boolean), `v` (nothing) or
//! `p`: the property `message-id` or `timestamp`.

use lapin::types::{AMQPValue, FieldTable, ShortString};
use payment_notifier::broker::decode::Payload;
use payment_notifier::payment::EventId;
use serde_json::Value;

use crate::event::{KEY, PLAIN, accepted, rejected};

/// A message as it would come.
#[derive(Default)]
struct Input<'a> {
    headers: FieldTable,
    message_id: Option<&'a str>,
    timestamp: Option<u64>,
    body: &'a [u8],
}

/// One message.
pub fn check(input: &[u8]) {
    let input = parse(input);
    let payload = Payload {
        routing_key: KEY,
        body: input.body,
        message_id: input.message_id,
        app_id: None,
        timestamp: input.timestamp,
        headers: Some(&input.headers),
    };
    if let Some(traceparent) = payload.traceparent() {
        assert!(texts(&input.headers).any(|(_, value)| value == traceparent), "it came with the message");
    }
    if let Some(ms) = payload.published_at_ms() {
        let header = input.headers.inner().get("timestamp_in_ms").expect("a header says so");
        assert!(matches!(header, AMQPValue::LongLongInt(n) if *n == ms) || matches!(header, AMQPValue::Timestamp(_)));
    }
    match PLAIN.decode(&payload) {
        Ok(decoded) => {
            let event = decoded.event().expect("no mapping ignores it");
            accepted(&event);
            if let Some(expected) = event_ids(&input) {
                assert!(
                    expected.iter().any(|id| id == event.event_id.as_str()),
                    "{expected:?}, not {:?}",
                    event.event_id
                );
            }
        }
        Err(reject) => rejected(&reject),
    }
}

fn parse(input: &[u8]) -> Input<'_> {
    let mut parsed = Input::default();
    let mut rest = input;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        if let Ok(line) = std::str::from_utf8(line) {
            header(&mut parsed, line);
        }
    }
    parsed.body = rest;
    parsed
}

fn header<'a>(parsed: &mut Input<'a>, line: &'a str) {
    let Some((kind, (name, value))) = line.split_once(' ').and_then(|(kind, rest)| Some((kind, rest.split_once('=')?)))
    else {
        return;
    };
    let typed = match kind {
        "s" => AMQPValue::LongString(value.into()),
        "h" if value.len() < 256 => AMQPValue::ShortString(value.into()),
        "t" => AMQPValue::Timestamp(value.parse().unwrap_or_default()),
        "l" => AMQPValue::LongLongInt(value.parse().unwrap_or_default()),
        "b" => AMQPValue::Boolean(value == "true"),
        "v" => AMQPValue::Void,
        "p" if name == "message-id" && value.len() < 256 => return parsed.message_id = Some(value),
        "p" if name == "timestamp" => return parsed.timestamp = value.parse().ok(),
        _ => return,
    };
    if name.len() < 256 {
        parsed.headers.insert(ShortString::from(name), typed);
    }
}

fn texts(headers: &FieldTable) -> impl Iterator<Item = (&str, &str)> {
    headers.inner().iter().filter_map(|(name, value)| match value {
        AMQPValue::LongString(text) => Some((name.as_str(), std::str::from_utf8(text.as_bytes()).ok()?)),
        AMQPValue::ShortString(text) => Some((name.as_str(), text.as_str())),
        _ => None,
    })
}

/// Which ids a plain or binary message may end with, read in another way than the decoder does: the body's own, else
/// that of a CloudEvents header, else `message-id`. Not known for a structured event, and where it is a hash.
fn event_ids(input: &Input<'_>) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(input.body).ok()?;
    if body.get("specversion").is_some() {
        return None;
    }
    if let Some(id) = body.get("event_id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        return Some(vec![id.to_owned()]);
    }
    let is_id = |name: &str| ["cloudevents_id", "cloudevents:id"].contains(&name.to_ascii_lowercase().as_str());
    let by_header: Vec<String> =
        texts(&input.headers).filter(|(name, _)| is_id(name)).map(|(_, value)| value.to_owned()).collect();
    if by_header.iter().any(|id| EventId::new(id).is_ok()) {
        return Some(by_header).filter(|ids| ids.iter().all(|id| !id.is_empty()));
    }
    input.message_id.filter(|id| by_header.is_empty() && !id.is_empty()).map(|id| vec![id.to_owned()])
}
