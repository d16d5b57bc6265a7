use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use payment_notifier::callbacks::{Accounts, Code, Received, Refusal};
use payment_notifier::payment::State;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};

use crate::support::{
    API_V3_KEY, CERTIFICATE_SERIAL, KEY_SERIAL, MCH_ID, NOW_UNIX_S, accounts, accounts_with, case, code, event, gist,
    headers, merchant, rsa_sign, settings,
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

/// Signs and delivers to other accounts.
fn deliver_to(accounts: &Accounts, notification: &Value) -> Result<Received, Refusal> {
    let body = notification.to_string().into_bytes();
    accounts.receive("wechat_pay", &merchant("shop"), &signed_at(NOW_UNIX_S, KEY_SERIAL, &body), &body, NOW_UNIX_S)
}

const STARTER: &str = "1604508789";

/// Started by a platform for two merchants, the first of which is the account's.
fn combined() -> Value {
    let order = |mchid: &str, number: &str, transaction: &str, fen: i64| {
        json!({
            "mchid": mchid, "trade_type": "JSAPI", "trade_state": "SUCCESS", "bank_type": "OTHERS", "attach": "page-1",
            "success_time": "2026-01-31T08:29:58.120+08:00", "transaction_id": transaction, "out_trade_no": number,
            "amount": { "total_amount": fen, "payer_amount": fen, "currency": "CNY", "payer_currency": "CNY" },
            "sub_openid": "oPayerOfTheSubMerchant", "promotion_detail": [],
        })
    };
    json!({
        "combine_appid": "wx0000000000000001", "combine_mchid": STARTER, "combine_out_trade_no": "combined-1",
        "combine_payer_info": { "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" }, "scene_info": { "device_id": "POS1:1" },
        "sub_orders": [
            order(MCH_ID, "part-1", "4300000000000000000000000001", 1000),
            order("1604508666", "part-2", "4300000000000000000000000002", 999),
        ],
    })
}

#[test]
fn a_combined_payment_is_an_event_for_each_of_its_orders() {
    let starter = accounts_with(|s| s.wechat_pay[0].mch_id = STARTER.into());
    let anybody = accounts_with(|s| s.wechat_pay[0].mch_id = String::new());
    for accounts in [starter, anybody] {
        let received = deliver_to(&accounts, &notification("TRANSACTION.SUCCESS", &combined())).unwrap();
        assert_eq!((received.reply.status, received.ignored), (204, None));
        let told = serde_json::to_value(&received.events).unwrap();
        let wanted = |order_id: &str, transaction: &str, fen: i64| {
            json!({
                "key": { "merchant_id": "shop", "order_id": order_id },
                "event_id": format!("EV-2026013108300000001:{order_id}"),
                "status": "succeeded", "occurred_at": "2026-01-31T08:29:58.120+08:00",
                "amount": { "value": fen, "currency": "CNY" }, "provider": "wechat_pay",
                "provider_transaction_id": transaction, "provider_status": "SUCCESS",
            })
        };
        let (first, second) = ("4300000000000000000000000001", "4300000000000000000000000002");
        assert_eq!(told, json!([wanted("part-1", first, 1000), wanted("part-2", second, 999)]));
    }
}

#[test]
fn a_merchant_of_a_combined_payment_gets_its_own_orders_alone() {
    assert_eq!(event(deliver(&notification("TRANSACTION.SUCCESS", &combined()))).key.order_id.as_str(), "part-1");
    let sub_merchant = accounts_with(|s| s.wechat_pay[0].mch_id = "1604978280".into());
    let mut resource = combined();
    assert_eq!(code(deliver_to(&sub_merchant, &notification("TRANSACTION.SUCCESS", &resource))), Code::Foreign);
    resource["sub_orders"][1]["sub_mchid"] = "1604978280".into();
    let received = deliver_to(&sub_merchant, &notification("TRANSACTION.SUCCESS", &resource));
    assert_eq!(event(received).key.order_id.as_str(), "part-2");
    // What is wrong with another merchant's order is no matter here.
    resource["sub_orders"][0]["trade_state"] = 7.into();
    let received = deliver_to(&sub_merchant, &notification("TRANSACTION.SUCCESS", &resource)).unwrap();
    assert_eq!((received.events.len(), received.partly_refused), (1, None));
    for (pointer, value) in [
        ("/sub_orders", json!([])),
        ("/sub_orders", Value::Null),
        ("/sub_orders", json!([["part-1"]])),
        ("/sub_orders/0/out_trade_no", Value::Null),
        ("/sub_orders/0/trade_state", Value::Null),
        ("/sub_orders/0/amount/total_amount", json!(-1)),
    ] {
        let mut resource = combined();
        *resource.pointer_mut(pointer).unwrap() = value;
        assert_eq!(code(deliver(&notification("TRANSACTION.SUCCESS", &resource))), Code::Malformed, "{pointer}");
    }
}

#[test]
fn an_order_that_makes_no_sense_does_not_hold_up_the_others_of_a_combined_payment() {
    let starter = accounts_with(|s| s.wechat_pay[0].mch_id = STARTER.into());
    for (pointer, value) in [
        ("/sub_orders/0", json!("part-1")),
        ("/sub_orders/0/out_trade_no", json!("part 1")),
        ("/sub_orders/0/out_trade_no", Value::Null),
        ("/sub_orders/0/trade_state", json!("PERHAPS")),
        ("/sub_orders/0/amount/total_amount", json!(-1)),
        ("/sub_orders/0/success_time", json!("yesterday")),
    ] {
        let mut resource = combined();
        *resource.pointer_mut(pointer).unwrap() = value;
        let received = deliver_to(&starter, &notification("TRANSACTION.SUCCESS", &resource)).unwrap();
        let orders: Vec<_> = received.events.iter().map(|event| event.key.order_id.as_str()).collect();
        assert_eq!(orders, ["part-2"], "{pointer}");
        let refusal = received.partly_refused.unwrap();
        assert_eq!((refusal.code, refusal.reply.status), (Code::Malformed, 400), "{pointer}");
    }
}

#[test]
fn the_pages_number_may_be_in_attach() {
    let accounts = accounts_with(|s| s.wechat_pay[0].order_id_from = "attach".into());
    let mut resource = transaction();
    resource["attach"] = "page-1".into();
    let told = event(deliver_to(&accounts, &notification("TRANSACTION.SUCCESS", &resource)));
    assert_eq!(told.key.order_id.as_str(), "page-1");
    for (attach, wanted) in
        [(Value::Null, "attach is empty"), (json!(""), "attach is empty"), (json!("text of the shop"), "order_id_from")]
    {
        resource["attach"] = attach;
        let refusal = deliver_to(&accounts, &notification("TRANSACTION.SUCCESS", &resource)).unwrap_err();
        assert_eq!((refusal.code, refusal.reply.status), (Code::Malformed, 400));
        assert!(refusal.detail.contains(wanted), "{}", refusal.detail);
    }
    // Notices of refunds do not bear it.
    let refunded = deliver_to(&accounts, &notification("REFUND.SUCCESS", &refund("SUCCESS", 2, 1))).unwrap();
    assert_eq!((refunded.events, refunded.ignored), (vec![], Some("no_order_id")));
}

#[test]
fn orders_of_a_combined_payment_with_one_number_are_one_payment() {
    let accounts = accounts_with(|s| {
        s.wechat_pay[0].order_id_from = "attach".into();
        s.wechat_pay[0].mch_id = STARTER.into();
    });
    let whole = event(deliver_to(&accounts, &notification("TRANSACTION.SUCCESS", &combined())));
    assert_eq!((whole.key.order_id.as_str(), whole.amount.map(|m| m.value())), ("page-1", Some(1999)));
    assert_eq!(whole.provider_transaction_id.as_deref(), Some("4300000000000000000000000001"));
    let mut resource = combined();
    resource["sub_orders"][1]["attach"] = "page-2".into();
    let received = deliver_to(&accounts, &notification("TRANSACTION.SUCCESS", &resource)).unwrap();
    let told = received.events.iter().map(|e| (e.key.order_id.as_str(), e.amount.map(|m| m.value())));
    assert_eq!(told.collect::<Vec<_>>(), [("page-1", Some(1000)), ("page-2", Some(999))]);
}

#[test]
fn what_is_no_payment_by_its_fields_is_accepted_whatever_its_type_says() {
    let sharing: Value = serde_json::from_str(&case("wechat-profitsharing.resource.json")).unwrap();
    let transfer = json!({
        "mch_id": MCH_ID, "out_bill_no": "bill-1", "transfer_bill_no": "1330000071100999991182020050700019480001",
        "state": "SUCCESS", "transfer_amount": 500, "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "fail_reason": "",
    });
    let batch = json!({ "mchid": MCH_ID, "out_batch_no": "b1", "batch_id": "1", "batch_status": "FINISHED" });
    let coupon = json!({
        "stock_creator_mchid": MCH_ID, "stock_id": "100088", "coupon_id": "98674556", "status": "USED",
        "consume_information": { "consume_mchid": MCH_ID, "transaction_id": "4200000000000000000000000001" },
    });
    let score = json!({ "mchid": MCH_ID, "out_order_no": "s1", "order_id": "15646546545165651651", "state": "DONE" });
    for resource in [&sharing, &transfer, &batch, &coupon, &score, &json!({})] {
        for (event_type, original_type) in [
            ("TRANSACTION.SUCCESS", "transaction"),
            ("TRANSACTION.SUCCESS", "profitsharing"),
            ("REFUND.SUCCESS", "refund"),
            ("PROFITSHARING.SUCCESS", "profitsharing"),
            ("MCHTRANSFER.BILL.FINISHED", "mch_payment"),
        ] {
            let mut told = notification(event_type, resource);
            told["resource"]["original_type"] = original_type.into();
            let received = deliver(&told).unwrap();
            let what = (received.events, received.ignored, received.reply.status);
            assert_eq!(what, (vec![], Some("event_type"), 204), "{event_type} {original_type} {resource}");
        }
    }
    let mut told: Value = serde_json::from_str(&case("wechat-profitsharing.envelope.json")).unwrap();
    told["resource"]["nonce"] = NONCE.into();
    told["resource"]["ciphertext"] = encrypt(&sharing.to_string(), "profitsharing").into();
    assert_eq!(deliver(&told).unwrap().ignored, Some("event_type"));
}

#[test]
fn a_notice_of_another_kind_need_not_have_a_resource_that_can_be_read() {
    for resource in [Value::Null, json!({}), json!([]), json!({ "algorithm": "AEAD_SM4_GCM" })] {
        let mut told = notification("COMPLAINT.CREATE", &json!({}));
        told["resource"] = resource.clone();
        assert_eq!(deliver(&told).unwrap().ignored, Some("event_type"), "{resource}");
        told["event_type"] = "TRANSACTION.SUCCESS".into();
        assert_eq!(code(deliver(&told)), Code::Malformed, "{resource}");
    }
}

#[test]
fn every_order_number_that_wechat_pay_allows_is_taken() {
    for number in ["a*b", "a|b", "a@b", "_-*|@"] {
        let mut resource = transaction();
        resource["out_trade_no"] = number.into();
        assert_eq!(event(deliver(&notification("TRANSACTION.SUCCESS", &resource))).key.order_id.as_str(), number);
    }
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
    let with_zeros = format!("00{CERTIFICATE_SERIAL}");
    for serial in [KEY_SERIAL, CERTIFICATE_SERIAL, &CERTIFICATE_SERIAL.to_lowercase(), &with_zeros] {
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
