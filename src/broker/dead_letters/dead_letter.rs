//! What is known of a dead letter, short and without its body.

use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::broker::decode::{Payload, Reject};
use crate::broker::headers::{self, as_text, number, text};
use crate::config;
use crate::payment::Timestamp;

/// Of a text that somebody else wrote.
const TEXT_CHARS_MAX: usize = 500;
/// Bytes of an id: enough to tell some ten thousand apart, short enough to be typed.
const ID_BYTES: usize = 6;

/// A dead letter. Texts are cut at 500 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Made of the body, the message id and the first routing key: the same after each look, replay and move.
    pub id: String,
    /// The code of `x-reason`, or RabbitMQ's own reason, e.g. `delivery_limit`.
    pub reason: String,
    /// The sentence of `x-error`.
    pub error: String,
    /// The order, where the body names one.
    pub order_id: Option<String>,
    /// The order's merchant, where the body names one or the settings do.
    pub merchant_id: Option<String>,
    /// When it became a dead letter, milliseconds since 1970, where that is known.
    pub dead_lettered_at_ms: Option<i64>,
    /// How often it was replayed by `dead-letters replay`.
    pub replays: i64,
    /// The reason that it had when it was replayed last.
    pub replayed_reason: Option<String>,
    /// The exchange that it was published to first.
    pub exchange: String,
    /// The routing key that it had first.
    pub routing_key: String,
    /// The size of its body.
    pub body_bytes: usize,
    /// How often it has been handed back: by looks at it, or by consumers that ended.
    pub delivery_count: i64,
    /// Earlier reasons, oldest first.
    pub history: Vec<String>,
}

impl DeadLetter {
    pub(super) fn of(delivery: &Delivery, amqp: &config::Amqp, payments: &config::Payments) -> Self {
        let none = FieldTable::default();
        let headers = delivery.properties.headers().as_ref().unwrap_or(&none);
        let death = death(headers, &amqp.queue);
        let own_at_ms =
            text(headers, headers::DEAD_LETTERED_AT).and_then(|at| Timestamp::parse(&at).ok()).map(|at| at.unix_ms());
        let own = text(headers, headers::REASON).map(|reason| Reason {
            code: reason,
            error: text(headers, headers::ERROR).unwrap_or_default(),
            at_ms: own_at_ms,
        });
        let reason = latest(own, death.as_ref());
        let first_key = headers::name(headers, headers::ORIGINAL_ROUTING_KEY);
        let routing_key = first_key.unwrap_or_else(|| delivery.routing_key.to_string());
        let first_exchange = headers::name(headers, headers::ORIGINAL_EXCHANGE).or_else(|| Some(death?.exchange));
        let history = match headers.inner().get(headers::REASON_HISTORY) {
            Some(AMQPValue::FieldArray(entries)) => {
                entries.as_slice().iter().filter_map(as_text).map(cut).take(HISTORY_SHOWN_MAX).collect()
            }
            _ => Vec::new(),
        };
        let payload = Payload::of(&routing_key, &delivery.properties, &delivery.data);
        let [order_id, merchant_id] = order_and_merchant(&payload, payments).map(|text| text.map(cut));
        Self {
            id: id(delivery, &routing_key),
            reason: cut(reason.code),
            error: cut(reason.error),
            order_id,
            merchant_id,
            dead_lettered_at_ms: reason.at_ms,
            replays: number(headers, headers::REPLAYS).unwrap_or(0),
            replayed_reason: text(headers, headers::REPLAYED_REASON).map(cut),
            exchange: cut(first_exchange.unwrap_or_else(|| delivery.exchange.to_string())),
            routing_key: cut(routing_key),
            body_bytes: delivery.data.len(),
            delivery_count: number(headers, "x-delivery-count").unwrap_or(0),
            history,
        }
    }

    /// How long ago it was dead-lettered, in seconds.
    #[must_use]
    pub fn age_s(&self, now_ms: i64) -> Option<i64> {
        self.dead_lettered_at_ms.map(|at_ms| now_ms.saturating_sub(at_ms).max(0) / 1000)
    }

    /// All that is known of it without its headers, for programs.
    #[must_use]
    pub fn object(&self, now_ms: i64) -> Value {
        let at = self.dead_lettered_at_ms.and_then(|ms| Timestamp::from_unix_ms(ms).ok());
        json!({
            "id": self.id,
            "reason": self.reason,
            "error": self.error,
            "order_id": self.order_id,
            "merchant_id": self.merchant_id,
            "dead_lettered_at": at.map(|at| at.as_str().to_owned()),
            "age_s": self.age_s(now_ms),
            "replays": self.replays,
            "failed_again": self.failed_again(),
            "bad_for_good": self.is_bad_for_good(),
            "history": self.history,
            "exchange": self.exchange,
            "routing_key": self.routing_key,
            "body_bytes": self.body_bytes,
            "delivery_count": self.delivery_count,
        })
    }

    /// Whether a replay takes it: with `again`, also one that failed again or that is bad for good.
    #[must_use]
    pub fn is_replayable(&self, again: bool) -> bool {
        again || !(self.failed_again() || self.is_bad_for_good())
    }

    /// The message itself is bad, so that the same bytes would be rejected again.
    #[must_use]
    pub fn is_bad_for_good(&self) -> bool {
        Reject::LASTING.contains(&self.reason.as_str())
    }

    /// Why a replay without `again` skips it, where it does.
    #[must_use]
    pub fn why_skipped(&self) -> Option<String> {
        match self {
            _ if self.is_bad_for_good() => Some(format!(
                "the message itself is bad ({}), and a replay would bring it back: have it published correctly, and discard it",
                self.reason
            )),
            _ if self.failed_again() => Some("failed again since its last replay".to_owned()),
            _ => None,
        }
    }

    /// A replay brought it back for the same reason: another one would only do it again.
    #[must_use]
    pub fn failed_again(&self) -> bool {
        self.replays > 0 && self.replayed_reason.as_ref() == Some(&self.reason)
    }
}

const HISTORY_SHOWN_MAX: usize = 10;

struct Reason {
    code: String,
    error: String,
    at_ms: Option<i64>,
}

/// What RabbitMQ wrote when it dead-lettered the message itself.
#[derive(Clone)]
struct Death {
    reason: String,
    exchange: String,
    times: i64,
    at_ms: Option<i64>,
}

/// RabbitMQ's own entry for the queue of results; of another queue, which a publisher may have, only if there is no other.
fn death(headers: &FieldTable, queue: &str) -> Option<Death> {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { return None };
    let tables = || {
        deaths.as_slice().iter().filter_map(|death| if let AMQPValue::FieldTable(t) = death { Some(t) } else { None })
    };
    let table = tables().find(|table| text(table, "queue").as_deref() == Some(queue));
    // A message with a reason of this service's has no need of a guess.
    let table = table.or_else(|| if headers.contains_key(headers::REASON) { None } else { tables().next() })?;
    let at_ms = match table.inner().get("time") {
        Some(AMQPValue::Timestamp(seconds)) => i64::try_from(*seconds).ok().and_then(|s| s.checked_mul(1000)),
        _ => None,
    };
    Some(Death {
        reason: text(table, "reason")?,
        exchange: text(table, "exchange").unwrap_or_default(),
        times: number(table, "count").unwrap_or(1),
        at_ms,
    })
}

/// A message that was moved by the console keeps the reason of an earlier time, also where RabbitMQ dead-letters it later.
fn latest(own: Option<Reason>, death: Option<&Death>) -> Reason {
    let death_is_later = match (&own, death) {
        (_, None) => false,
        (None, Some(_)) => true,
        // RabbitMQ's clock has whole seconds.
        (Some(own), Some(death)) => own.at_ms.zip(death.at_ms).is_some_and(|(own, death)| death > own),
    };
    match (own, death) {
        (_, Some(Death { reason, times, at_ms, .. })) if death_is_later => {
            Reason { code: reason.clone(), error: format!("dead-lettered by RabbitMQ, {times} times"), at_ms: *at_ms }
        }
        (Some(own), _) => own,
        (None, _) => Reason { code: "unknown".to_owned(), error: String::new(), at_ms: None },
    }
}

fn id(delivery: &Delivery, routing_key: &str) -> String {
    let mut hash = Sha256::new();
    let message_id = delivery.properties.message_id().as_ref().map_or("", |id| id.as_str());
    for part in [message_id.as_bytes(), routing_key.as_bytes(), delivery.data.as_slice()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// The order and its merchant, also of a message that breaks other rules.
fn order_and_merchant(payload: &Payload<'_>, payments: &config::Payments) -> [Option<String>; 2] {
    let nothing = [None, None];
    if payload.body.len() > payments.body_bytes_max {
        return nothing;
    }
    let Ok(body) = serde_json::from_slice::<Value>(payload.body) else { return nothing };
    let pointer = if payload.is_own() { "" } else { &payments.body_pointer };
    let Some(object) = body.pointer(pointer) else { return nothing };
    let member = |name: &str| match object.get(name).or_else(|| object.get("data")?.get(name))? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let order_id = member("order_id");
    let default_merchant = || Some(payments.default_merchant.clone()).filter(|merchant| !merchant.is_empty());
    let merchant_id = order_id.as_ref().and_then(|_order| member("merchant_id").or_else(default_merchant));
    [order_id, merchant_id]
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
