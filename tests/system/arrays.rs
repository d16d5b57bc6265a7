//! A JSON array of an object's values is no object, at whichever door it comes.

use serde_json::{Value, json};

use crate::support::ticket::{API_KEY, SECRET, SUB, base64, claims, now_s, secret, signed, ticket};
use crate::support::{DeadLetters, MERCHANT, Page, Publisher, Service, Setup, event, keys};

const ORDER: &str = "array-1";

/// The values alone, in the order of the names.
fn values(object: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| object[*name].clone()).collect()
}

#[tokio::test]
async fn frames_and_bodies_are_objects() {
    let service = Service::start().await;
    let good = ticket(ORDER);
    let frames = [
        json!(["ping"]),
        json!(["subscribe", good]),
        json!(["subscribe", { "ticket": good }]),
        json!(["ack", ORDER, 1]),
        json!([]),
        json!([{ "type": "ping" }]),
    ];
    for frame in frames {
        let mut page = Page::open(&service).await;
        page.send(&frame).await;
        page.error_then_close("bad_request", 4400).await;
    }
    let publisher = Publisher::connect(service.vhost()).await;
    publisher.publish(&event(ORDER, "succeeded")).await;
    service.payment_with_status(ORDER, &good, "succeeded").await;
    let ack = format!("/v1/payments/{ORDER}/ack");
    service.post(&ack, &good, &json!([1])).await.assert_problem(400, "bad_request");
    assert_eq!(service.post(&ack, &good, &json!({ "version": 1 })).await.status, 204);
    let minted = json!([MERCHANT, ORDER, SUB, 60]);
    service.post("/v1/tickets", API_KEY, &minted).await.assert_problem(400, "bad_request");
    for revocation in [json!([null, MERCHANT, ORDER, 60]), json!([good, null, null, null])] {
        service.admin_post("/v1/revocations", &revocation).await.assert_problem(400, "bad_request");
    }
    let replay = format!("/v1/dead-letters/{}/replay", "0".repeat(12));
    assert_eq!(service.admin_post(&replay, &json!([true, false])).await.status, 400);
    assert_eq!(service.payment(ORDER, &good, "").await.status, 200, "nothing was revoked");
}

#[tokio::test]
async fn tickets_and_key_sets_are_objects() {
    let setup = Setup::new().await;
    let path = setup.folder().join("jwks.json");
    let jwk = keys::ES256.jwk("es");
    let as_array: Value = jwk.as_object().unwrap().values().cloned().collect();
    std::fs::write(&path, json!({ "keys": [as_array, keys::EDDSA.jwk("ed")] }).to_string()).unwrap();
    let service = setup.set("TICKETS__JWKS_FILE", path.display()).start().await;
    let good = claims(ORDER);
    let (header, key) = (json!({ "alg": "HS256", "typ": "JWT" }), secret(SECRET.as_bytes()));
    let sign = |header: &Value, claims: &Value| signed(header, claims, &key, jsonwebtoken::Algorithm::HS256);
    assert_eq!(service.payment(ORDER, &sign(&header, &good), "").await.status, 200);
    for names in [
        &["merchant_id", "order_id", "sub", "exp"][..],
        &["exp", "nbf", "sub", "iss", "aud"],
        &["exp", "aud", "iss", "nbf", "sub"],
    ] {
        let refused = service.payment(ORDER, &sign(&header, &values(&good, names)), "").await;
        refused.assert_problem(401, "invalid_ticket");
    }
    for header in [json!(["JWT", "HS256"]), json!(["HS256", "JWT"]), json!(["HS256"]), json!([{ "alg": "HS256" }])] {
        service.payment(ORDER, &sign(&header, &good), "").await.assert_problem(401, "invalid_ticket");
    }
    // What operators revoke by is read by another path.
    let array = format!("e30.{}.e30", base64(json!([MERCHANT, ORDER, SUB, now_s() + 60]).to_string()));
    service.admin_post("/v1/revocations", &json!({ "ticket": array })).await.assert_problem(400, "bad_request");
}

#[tokio::test]
async fn messages_and_what_is_within_them_are_objects() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut letters = DeadLetters::of(service.vhost()).await;
    let whole = event(ORDER, "succeeded");
    let with = |name: &str, value: Value| {
        let mut bent = whole.clone();
        bent[name] = value;
        bent
    };
    let names = ["event_id", "merchant_id", "order_id", "status", "occurred_at"];
    let structured = |data: Value| json!({ "specversion": "1.0", "id": "x", "source": "/", "type": "t", "data": data });
    let bad = [
        values(&whole, &names),
        json!([whole]),
        structured(values(&whole, &names)),
        with("amount", json!([1999, "CNY"])),
        with("refund", json!(["full", { "value": 1, "currency": "CNY" }])),
        with("refund", json!({ "status": "full", "amount": [1, "CNY"] })),
        with("reason", json!(["code", "message"])),
    ];
    for body in &bad {
        publisher.publish(body).await;
        let letter = letters.next().await;
        assert!(matches!(letter.reason.as_str(), "invalid_json" | "malformed_field"), "{body}: {letter:?}");
    }
    assert_eq!(service.payment(ORDER, &ticket(ORDER), "").await.json["version"], 0);
}
