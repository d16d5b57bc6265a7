//! Where fields come from, and the envelopes around bodies of others.

use super::*;
use crate::broker::decode::Explained;

fn explained(decoder: &Decoder, routing_key: &str, body: &str) -> Explained {
    let payload = Payload {
        routing_key,
        body: body.as_bytes(),
        message_id: Some("m-1"),
        app_id: None,
        timestamp: Some(1),
        headers: None,
    };
    decoder.explain(&payload)
}

#[test]
fn each_field_says_where_it_comes_from() {
    let toml =
        BASE.replace("\"/at\"", "\"/at\"\namount_value = \"/n\"\namount_currency = \"=CNY\"\nprovider = \"/by\"");
    let toml = toml.replace("[[payments.mappings]]", "[[payments.mappings]]\nrouting_key = \"mapped\"");
    let decoder = decoder(&toml);
    let mapped = explained(&decoder, "mapped", r#"{"order":"o","status":"failed","at":0,"n":1999,"by":""}"#);
    assert_eq!(mapped.mapping, Some(1));
    for (field, origin) in [
        ("event_id", Some("message-id")),
        ("merchant_id", Some("=shop")),
        ("order_id", Some("/order")),
        ("status", Some("/status, \"failed\"")),
        ("occurred_at", Some("timestamp")),
        ("amount", Some("/n, =CNY")),
        ("provider", None),
    ] {
        assert_eq!(mapped.origin(field), origin, "{field}");
    }
    let body = r#"{"specversion":"1.0","id":"e","time":"2026-11-28T05:30Z","data":{"merchant_id":"m","order_id":"o","status":"failed","refund":{"status":"full"}}}"#;
    let plain = explained(&decoder, "plain", body);
    assert_eq!(plain.mapping, None);
    for (field, origin) in [
        ("event_id", "CloudEvents id"),
        ("order_id", "/data/order_id"),
        ("occurred_at", "CloudEvents time"),
        ("refund.status", "/data/refund/status"),
    ] {
        assert_eq!(plain.origin(field), Some(origin), "{field}");
    }
}

#[test]
fn a_cloud_event_is_read_whole_or_by_its_data() {
    let body = |data: &str| format!(r#"{{"specversion":"1.0","id":"ce-1","time":"2026-11-28T05:30Z","data":{data}}}"#);
    let data = r#"{"order":"o","status":"failed"}"#;
    let inner = decoder(&BASE.replace("occurred_at = \"/at\"", "when = { \"/status\" = [\"failed\"] }"));
    let outer = decoder(
        &BASE
            .replace("occurred_at = \"/at\"", "")
            .replace("\"/order", "\"/data/order")
            .replace("/status", "/data/status"),
    );
    for (decoder, origin) in [(&inner, "data: /order"), (&outer, "/data/order")] {
        for data in [data.to_owned(), format!("{data:?}")] {
            if origin == "/data/order" && data.starts_with('"') {
                continue;
            }
            let found = explained(decoder, "x", &body(&data));
            assert_eq!(
                shown(&found.decoded.clone().unwrap().event().unwrap()),
                "shop/o ce-1 failed 2026-11-28T05:30:00Z "
            );
            assert_eq!(found.origin("order_id"), Some(origin));
        }
    }
    let unknown = decoder(BASE);
    let reject = decode(&unknown, "x", &body(r#"{"order":"o","status":"what","at":1}"#)).unwrap_err();
    assert_eq!(reject.code, "unknown_status");
    let reject = decode(&unknown, "x", &body(r#"{"status":"failed"}"#)).unwrap_err();
    assert_eq!(reject.sentence, "mapping 1: order_id (at /order) is missing");
}

#[test]
fn a_body_that_is_encoded_twice_is_read() {
    let decoder = decoder(BASE);
    let once = r#"{"order":"o","status":"failed","at":"2026-11-28T13:30:00+0800"}"#;
    let twice = serde_json::Value::from(once).to_string();
    let [read, read_twice] = [once, &twice].map(|body| event(&decoder, "x", body));
    assert_eq!((read.occurred_at.as_str(), &read.key), ("2026-11-28T13:30:00+08:00", &read_twice.key));
}
