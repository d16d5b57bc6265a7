use http::HeaderMap;
use payment_notifier::callbacks::{Code, Received, Refusal};
use payment_notifier::payment::Event;
use ring::hmac;
use serde_json::{Value, json};

use crate::support::{
    NOW_UNIX_S, WHSEC_NEW, WHSEC_OLD, accounts, accounts_with, case, code, end, event, gist, headers, merchant,
};

fn notification(kind: &str, object: &Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": kind, "created": 1_769_819_398, "livemode": true,
        "api_version": "2025-03-31.basil", "data": { "object": object },
    })
}

fn intent(status: &str) -> Value {
    json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "amount": 1999, "amount_received": 0,
        "currency": "usd", "customer": "cus_secret", "receipt_email": "payer@example.org",
        "metadata": { "order_id": "order-1" }, "last_payment_error": null, "cancellation_reason": null,
    })
}

fn charge(amount: i64, captured: i64, refunded: i64, all: bool) -> Value {
    json!({
        "id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount": amount, "amount_captured": captured,
        "amount_refunded": refunded, "captured": captured > 0, "refunded": all, "currency": "jpy",
        "billing_details": { "name": "payer" }, "metadata": { "order_id": "order-1" },
    })
}

fn v1(secret: &str, signed_at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{signed_at}.{body}").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn receive(headers: &HeaderMap, body: &str) -> Result<Received, Refusal> {
    accounts().receive("stripe", &merchant("shop"), headers, body.as_bytes(), NOW_UNIX_S)
}

fn receive_with(signature: &str, body: &str) -> Result<Received, Refusal> {
    receive(&headers(&[("stripe-signature", signature)]), body)
}

/// Signs and delivers.
fn deliver(notification: &Value) -> Result<Received, Refusal> {
    let body = notification.to_string();
    receive_with(&format!("t={NOW_UNIX_S},v1={}", v1(WHSEC_NEW, NOW_UNIX_S, &body)), &body)
}

#[test]
fn a_payment_becomes_an_event_without_its_payer() {
    let mut paid = intent("succeeded");
    paid["amount_received"] = 1500.into();
    let received = deliver(&notification("payment_intent.succeeded", &paid)).unwrap();
    assert_eq!((received.reply.status, received.reply.body.as_ref()), (200, r#"{"received":true}"#));
    let told = serde_json::to_value(&received.events).unwrap();
    let wanted = json!([{
        "key": { "merchant_id": "shop", "order_id": "order-1" }, "event_id": "evt_1", "status": "succeeded",
        "occurred_at": "2026-01-31T00:29:58Z", "amount": { "value": 1500, "currency": "USD" }, "provider": "stripe",
        "provider_transaction_id": "pi_1", "provider_status": "succeeded",
    }]);
    assert_eq!(told, wanted);
}

#[test]
fn each_status_of_an_intent_has_its_own() {
    for (kind, status, wanted) in [
        ("payment_intent.created", "requires_payment_method", "pending"),
        ("payment_intent.created", "requires_confirmation", "pending"),
        ("payment_intent.requires_action", "requires_action", "requires_action"),
        ("payment_intent.created", "requires_source", "pending"),
        ("payment_intent.requires_action", "requires_source_action", "requires_action"),
        ("payment_intent.processing", "processing", "processing"),
        ("payment_intent.amount_capturable_updated", "requires_capture", "authorized"),
        ("payment_intent.succeeded", "succeeded", "succeeded"),
        ("payment_intent.payment_failed", "requires_payment_method", "pending"),
        ("payment_intent.canceled", "canceled", "canceled"),
    ] {
        let event = event(deliver(&notification(kind, &intent(status))));
        assert_eq!(event.status.as_str(), wanted, "{kind}");
        assert_eq!(event.amount.map(|m| m.value()), Some(1999), "{kind}");
    }
}

#[test]
fn an_array_of_an_objects_values_is_malformed() {
    let paid = intent("succeeded");
    let whole = notification("payment_intent.succeeded", &paid);
    let mut data = whole.clone();
    data["data"] = json!([paid]);
    let mut declined = intent("requires_payment_method");
    declined["last_payment_error"] = json!(["card_declined", "Your card was declined."]);
    let values = |object: &Value, names: &[&str]| names.iter().map(|name| object[*name].clone()).collect::<Value>();
    let of_intent = ["id", "status", "amount", "amount_received", "currency", "metadata", "last_payment_error"];
    for array in [
        values(&whole, &["id", "type", "created", "api_version", "data"]),
        data,
        notification("payment_intent.succeeded", &values(&paid, &of_intent)),
        notification("payment_intent.payment_failed", &declined),
    ] {
        assert_eq!(code(deliver(&array)), Code::Malformed, "{array}");
    }
}

#[test]
fn a_decline_says_why_to_the_page() {
    let mut declined = intent("requires_payment_method");
    declined["last_payment_error"] =
        json!({ "code": "card_declined", "decline_code": "stolen_card", "message": "Your card was declined." });
    let event = event(deliver(&notification("payment_intent.payment_failed", &declined)));
    let reason = event.reason.unwrap();
    assert_eq!(
        (reason.code.as_deref(), reason.message.as_deref()),
        (Some("card_declined"), Some("Your card was declined."))
    );
    assert_eq!(event.provider_status.as_deref(), Some("payment_failed"));
    assert_eq!(event.status.as_str(), "pending", "the intent can still be paid");
}

/// The events of a file with one notification a line.
fn events_of(name: &str) -> Vec<Event> {
    let text = case(name);
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| event(deliver(&serde_json::from_str(line).unwrap()))).collect()
}

#[test]
fn an_attempt_that_was_declined_is_open_until_the_intent_ends() {
    let events = events_of("stripe-declined-then-abandoned.jsonl");
    let declined = end(&events[..1]).payment();
    assert_eq!((declined.status.as_str(), declined.is_final()), ("pending", false));
    assert_eq!(declined.reason.unwrap().code.as_deref(), Some("card_declined"));
    let abandoned = end(&events).payment();
    assert_eq!((abandoned.status.as_str(), abandoned.is_final()), ("canceled", true));
    assert_eq!(abandoned.reason.unwrap().code.as_deref(), Some("abandoned"));
}

#[test]
fn an_intent_that_is_canceled_does_not_contradict_another_that_has_paid() {
    let events = events_of("stripe-two-intents-one-order.jsonl");
    let intents = events.iter().filter_map(|event| event.provider_transaction_id.as_deref());
    assert_eq!(intents.collect::<Vec<_>>(), ["pi_A", "pi_B", "pi_A"]);
    let ended = end(&events);
    assert_eq!((ended.payment().status.as_str(), ended.conflicts().iter().count()), ("succeeded", 0));
}

#[test]
fn events_of_one_second_are_in_the_order_of_an_intents_life() {
    assert_eq!(end(&events_of("stripe-same-second.jsonl")).payment().status.as_str(), "requires_action");
    const LIFE: [(&str, &str, &str); 8] = [
        ("created", "requires_payment_method", "pending"),
        ("created", "requires_confirmation", "pending"),
        ("requires_action", "requires_action", "requires_action"),
        ("processing", "processing", "processing"),
        ("amount_capturable_updated", "requires_capture", "authorized"),
        ("payment_failed", "requires_payment_method", "pending"),
        ("canceled", "canceled", "canceled"),
        ("succeeded", "succeeded", "succeeded"),
    ];
    let told = |(kind, status, _): (&str, &str, &str), id: String| {
        let mut told = notification(&format!("payment_intent.{kind}"), &intent(status));
        told["id"] = id.into();
        event(deliver(&told))
    };
    for (earlier, first) in LIFE.into_iter().enumerate() {
        for (later, second) in LIFE.into_iter().enumerate().skip(earlier + 1) {
            // Whichever id is the greater.
            for ids in [["evt_a", "evt_z"], ["evt_z", "evt_a"]] {
                let [one, other] = ids.map(str::to_owned);
                let ended = end(&[told(first, one), told(second, other)]);
                assert_eq!(ended.payment().status.as_str(), second.2, "{earlier} {later} {ids:?}");
            }
        }
    }
    // What ends it has Stripe's own time.
    for step in &LIFE[6..] {
        assert_eq!(told(*step, "evt_1".into()).occurred_at.as_str(), "2026-01-31T00:29:58Z");
    }
    // Less than a second in all: the next second is always later.
    let declined = told(LIFE[5], "evt_1".into());
    assert_eq!(declined.occurred_at.unix_ms() / 1000, 1_769_819_398);
}

#[test]
fn the_pages_number_may_be_under_another_key_of_the_metadata() {
    let accounts = accounts_with(|s| s.stripe[0].order_id_from = "metadata.shop_order".into());
    let mut paid = intent("succeeded");
    for (metadata, wanted) in [
        (json!({ "shop_order": "page-1", "order_id": "other" }), Some("page-1")),
        (json!({ "order_id": "other" }), None),
        (json!({ "shop_order": "" }), None),
        (json!({ "shop_order": 7 }), None),
    ] {
        paid["metadata"] = metadata;
        let body = notification("payment_intent.succeeded", &paid).to_string();
        let signature = format!("t={NOW_UNIX_S},v1={}", v1(WHSEC_NEW, NOW_UNIX_S, &body));
        let headers = headers(&[("stripe-signature", &signature)]);
        let received = accounts.receive("stripe", &merchant("shop"), &headers, body.as_bytes(), NOW_UNIX_S).unwrap();
        assert_eq!(received.events.first().map(|e| e.key.order_id.as_str()), wanted);
        assert_eq!(received.ignored, wanted.is_none().then_some("no_order_id"));
    }
}

#[test]
fn thin_events_are_accepted_and_not_published() {
    let thin: Value = serde_json::from_str(&case("stripe-v2-thin-event.json")).unwrap();
    for kind in
        ["v1.billing.meter.error_report_triggered", "v2.core.event_destination.ping", "payment_intent.succeeded"]
    {
        for related in
            [json!({ "id": "pi_1", "type": "payment_intent", "url": "/v1/payment_intents/pi_1" }), Value::Null]
        {
            let mut told = thin.clone();
            told["type"] = kind.into();
            told["related_object"] = related;
            let received = deliver(&told).unwrap();
            let what = (received.events, received.ignored, received.reply.status);
            assert_eq!(what, (vec![], Some("event_type"), 200), "{kind}");
        }
    }
}

#[test]
fn a_refund_claims_only_what_went_back() {
    // API version, amount, captured, refunded, all of it; what is told.
    let cases = [
        ("2025-03-31.basil", 1000, 1000, 1000, true, Some("full 1000")),
        ("2025-03-31.basil", 1000, 1000, 400, false, Some("partial 400")),
        ("2025-03-31.basil", 1000, 750, 100, false, Some("partial 100")),
        ("2025-03-31.basil", 1000, 750, 750, false, Some("full 750")),
        ("2020-08-27", 1000, 1000, 1000, true, Some("full 1000")),
        ("2020-08-27", 1000, 750, 250, false, None),
        ("2020-08-27", 1000, 750, 350, false, Some("partial 100")),
        ("2020-08-27", 1000, 750, 1000, true, Some("full 750")),
        ("2020-08-27", 1000, 0, 1000, true, None),
    ];
    for (version, amount, captured, refunded, all, wanted) in cases {
        let mut told = notification("charge.refunded", &charge(amount, captured, refunded, all));
        told["api_version"] = version.into();
        let received = deliver(&told);
        let Some(wanted) = wanted else {
            let received = received.unwrap();
            assert_eq!((received.events, received.ignored), (vec![], Some("hold_released")));
            continue;
        };
        let event = event(received);
        assert_eq!(event.occurred_at.unix_ms() / 1000, 1_769_819_398);
        assert_eq!(gist(&event), format!("succeeded {} {wanted}", event.occurred_at));
        assert_eq!(serde_json::to_value(event.amount).unwrap(), json!({ "value": captured, "currency": "JPY" }));
        assert_eq!(event.provider_transaction_id.as_deref(), Some("pi_1"));
        assert_eq!(event.provider_status.as_deref(), Some("charge.refunded"));
    }
}

#[test]
fn of_partial_refunds_of_one_second_the_greater_sum_is_the_later() {
    let told = |id: &str, refunded: i64, all: bool| {
        let mut told = notification("charge.refunded", &charge(2000, 2000, refunded, all));
        told["id"] = id.into();
        event(deliver(&told))
    };
    let paid = || {
        let mut paid = intent("succeeded");
        (paid["amount"], paid["amount_received"], paid["currency"]) = (2000.into(), 2000.into(), "jpy".into());
        event(deliver(&notification("payment_intent.succeeded", &paid)))
    };
    for (less, more, all, wanted) in [
        (500, 900, false, "partial"),
        (900, 901, false, "partial"),
        (1998, 1999, false, "partial"),
        (1, 2000, true, "full"),
    ] {
        for [one, other] in [["evt_a", "evt_z"], ["evt_z", "evt_a"]] {
            let [first, second] = [told(one, less, false), told(other, more, all)];
            for events in [[paid(), first.clone(), second.clone()], [second, first, paid()]] {
                let payment = end(&events).payment();
                let refund = serde_json::to_value(payment.refund).unwrap();
                assert_eq!((&refund["status"], &refund["amount"]["value"]), (&json!(wanted), &json!(more)), "{one}");
                assert_eq!(payment.occurred_at.as_str(), "2026-01-31T00:29:58Z");
            }
        }
    }
}

#[test]
fn amounts_are_minor_units_of_iso_4217_where_stripe_counts_otherwise() {
    for (currency, told, value) in [
        ("jpy", 500, 500),
        ("usd", 500, 500),
        ("kwd", 5000, 5000),
        ("isk", 500, 5),
        ("ISK", 500, 5),
        ("ugx", 500, 5),
        ("mga", 500, 50_000),
    ] {
        let mut paid = intent("succeeded");
        (paid["amount"], paid["amount_received"], paid["currency"]) = (told.into(), told.into(), currency.into());
        let amount = event(deliver(&notification("payment_intent.succeeded", &paid))).amount.unwrap();
        let shown = serde_json::to_value(amount).unwrap();
        assert_eq!(shown, json!({ "value": value, "currency": currency.to_uppercase() }));
        let mut refunded = charge(told, told, told, true);
        refunded["currency"] = currency.into();
        let refund = event(deliver(&notification("charge.refunded", &refunded))).refund.unwrap();
        assert_eq!(refund.amount.unwrap().value(), value, "{currency}");
    }
}

#[test]
fn a_hold_that_was_never_captured_is_no_payment() {
    // Older API versions give null where later ones give 0.
    for captured in [Value::Null, json!(0)] {
        let mut hold = charge(1000, 0, 1000, true);
        hold["amount_captured"] = captured;
        let mut told = notification("charge.refunded", &hold);
        told["api_version"] = "2020-08-27".into();
        let received = deliver(&told).unwrap();
        assert_eq!((received.events, received.ignored), (vec![], Some("hold_released")));
    }
}

#[test]
fn any_v1_of_any_secret_is_enough_and_other_schemes_are_not() {
    let body = notification("payment_intent.succeeded", &intent("succeeded")).to_string();
    let (old, new) = (v1(WHSEC_OLD, NOW_UNIX_S, &body), v1(WHSEC_NEW, NOW_UNIX_S, &body));
    let other = v1("whsec_of_somebody_else_000000", NOW_UNIX_S, &body);
    for good in [
        format!("t={NOW_UNIX_S},v1={old}"),
        format!("t={NOW_UNIX_S},v1={other},v1={new},v0=00"),
        format!("v1={new},t={NOW_UNIX_S}"),
        format!("t={NOW_UNIX_S}, v1={}", new.to_uppercase()),
    ] {
        assert!(receive_with(&good, &body).is_ok(), "{good}");
    }
    for bad in [
        format!("t={NOW_UNIX_S},v1={other}"),
        format!("t={NOW_UNIX_S},v0={new}"),
        format!("t={NOW_UNIX_S},v1={}", &new[..62]),
        format!("t={},v1={new}", NOW_UNIX_S + 1),
        format!("t={NOW_UNIX_S},t={NOW_UNIX_S},v1={new}"),
        format!("v1={new}"),
        format!("t={NOW_UNIX_S}"),
        String::new(),
    ] {
        assert_eq!(code(receive_with(&bad, &body)), Code::BadSignature, "{bad}");
    }
    let good = format!("t={NOW_UNIX_S},v1={new}");
    assert_eq!(code(receive_with(&good, &body.replace("1999", "1"))), Code::BadSignature);
    let refusal = receive(&HeaderMap::new(), &body).unwrap_err();
    assert_eq!((refusal.code, refusal.reply.body.as_ref()), (Code::BadSignature, r#"{"error":"bad_signature"}"#));
}

#[test]
fn three_hundred_seconds_either_way_are_the_bound() {
    let body = notification("payment_intent.succeeded", &intent("succeeded")).to_string();
    for (offset_s, stale) in [(-300, false), (300, false), (-301, true), (301, true)] {
        let at = NOW_UNIX_S + offset_s;
        let received = receive_with(&format!("t={at},v1={}", v1(WHSEC_NEW, at, &body)), &body);
        assert_eq!(received.err().map(|r| r.code), stale.then_some(Code::Stale), "{offset_s}");
    }
}

#[test]
fn what_is_signed_but_makes_no_sense_is_malformed() {
    for (pointer, value) in [
        ("/id", json!("")),
        ("/created", json!(-1)),
        ("/created", json!(u64::MAX)),
        ("/data", Value::Null),
        ("/data/object", json!([])),
        ("/data/object/status", json!("requires_patience")),
        ("/data/object/amount", json!(-1)),
        ("/data/object/currency", json!("dollars")),
        ("/data/object/metadata/order_id", json!("order 1")),
    ] {
        let mut told = notification("payment_intent.processing", &intent("processing"));
        *told.pointer_mut(pointer).unwrap() = value;
        assert_eq!(code(deliver(&told)), Code::Malformed, "{pointer}");
    }
    let body = "{";
    let signature = format!("t={NOW_UNIX_S},v1={}", v1(WHSEC_NEW, NOW_UNIX_S, body));
    assert_eq!(code(receive_with(&signature, body)), Code::Malformed);
}

#[test]
fn what_is_no_order_of_ours_is_accepted_and_not_published() {
    let thin = json!({ "id": "evt_2", "type": "v1.billing.meter.no_meter_found", "created": 1 });
    let mut without = intent("succeeded");
    without["metadata"] = json!({});
    let mut refund_without = charge(1000, 1000, 1000, true);
    refund_without["metadata"] = json!([]);
    for (told, why) in [
        (notification("customer.created", &json!({})), "event_type"),
        (notification("charge.succeeded", &charge(1000, 1000, 0, false)), "event_type"),
        (thin, "event_type"),
        (notification("payment_intent.succeeded", &without), "no_order_id"),
        (notification("charge.refunded", &refund_without), "no_order_id"),
    ] {
        let received = deliver(&told).unwrap();
        assert_eq!((received.events, received.ignored, received.reply.status), (vec![], Some(why), 200));
    }
}
