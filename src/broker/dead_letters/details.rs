//! Everything that a message carries beside its body, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde_json::{Map, Value, json};

/// Levels of tables and lists in headers; deeper ones are left out.
const DEPTH_MAX: usize = 8;

pub(super) fn properties(of: &BasicProperties) -> Value {
    let mut map = Map::new();
    let mut text = |name: &str, value: &Option<ShortString>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value.as_str().into());
        }
    };
    text("content_type", of.content_type());
    text("content_encoding", of.content_encoding());
    text("correlation_id", of.correlation_id());
    text("reply_to", of.reply_to());
    text("message_id", of.message_id());
    text("type", of.kind());
    text("app_id", of.app_id());
    text("user_id", of.user_id());
    text("expiration", of.expiration());
    let mut number = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value.into());
        }
    };
    number("priority", of.priority().map(u64::from));
    number("timestamp", *of.timestamp());
    Value::Object(map)
}

pub(super) fn headers(of: &BasicProperties) -> Value {
    of.headers().as_ref().map_or_else(|| json!({}), |table| table_value(table, 0))
}

/// As text where it is text, else as base64.
pub(super) fn body(bytes: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("body", text.into()),
        Err(_not_text) => ("body_base64", STANDARD.encode(bytes).into()),
    }
}

fn table_value(table: &FieldTable, depth: usize) -> Value {
    let pairs = table.inner().iter().map(|(name, value)| (name.as_str().to_owned(), to_json(value, depth + 1)));
    Value::Object(pairs.collect())
}

fn to_json(value: &AMQPValue, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return "…".into();
    }
    match value {
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Float(value) => (*value).into(),
        AMQPValue::Double(value) => (*value).into(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::DecimalValue(decimal) => json!({ "scale": decimal.scale, "value": decimal.value }),
        AMQPValue::ShortString(text) => text.as_str().into(),
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        AMQPValue::ByteArray(bytes) => STANDARD.encode(bytes.as_slice()).into(),
        AMQPValue::FieldArray(list) => list.as_slice().iter().map(|value| to_json(value, depth + 1)).collect(),
        AMQPValue::FieldTable(table) => table_value(table, depth),
        AMQPValue::Void => Value::Null,
    }
}
