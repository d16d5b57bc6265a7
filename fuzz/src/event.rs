//! Event decoding. The input is the body of a message.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use payment_notifier::broker::decode::{Decoded, Decoder, Payload, Reject, encode};
use payment_notifier::config::{Mapping, Payments};
use payment_notifier::payment::{Change, Display, Event, State};
use serde_json::value::RawValue;

use crate::SETTINGS;

/// Of every message.
pub(crate) const KEY: &str = "payment.result.fuzz";
/// Of docs/PROTOCOL.md. `id_reused` is not for the decoder to say.
const REASONS: [&str; 7] =
    ["too_large", "invalid_json", "too_deep", "missing_field", "malformed_field", "unknown_status", "duplicate_field"];
/// A header of AMQP could hold more, a person could not read it.
const SENTENCE_BYTES_MAX: usize = 400;

/// By the defaults.
pub(crate) static PLAIN: LazyLock<Decoder> =
    LazyLock::new(|| Decoder::new(&SETTINGS.payments).expect("the defaults can be used"));

/// With every setting that changes what is read.
static UNUSUAL: LazyLock<Decoder> = LazyLock::new(|| {
    let settings = Payments {
        default_merchant: "shop".to_owned(),
        body_pointer: "/data/0".to_owned(),
        body_bytes_max: 1024,
        body_depth_max: 8,
        mappings: Vec::new(),
    };
    Decoder::new(&settings).expect("settings of the right form")
});

/// Reads a gateway's bodies by a mapping that uses every kind of field, JSON and forms.
static MAPPED: LazyLock<Decoder> = LazyLock::new(|| {
    let written = serde_json::json!({
        "routing_key": "payment.*.fuzz",
        "when": { "/kind": ["payment", 7] },
        "event_id": "/id",
        "merchant_id": "=shop",
        "order_id": "/object/order",
        "status": "/object/status",
        "statuses": { "paid": "succeeded", "3": "failed" },
        "statuses_ignored": ["review"],
        "occurred_at": "/at",
        "time_zone": "+08:00",
        "amount_value": "/object/amount",
        "amount_currency": "/object/currency",
        "amount_scale": 2,
        "provider_transaction_id": "/list/0/id",
        "refund_status": "/refund",
        "reason_message": "/object/message",
        "display": "/object",
    });
    let written: Mapping = serde_json::from_value(written).expect("a mapping of the right form");
    let settings = Payments { mappings: vec![written], ..SETTINGS.payments.clone() };
    Decoder::new(&settings).expect("a mapping that works")
});

/// One body, by each decoder.
pub fn check(body: &[u8]) {
    for decoder in [&*PLAIN, &*UNUSUAL, &*MAPPED] {
        let payload =
            Payload { routing_key: KEY, body, message_id: None, app_id: None, timestamp: None, headers: None };
        match decoder.decode(&payload) {
            Ok(Decoded::Event(event)) => {
                assert!(is_json(body) || decoder.explain(&payload).mapping.is_some(), "only JSON becomes an event");
                accepted(&event);
            }
            Ok(Decoded::Ignored { mapping }) => assert_eq!(decoder.explain(&payload).mapping, Some(mapping)),
            Err(reject) => rejected(&reject),
        }
    }
}

fn is_json(body: &[u8]) -> bool {
    let body = std::str::from_utf8(body).expect("only UTF-8 becomes an event").trim_start_matches('\u{feff}');
    serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok()
}

/// A reason of the list, and one sentence that can be read.
pub(crate) fn rejected(reject: &Reject) {
    assert!(REASONS.contains(&reject.code), "{reject:?}");
    assert!((1..=SENTENCE_BYTES_MAX).contains(&reject.sentence.len()), "{reject:?}");
    assert!(!reject.sentence.contains(char::is_control), "{reject:?}");
}

/// What must hold of every event that was taken.
pub(crate) fn accepted(event: &Event) {
    // What the service publishes itself is the same event, and its one form.
    let encoded = encode(event);
    let payload =
        Payload { routing_key: KEY, body: &encoded, message_id: None, app_id: None, timestamp: None, headers: None };
    let again = PLAIN.decode(&payload).expect("its own form is taken").event().expect("no mapping ignores it");
    assert_eq!(*event, again);
    assert_eq!(encoded, encode(&again));

    // What the store keeps comes back as it was.
    let mut state = State::first(event.clone());
    let kept = serde_json::to_string(&state).expect("a state can be kept");
    assert_eq!(serde_json::from_str::<State>(&kept).expect("what was kept can be read"), state);

    // A repetition changes nothing.
    let before = state.clone();
    assert_eq!(state.merge(event.clone()).change, Change::Duplicate);
    assert_eq!(state, before);

    // The page gets JSON, and says nothing that the publisher did not.
    let payment = state.payment();
    let text = payment.page_json();
    let mut members: BTreeMap<&str, &RawValue> = serde_json::from_slice(&text).expect("a page gets JSON");
    // As it came, and beyond what a reader in Rust takes: 1e999 is a number of JSON.
    let display = members.remove("display").map(RawValue::get);
    let shown = serde_json::to_value(&members).expect("numbers of ours");
    assert_eq!(shown["order_id"], event.key.order_id.as_str());
    assert_eq!(shown["status"], event.status.as_str());
    assert_eq!((shown["version"].as_u64(), shown["final"].as_bool()), (Some(1), Some(event.status.is_final())));
    assert_eq!(display, event.display.as_ref().map(Display::as_str));
    assert!(shown.get("provider_transaction_id").is_none() && shown.get("event_id").is_none());
}
