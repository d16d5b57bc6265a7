//! The only types that pages send and receive.

use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::payment::{Key, Payment};

/// The greatest version that is read: beyond it JavaScript's numbers are no longer exact.
pub(super) const VERSION_MAX: u64 = (1 << 53) - 1;

/// The JSON text of a payment.
pub(super) fn payment_text(payment: &Payment) -> Bytes {
    Bytes::from(payment.page_json())
}

/// The JSON text for an order without any event.
pub(super) fn unknown_text(key: &Key) -> Bytes {
    // The alphabet of order ids needs no escaping.
    Bytes::from(format!(r#"{{"order_id":"{}","version":0,"status":"unknown","final":false}}"#, key.order_id))
}

/// What a page may send over a WebSocket.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromPage {
    Subscribe {
        ticket: String,
    },
    Unsubscribe {
        order_id: String,
    },
    Ack {
        order_id: String,
        #[serde(deserialize_with = "whole")]
        version: u64,
    },
    Ping {},
}

/// `{"type":"subscribed", …}`
pub(super) fn subscribed(key: &Key, payment: Option<&Bytes>) -> String {
    let payment = payment.map_or("null", |text| as_str(text));
    format!(r#"{{"type":"subscribed","order_id":"{}","payment":{payment}}}"#, key.order_id)
}

/// `{"type":"payment", …}`: what stands before and after the payment's text.
pub(super) const PAYMENT: [&[u8]; 2] = [br#"{"type":"payment","payment":"#, b"}"];

/// `{"type":"pong"}`
pub(super) const PONG: &str = r#"{"type":"pong"}"#;

/// `{"type":"reconnect", …}`
pub(super) fn reconnect(after_ms: u64) -> String {
    format!(r#"{{"type":"reconnect","after_ms":{after_ms}}}"#)
}

/// `{"type":"error", …}`
#[derive(Serialize)]
pub(super) struct ErrorFrame<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
}

/// `{"type":"error", …}`
pub(super) fn error(code: &str, message: &str, order_id: Option<&str>) -> String {
    let frame = ErrorFrame { kind: "error", code, message, order_id };
    serde_json::to_string(&frame).unwrap_or_default()
}

fn as_str(text: &Bytes) -> &str {
    std::str::from_utf8(text).unwrap_or("null")
}

/// A whole number that may be written with a fraction of zero, as some languages write every number.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and within range")]
    let without_fraction = || number.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64);
    let whole = number.as_u64().or_else(without_fraction).filter(|n| *n <= VERSION_MAX);
    whole.ok_or_else(|| D::Error::custom(format!("must be a whole number from 0 to {VERSION_MAX}")))
}

/// `POST /v1/payments/{order_id}/ack`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AckBody {
    /// The version that the page has shown.
    #[schema(minimum = 1, maximum = 9007199254740991_u64, example = 3)]
    #[serde(deserialize_with = "whole")]
    pub(super) version: u64,
}

/// `POST /v1/tickets`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketBody {
    /// The merchant of the orders.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_.-]{1,64}$", example = "shop")]
    pub(super) merchant_id: String,
    /// One order number, or an array of up to 20.
    pub(super) order_id: OneOrMany,
    /// Who waits: an openid or user id.
    #[schema(min_length = 1, max_length = 256, example = "user-1")]
    pub(super) sub: String,
    /// Lifetime of the ticket in seconds.
    #[serde(default = "default_ttl_s", deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 86400, default = 900)]
    pub(super) ttl_s: u64,
}

fn default_ttl_s() -> u64 {
    900
}

/// One order, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "order_id must be a string or an array of strings")]
pub(super) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl PartialSchema for OneOrMany {
    fn schema() -> RefOr<Schema> {
        let one = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_.*|@-]{1,64}$")).build();
        let many = ArrayBuilder::new().items(one.clone()).min_items(Some(1)).max_items(Some(20));
        OneOfBuilder::new().item(one).item(many).into()
    }
}

impl ToSchema for OneOrMany {}

/// The answer of `POST /v1/tickets`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketAnswer {
    /// The JWT for the page.
    pub(super) ticket: String,
    /// When it expires, RFC 3339.
    #[schema(example = "2026-01-31T08:45:00Z")]
    pub(super) expires_at: String,
}

/// A payment as a page sees it. Absent fields are left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the text that wire makes by hand")]
pub(super) struct PaymentSchema {
    /// The merchant's order number.
    #[schema(example = "20260131-0001")]
    order_id: String,
    /// 0 if no event has arrived, then incremented by each change.
    #[schema(minimum = 0)]
    version: u64,
    /// The status.
    #[schema(pattern = "^(unknown|pending|requires_action|processing|authorized|succeeded|failed|canceled|expired)$")]
    status: String,
    /// True if the page may stop waiting.
    #[schema(rename = "final")]
    r#final: bool,
    /// When the deciding event occurred, RFC 3339, as the publisher wrote it.
    #[schema(required = false)]
    occurred_at: Option<String>,
    /// The amount.
    #[schema(required = false, nullable = false)]
    amount: Option<MoneySchema>,
    /// The payment provider.
    #[schema(required = false, nullable = false)]
    provider: Option<String>,
    /// The refund.
    #[schema(required = false, nullable = false)]
    refund: Option<RefundSchema>,
    /// The reason for the status.
    #[schema(required = false, nullable = false)]
    reason: Option<ReasonSchema>,
    /// The publisher's own JSON for the page.
    #[schema(required = false)]
    display: Option<Value>,
}

/// Minor units of an ISO 4217 currency.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes payment::Money")]
struct MoneySchema {
    #[schema(minimum = 0)]
    value: i64,
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// A refund.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes payment::Refund")]
struct RefundSchema {
    #[schema(pattern = "^(processing|partial|full)$")]
    status: String,
    #[schema(required = false, nullable = false)]
    amount: Option<MoneySchema>,
}

/// A code and a sentence.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes payment::Reason")]
struct ReasonSchema {
    #[schema(required = false, nullable = false)]
    code: Option<String>,
    #[schema(required = false, nullable = false)]
    message: Option<String>,
}
