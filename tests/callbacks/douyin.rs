use http::HeaderMap;
use payment_notifier::callbacks::{Accounts, Code, Received, Refusal};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};

use crate::support::{
    NOW_UNIX_S, TOKEN_NEW, TOKEN_OLD, TT_APP_ID, accounts, accounts_with, code, event, gist, headers, merchant,
    rsa_sign,
};

/// `msg` of the general trade system.
fn payment(status: &str) -> Value {
    json!({
        "app_id": TT_APP_ID, "out_order_no": "order-1", "order_id": "motb52726742593307630520652", "status": status,
        "total_amount": 1999, "discount_amount": 100, "pay_channel": 10, "channel_pay_id": "TP2026013108295800001",
        "user_bill_pay_id": "DTPS2601310829580001", "merchant_uid": "71223625266663938860", "message": "",
        "event_time": 1_769_819_398_120_i64, "cp_extra": "",
    })
}

fn notice(kind: &str, msg: &Value) -> String {
    json!({ "msg": msg.to_string(), "type": kind, "version": "3.0" }).to_string()
}

fn signed(body: &str) -> HeaderMap {
    let signature = rsa_sign(format!("{NOW_UNIX_S}\nEcho\n{body}\n").as_bytes());
    headers(&[
        ("byte-timestamp", &NOW_UNIX_S.to_string()),
        ("byte-nonce-str", "Echo"),
        ("byte-signature", &signature),
        ("byte-logid", "20260131082958"),
        ("byte-identifyname", "/v1/callbacks/douyin/shop"),
    ])
}

fn receive_by(accounts: &Accounts, headers: &HeaderMap, body: &str) -> Result<Received, Refusal> {
    accounts.receive("douyin", &merchant("shop"), headers, body.as_bytes(), NOW_UNIX_S)
}

/// Signs with the platform's key and delivers.
fn deliver(kind: &str, msg: &Value) -> Result<Received, Refusal> {
    let body = notice(kind, msg);
    receive_by(&accounts(), &signed(&body), &body)
}

/// `msg` of guaranteed payment.
fn guaranteed() -> Value {
    json!({
        "appid": TT_APP_ID, "cp_orderno": "order-1", "cp_extra": "", "way": "2", "channel_no": "2026013122001412479999452734",
        "payment_order_no": "2021070722001450071438803941", "order_id": "N7381", "total_amount": 9980,
        "status": "SUCCESS", "seller_uid": "69631798443938962290", "item_id": "", "paid_at": 1_769_819_398,
        "extra": "null", "message": "",
    })
}

fn token_signature(token: &str, parts: [&str; 3]) -> String {
    let mut parts: Vec<&str> = parts.into_iter().chain([token]).filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_token(token: &str, kind: &str, msg: &Value) -> Value {
    let msg = msg.to_string();
    let signature = token_signature(token, ["1769819399", "797", &msg]);
    json!({ "timestamp": "1769819399", "nonce": "797", "msg": msg, "type": kind, "msg_signature": signature })
}

fn deliver_with_token(body: &Value) -> Result<Received, Refusal> {
    receive_by(&accounts(), &HeaderMap::new(), &body.to_string())
}

#[test]
fn a_payment_becomes_an_event_without_its_payer() {
    let received = deliver("payment", &payment("SUCCESS")).unwrap();
    assert_eq!((received.reply.status, received.reply.body.as_ref()), (200, r#"{"err_no":0,"err_tips":"success"}"#));
    let told = serde_json::to_value(&received.events).unwrap();
    let wanted = json!([{
        "key": { "merchant_id": "shop", "order_id": "order-1" },
        "event_id": "douyin:motb52726742593307630520652:SUCCESS",
        "status": "succeeded", "occurred_at": "2026-01-31T00:29:58.12Z",
        "amount": { "value": 1999, "currency": "CNY" }, "provider": "douyin",
        "provider_transaction_id": "DTPS2601310829580001", "provider_status": "SUCCESS",
    }]);
    assert_eq!(told, wanted);
}

#[test]
fn guaranteed_payment_becomes_one_too() {
    let received = deliver_with_token(&with_token(TOKEN_NEW, "payment", &guaranteed())).unwrap();
    assert_eq!(received.reply.body, r#"{"err_no":0,"err_tips":"success"}"#);
    let told = serde_json::to_value(&received.events).unwrap();
    let wanted = json!([{
        "key": { "merchant_id": "shop", "order_id": "order-1" }, "event_id": "douyin:N7381:SUCCESS",
        "status": "succeeded", "occurred_at": "2026-01-31T00:29:58Z",
        "amount": { "value": 9980, "currency": "CNY" }, "provider": "douyin",
        "provider_transaction_id": "2026013122001412479999452734", "provider_status": "SUCCESS",
    }]);
    assert_eq!(told, wanted);
    // Some of the documented examples have neither.
    let mut bare = guaranteed();
    for name in ["order_id", "paid_at", "channel_no"] {
        bare.as_object_mut().unwrap().remove(name);
    }
    let event = event(deliver_with_token(&with_token(TOKEN_OLD, "payment", &bare)));
    assert_eq!(event.event_id.as_str(), "douyin:2021070722001450071438803941:SUCCESS");
    assert_eq!(gist(&event), "succeeded 2026-01-31T00:29:59Z");
}

#[test]
fn a_canceled_order_is_accepted_and_not_published() {
    for message in ["USER_CANCEL", "TIME_OUT", ""] {
        let mut msg = payment("CANCEL");
        for name in ["channel_pay_id", "user_bill_pay_id", "merchant_uid", "pay_channel"] {
            msg.as_object_mut().unwrap().remove(name);
        }
        msg["message"] = message.into();
        let received = deliver("payment", &msg).unwrap();
        assert_eq!((received.events, received.ignored, received.reply.status), (vec![], Some("not_paid"), 200));
        assert_eq!(received.reply.body, r#"{"err_no":0,"err_tips":"success"}"#);
    }
}

#[test]
fn the_transaction_is_what_the_payer_has_on_the_bill() {
    for (pay_channel, wanted) in [
        (json!(10), "DTPS2601310829580001"),
        (json!("10"), "DTPS2601310829580001"),
        (json!(1), "TP2026013108295800001"),
        (json!(2), "TP2026013108295800001"),
        (Value::Null, "TP2026013108295800001"),
    ] {
        let mut msg = payment("SUCCESS");
        msg["pay_channel"] = pay_channel;
        assert_eq!(event(deliver("payment", &msg)).provider_transaction_id.as_deref(), Some(wanted));
    }
}

#[test]
fn the_pages_number_may_be_in_cp_extra() {
    let accounts = accounts_with(|s| s.douyin[0].order_id_from = "cp_extra".into());
    for (extra, wanted) in [("page-1", Some("page-1")), ("", None)] {
        let mut msg = payment("SUCCESS");
        msg["cp_extra"] = extra.into();
        let body = notice("payment", &msg);
        let mut old = guaranteed();
        old["cp_extra"] = extra.into();
        let old = with_token(TOKEN_OLD, "payment", &old).to_string();
        for (headers, body) in [(signed(&body), &body), (HeaderMap::new(), &old)] {
            let received = receive_by(&accounts, &headers, body);
            match wanted {
                Some(wanted) => assert_eq!(event(received).key.order_id.as_str(), wanted),
                None => assert!(received.unwrap_err().detail.starts_with("cp_extra is empty")),
            }
        }
    }
}

#[test]
fn one_changed_byte_is_a_bad_signature() {
    let body = notice("payment", &payment("SUCCESS"));
    let good = signed(&body);
    assert!(receive_by(&accounts(), &good, &body).is_ok());
    for bad in [body.replace("1999", "1"), format!("{body}\n"), format!(" {body}")] {
        let refusal = receive_by(&accounts(), &good, &bad).unwrap_err();
        assert_eq!((refusal.code, refusal.reply.status), (Code::BadSignature, 401));
        assert_eq!(refusal.reply.body, r#"{"err_no":1,"err_tips":"bad_signature"}"#);
    }
    for (name, value) in [
        ("byte-timestamp", "1769819401"),
        ("byte-nonce-str", "echo"),
        ("byte-signature", "not base64"),
        ("byte-signature", ""),
    ] {
        let mut changed = good.clone();
        changed.insert(name, value.parse().unwrap());
        assert_eq!(code(receive_by(&accounts(), &changed, &body)), Code::BadSignature, "{name}");
        changed.remove(name);
        assert_eq!(code(receive_by(&accounts(), &changed, &body)), Code::BadSignature, "{name}");
    }
}

#[test]
fn a_token_signs_all_but_the_type() {
    let good = with_token(TOKEN_OLD, "payment", &guaranteed());
    assert!(deliver_with_token(&good).is_ok());
    // What is empty is left out.
    let msg = guaranteed().to_string();
    let signature = token_signature(TOKEN_OLD, ["1769819399", "", &msg]);
    let mut without = good.clone();
    (without["nonce"], without["msg_signature"]) = ("".into(), signature.into());
    assert!(deliver_with_token(&without).is_ok());
    let other = with_token("token of somebody else", "payment", &guaranteed());
    assert_eq!(code(deliver_with_token(&other)), Code::BadSignature);
    for (name, value) in [
        ("timestamp", json!("1769819398")),
        ("nonce", json!("798")),
        ("msg", json!(msg.replace("9980", "1"))),
        ("msg_signature", json!("")),
        ("msg_signature", Value::Null),
    ] {
        let mut changed = good.clone();
        changed[name] = value;
        assert_eq!(code(deliver_with_token(&changed)), Code::BadSignature, "{name}");
    }
    // A refund that is passed off as a payment is none by its fields.
    let refund = json!({ "appid": TT_APP_ID, "cp_refundno": "r-1", "status": "SUCCESS", "refund_amount": 9980, "order_id": "N7381" });
    let mut passed_off = with_token(TOKEN_OLD, "refund", &refund);
    passed_off["type"] = "payment".into();
    assert_eq!(code(deliver_with_token(&passed_off)), Code::Malformed);
    let no_tokens = accounts_with(|s| s.douyin[0].tokens.clear());
    assert_eq!(code(receive_by(&no_tokens, &HeaderMap::new(), &good.to_string())), Code::BadSignature);
    // A gateway may add headers to the older form too.
    let headers = headers(&[("byte-signature", "AAAA"), ("byte-timestamp", "1"), ("byte-nonce-str", "x")]);
    assert!(receive_by(&accounts(), &headers, &good.to_string()).is_ok());
}

#[test]
fn another_applications_payment_is_foreign() {
    let mut msg = payment("SUCCESS");
    msg["app_id"] = "tt1683603e89bd1ac801".into();
    assert_eq!(code(deliver("payment", &msg)), Code::Foreign);
    let mut msg = guaranteed();
    msg["appid"] = "".into();
    assert_eq!(code(deliver_with_token(&with_token(TOKEN_OLD, "payment", &msg))), Code::Foreign);
}

#[test]
fn what_is_signed_but_makes_no_sense_is_malformed() {
    for (name, value) in [
        ("out_order_no", json!("订单")),
        ("out_order_no", json!("")),
        ("out_order_no", Value::Null),
        ("order_id", Value::Null),
        ("status", json!("PERHAPS")),
        ("total_amount", json!(-1)),
        ("total_amount", json!("19.99")),
        ("event_time", json!(i64::MAX)),
    ] {
        let mut msg = payment("SUCCESS");
        msg[name] = value;
        assert_eq!(code(deliver("payment", &msg)), Code::Malformed, "{name}");
    }
    for msg in [json!([]), json!("text"), Value::Null] {
        assert_eq!(code(deliver("payment", &msg)), Code::Malformed, "{msg}");
    }
    for body in ["{", "[]", r#"{"type":"payment"}"#, r#"{"type":"payment","msg":{}}"#] {
        assert_eq!(code(receive_by(&accounts(), &signed(body), body)), Code::Malformed, "{body}");
    }
}

#[test]
fn what_is_no_payment_is_accepted_and_not_published() {
    for kind in ["refund", "settle", "pre_create_refund", "sign_pay_callback"] {
        let token = with_token(TOKEN_OLD, kind, &json!({ "appid": TT_APP_ID, "status": "SUCCESS" }));
        for received in [deliver(kind, &json!({ "status": "SUCCESS" })), deliver_with_token(&token)] {
            let received = received.unwrap();
            assert_eq!((received.events, received.ignored, received.reply.status), (vec![], Some("event_type"), 200));
        }
    }
}
