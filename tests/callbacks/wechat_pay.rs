use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use payment_notifier::callbacks::{Code, Received, Refusal};
use payment_notifier::payment::State;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};

use crate::support::{
    API_V3_KEY, CERTIFICATE_SERIAL, KEY_SERIAL, MCH_ID, NOW_UNIX_S, accounts, code, event, gist, headers, merchant,
    rsa_sign, settings,
};

const NONCE: &str = "uluk4a9R25RW";

fn transaction() -> Value {
    json!({
        "mchid": MCH_ID, "appid": "wx0000000000000001", "out_trade_no": "order-1",
        "transaction_id": "4200000000000000000000000001", "trade_type": "JSAPI", "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": "", "success_time": "2026-01-31T08:29:58+08:00",
        "payer": { "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" },
        "amount": { "total": 1999, "payer_total": 1899, "currency": "CNY", "payer_currency": "CNY" },
    })
}

fn refund(status: &str, total: i64, refund: i64) -> Value {
    json!({
        "mchid": MCH_ID, "out_trade_no": "order-1", "transaction_id": "4200000000000000000000000001",
        "out_refund_no": "refund-1", "refund_id": "50000000000000000000000000001", "refund_status": status,
        "success_time": (status == "SUCCESS").then_some("2026-02-01T09:00:00+08:00"),
        "user_received_account": "招商银行信用卡0403",
        "amount": { "total": total, "refund": refund, "payer_total": total, "payer_refund": refund },
    })
}

fn encrypt(plaintext: &str, associated_data: &str) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, API_V3_KEY.as_bytes()).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(NONCE.as_bytes()).unwrap();
    let mut bytes = plaintext.as_bytes().to_vec();
    key.seal_in_place_append_tag(nonce, Aad::from(associated_data.as_bytes()), &mut bytes).unwrap();
    STANDARD.encode(bytes)
}

fn notification(event_type: &str, resource: &Value) -> Value {
    json!({
        "id": "EV-2026013108300000001", "create_time": "2026-01-31T08:30:00+08:00", "event_type": event_type,
        "resource_type": "encrypt-resource", "summary": "支付成功",
        "resource": {
            "algorithm": "AEAD_AES_256_GCM", "original_type": "transaction", "associated_data": "transaction",
            "nonce": NONCE, "ciphertext": encrypt(&resource.to_string(), "transaction"),
        },
    })
}

fn signed_at(timestamp: i64, serial: &str, body: &[u8]) -> HeaderMap {
    let signature = rsa_sign(&[format!("{timestamp}\nEcho\n").as_bytes(), body, b"\n"].concat());
    headers(&[
        ("wechatpay-timestamp", &timestamp.to_string()),
        ("wechatpay-nonce", "Echo"),
        ("wechatpay-signature", &signature),
        ("wechatpay-serial", serial),
        ("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048"),
    ])
}

fn receive(headers: &HeaderMap, body: &[u8]) -> Result<Received, Refusal> {
    accounts().receive("wechat_pay", &merchant("shop"), headers, body, NOW_UNIX_S)
}

/// Signs and delivers.
fn deliver(notification: &Value) -> Result<Received, Refusal> {
    let body = notification.to_string().into_bytes();
    receive(&signed_at(NOW_UNIX_S, KEY_SERIAL, &body), &body)
}

#[test]
fn a_payment_becomes_an_event_without_its_payer() {
    let received = deliver(&notification("TRANSACTION.SUCCESS", &transaction())).unwrap();
    assert_eq!((received.reply.status, received.reply.body.as_ref()), (204, ""));
    let told = serde_json::to_value(&received.events).unwrap();
    let wanted = json!([{
        "key": { "merchant_id": "shop", "order_id": "order-1" }, "event_id": "EV-2026013108300000001",
        "status": "succeeded", "occurred_at": "2026-01-31T08:29:58+08:00",
        "amount": { "value": 1999, "currency": "CNY" }, "provider": "wechat_pay",
        "provider_transaction_id": "4200000000000000000000000001", "provider_status": "SUCCESS",
    }]);
    assert_eq!(told, wanted);
}

#[test]
fn each_trade_state_has_its_status() {
    for (state, status) in [
        ("SUCCESS", "succeeded"),
        ("REFUND", "succeeded"),
        ("NOTPAY", "pending"),
        ("USERPAYING", "processing"),
        ("ACCEPT", "processing"),
        ("PAYERROR", "failed"),
        ("REVOKED", "canceled"),
        ("CLOSED", "expired"),
    ] {
        let mut resource = transaction();
        resource["trade_state"] = state.into();
        resource["success_time"] = Value::Null;
        let event = event(deliver(&notification("TRANSACTION.SUCCESS", &resource)));
        assert_eq!(gist(&event), format!("{status} 2026-01-31T08:30:00+08:00"), "{state}");
        assert_eq!((event.reason.is_some(), event.refund), (state == "PAYERROR", None), "{state}");
    }
}

#[test]
fn a_refund_claims_only_what_went_back() {
    for (status, total, part, gist_wanted) in [
        ("SUCCESS", 1999, 1999, "succeeded 2026-02-01T09:00:00+08:00 full 1999"),
        ("SUCCESS", 1999, 1998, "succeeded 2026-02-01T09:00:00+08:00 partial 1998"),
        ("PROCESSING", 1999, 1999, "succeeded 2026-01-31T08:30:00+08:00 processing 1999"),
        ("ABNORMAL", 1999, 1999, "succeeded 2026-01-31T08:30:00+08:00"),
        ("CLOSED", 1999, 1999, "succeeded 2026-01-31T08:30:00+08:00"),
    ] {
        let event = event(deliver(&notification(&format!("REFUND.{status}"), &refund(status, total, part))));
        assert_eq!(gist(&event), gist_wanted);
        assert_eq!(event.provider_status.as_deref(), Some(format!("REFUND.{status}").as_str()));
        assert_eq!(event.amount.map(|m| m.value()), Some(total));
    }
}

#[test]
fn payment_and_refund_end_in_one_state_whichever_comes_first() {
    let paid = event(deliver(&notification("TRANSACTION.SUCCESS", &transaction())));
    let mut told = notification("REFUND.SUCCESS", &refund("SUCCESS", 1999, 500));
    told["id"] = "EV-2".into();
    let refunded = event(deliver(&told));
    let ends = [[&paid, &refunded], [&refunded, &paid]].map(|[first, second]| {
        let mut state = State::first(first.clone());
        state.merge(second.clone());
        let payment = state.payment();
        (payment.occurred_at.to_string(), payment.refund, payment.amount)
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0].0, "2026-01-31T08:29:58+08:00");
    assert_eq!(ends[0].1, refunded.refund);
}

#[test]
fn associated_data_may_be_empty_or_absent() {
    for absent in [Value::Null, Value::String(String::new())] {
        let mut told = notification("TRANSACTION.SUCCESS", &transaction());
        told["resource"]["associated_data"] = absent;
        told["resource"]["ciphertext"] = encrypt(&transaction().to_string(), "").into();
        assert_eq!(event(deliver(&told)).key.order_id.as_str(), "order-1");
        told["resource"].as_object_mut().unwrap().remove("associated_data");
        assert_eq!(event(deliver(&told)).key.order_id.as_str(), "order-1");
    }
}

#[test]
fn both_keys_are_live_and_no_third_one() {
    let body = notification("TRANSACTION.SUCCESS", &transaction()).to_string().into_bytes();
    for serial in [KEY_SERIAL, CERTIFICATE_SERIAL, &CERTIFICATE_SERIAL.to_lowercase()] {
        assert!(receive(&signed_at(NOW_UNIX_S, serial, &body), &body).is_ok(), "{serial}");
    }
    assert_eq!(code(receive(&signed_at(NOW_UNIX_S, "PUB_KEY_ID_0", &body), &body)), Code::UnknownKey);
}

#[test]
fn one_changed_byte_is_a_bad_signature() {
    let body = notification("TRANSACTION.SUCCESS", &transaction()).to_string().into_bytes();
    let good = signed_at(NOW_UNIX_S, KEY_SERIAL, &body);
    let mut tampered = body.clone();
    tampered[40] ^= 1;
    assert_eq!(code(receive(&good, &tampered)), Code::BadSignature);
    assert_eq!(code(receive(&good, &[&body[..], b"\n"].concat())), Code::BadSignature);
    for (name, value) in [
        ("wechatpay-nonce", "echo"),
        ("wechatpay-timestamp", "1769819401"),
        ("wechatpay-signature", &rsa_sign(b"something else")),
        ("wechatpay-signature", "not base64"),
        ("wechatpay-signature", ""),
    ] {
        let mut changed = good.clone();
        changed.insert(name, value.parse().unwrap());
        assert_eq!(code(receive(&changed, &body)), Code::BadSignature, "{name}");
    }
    for name in ["wechatpay-nonce", "wechatpay-timestamp", "wechatpay-signature", "wechatpay-serial"] {
        let mut without = good.clone();
        without.remove(name);
        assert_eq!(code(receive(&without, &body)), Code::BadSignature, "{name}");
    }
}

#[test]
fn three_hundred_seconds_either_way_are_the_bound() {
    let body = notification("TRANSACTION.SUCCESS", &transaction()).to_string().into_bytes();
    for (offset_s, stale) in [(-300, false), (300, false), (-301, true), (301, true), (-86_400, true)] {
        let received = receive(&signed_at(NOW_UNIX_S + offset_s, KEY_SERIAL, &body), &body);
        assert_eq!(received.err().map(|r| r.code), stale.then_some(Code::Stale), "{offset_s}");
    }
}

#[test]
fn a_probe_is_refused_by_its_own_name() {
    let body = notification("TRANSACTION.SUCCESS", &transaction()).to_string().into_bytes();
    let mut probe = signed_at(NOW_UNIX_S, KEY_SERIAL, &body);
    probe.insert("wechatpay-signature", "WECHATPAY/SIGNTEST/ktG7tgWzkGcbHVQFRrCr+Q==".parse().unwrap());
    let refusal = receive(&probe, &body).unwrap_err();
    assert_eq!((refusal.code, refusal.reply.status), (Code::Probe, 401));
    assert_eq!(refusal.reply.body, r#"{"code":"FAIL","message":"probe"}"#);
}

#[test]
fn another_merchants_payment_is_foreign() {
    let cases = [
        (json!({ "mchid": "1900000002" }), Some(Code::Foreign)),
        (json!({ "mchid": null }), Some(Code::Foreign)),
        (json!({ "mchid": null, "sp_mchid": "1900000009", "sub_mchid": "1900000002" }), Some(Code::Foreign)),
        (json!({ "mchid": null, "sp_mchid": "1900000009", "sub_mchid": MCH_ID }), None),
        (json!({ "mchid": null, "sp_mchid": MCH_ID, "sub_mchid": "1900000002" }), None),
    ];
    for (owner, wanted) in cases {
        for (kind, mut resource) in
            [("TRANSACTION.SUCCESS", transaction()), ("REFUND.SUCCESS", refund("SUCCESS", 2, 1))]
        {
            resource.as_object_mut().unwrap().extend(owner.as_object().unwrap().clone());
            assert_eq!(deliver(&notification(kind, &resource)).err().map(|r| r.code), wanted, "{owner}");
        }
    }
    let mut any = settings();
    any.wechat_pay[0].mch_id = String::new();
    let any = payment_notifier::callbacks::Accounts::load(&any).unwrap();
    let mut resource = transaction();
    resource["mchid"] = "1900000002".into();
    let body = notification("TRANSACTION.SUCCESS", &resource).to_string().into_bytes();
    let headers = signed_at(NOW_UNIX_S, KEY_SERIAL, &body);
    assert!(any.receive("wechat_pay", &merchant("shop"), &headers, &body, NOW_UNIX_S).is_ok());
}

#[test]
fn what_is_signed_but_makes_no_sense_is_malformed_or_undecryptable() {
    let changed = |pointer: &str, value: Value| {
        let mut told = notification("TRANSACTION.SUCCESS", &transaction());
        *told.pointer_mut(pointer).unwrap() = value;
        code(deliver(&told))
    };
    assert_eq!(changed("/id", "".into()), Code::Malformed);
    assert_eq!(changed("/resource", Value::Null), Code::Malformed);
    assert_eq!(changed("/resource/ciphertext", "AAAA".into()), Code::Undecryptable);
    assert_eq!(changed("/resource/associated_data", "other".into()), Code::Undecryptable);
    assert_eq!(changed("/resource/nonce", "short".into()), Code::Undecryptable);
    for (pointer, value) in [
        ("/out_trade_no", json!("订单")),
        ("/out_trade_no", json!("")),
        ("/out_trade_no", json!("x".repeat(65))),
        ("/out_trade_no", Value::Null),
        ("/transaction_id", json!("x".repeat(129))),
        ("/trade_state", json!("MAYBE")),
        ("/success_time", json!("2026-01-31 08:30:00")),
        ("/amount/total", json!(-1)),
        ("/amount/total", json!(19.99)),
        ("/amount/currency", json!("cny")),
    ] {
        let mut resource = transaction();
        *resource.pointer_mut(pointer).unwrap() = value;
        assert_eq!(code(deliver(&notification("TRANSACTION.SUCCESS", &resource))), Code::Malformed, "{pointer}");
    }
    let unknown = notification("REFUND.SUCCESS", &refund("MAYBE", 2, 1));
    assert_eq!(code(deliver(&unknown)), Code::Malformed);
    let body = b"not json";
    assert_eq!(code(receive(&signed_at(NOW_UNIX_S, KEY_SERIAL, body), body)), Code::Malformed);
}

#[test]
fn an_array_of_an_objects_values_is_malformed() {
    let whole = notification("TRANSACTION.SUCCESS", &transaction());
    let mut of_values = whole.clone();
    of_values["resource"] =
        json!([whole["resource"]["algorithm"], whole["resource"]["ciphertext"], "transaction", NONCE]);
    let notification_of = |names: [&str; 4]| names.iter().map(|name| whole[*name].clone()).collect::<Value>();
    let mut paid = transaction();
    paid["amount"] = json!([1999, "CNY"]);
    let mut refunded = refund("SUCCESS", 1999, 1999);
    refunded["amount"] = json!([1999, 1999, "CNY"]);
    for array in [
        notification_of(["id", "create_time", "event_type", "resource"]),
        of_values,
        notification("TRANSACTION.SUCCESS", &json!([transaction()])),
        notification("TRANSACTION.SUCCESS", &paid),
        notification("REFUND.SUCCESS", &refunded),
    ] {
        assert_eq!(code(deliver(&array)), Code::Malformed, "{array}");
    }
}

#[test]
fn what_is_no_payment_is_accepted_and_not_published() {
    for kind in ["COUPON.USE", "TRANSACTION.PAY_BACK", "MCHTRANSFER.BILL.FINISHED"] {
        let received = deliver(&notification(kind, &json!({}))).unwrap();
        assert_eq!((received.events, received.ignored, received.reply.status), (vec![], Some("event_type"), 204));
    }
}
