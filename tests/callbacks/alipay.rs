use std::collections::BTreeMap;

use http::HeaderMap;
use payment_notifier::callbacks::{Code, Received, Refusal};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::{
    APP_ID, NOW_UNIX_S, SELLER_ID, accounts, accounts_with, case, code, event, gist, merchant, rsa_sign,
};

type Fields = BTreeMap<&'static str, String>;
type Field = (&'static str, &'static str);

fn notice(trade_status: &str, more: &[(&'static str, &str)]) -> Fields {
    let common = [
        ("notify_time", "2026-01-31 08:31:00"),
        ("notify_type", "trade_status_sync"),
        ("notify_id", "2026013100222083100000000000000001"),
        ("app_id", APP_ID),
        ("auth_app_id", APP_ID),
        ("charset", "utf-8"),
        ("version", "1.0"),
        ("sign_type", "RSA2"),
        ("trade_no", "2026013122001400000000000001"),
        ("out_trade_no", "order-1"),
        ("seller_id", SELLER_ID),
        ("buyer_id", "2088999999999999"),
        ("buyer_logon_id", "159****5620"),
        ("subject", "订单 1+1=2 & 100%"),
        ("trade_status", trade_status),
        ("total_amount", "19.99"),
        ("gmt_create", "2026-01-31 08:29:00"),
    ];
    common.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn joined(fields: &Fields, without: &[&str]) -> String {
    let kept = fields.iter().filter(|(name, _)| !without.contains(*name));
    kept.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encoded(fields: &Fields) -> String {
    let pairs = fields.iter().rev().map(|(name, value)| {
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC).to_string().replace("%20", "+"))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn signed(mut fields: Fields) -> String {
    let sign = rsa_sign(joined(&fields, &["sign_type"]).as_bytes());
    fields.insert("sign", sign);
    encoded(&fields)
}

fn receive(body: &str) -> Result<Received, Refusal> {
    accounts().receive("alipay", &merchant("shop"), &HeaderMap::new(), body.as_bytes(), NOW_UNIX_S)
}

const PAID: Field = ("gmt_payment", "2026-01-31 08:30:00");

#[test]
fn a_payment_becomes_an_event_without_its_buyer() {
    let received = receive(&signed(notice("TRADE_SUCCESS", &[PAID]))).unwrap();
    assert_eq!((received.reply.status, received.reply.body.as_ref()), (200, "success"));
    let told = serde_json::to_value(&received.events).unwrap();
    let wanted = json!([{
        "key": { "merchant_id": "shop", "order_id": "order-1" }, "event_id": "2026013100222083100000000000000001",
        "status": "succeeded", "occurred_at": "2026-01-31T08:30:00+08:00",
        "amount": { "value": 1999, "currency": "CNY" }, "provider": "alipay",
        "provider_transaction_id": "2026013122001400000000000001", "provider_status": "TRADE_SUCCESS",
    }]);
    assert_eq!(told, wanted);
}

#[test]
fn both_ways_of_signing_are_known() {
    let fields = notice("TRADE_SUCCESS", &[PAID]);
    for without in [&["sign_type"][..], &[]] {
        let mut fields = fields.clone();
        fields.insert("sign", rsa_sign(joined(&fields, without).as_bytes()));
        assert!(receive(&encoded(&fields)).is_ok(), "{without:?}");
    }
}

/// The fields that are signed: all, or those with a value.
fn signed_with(mut fields: Fields, without: &[&str], with_empty: bool) -> String {
    let kept = fields.clone().into_iter().filter(|(_, value)| with_empty || !value.is_empty()).collect();
    fields.insert("sign", rsa_sign(joined(&kept, without).as_bytes()));
    encoded(&fields)
}

#[test]
fn fields_without_a_value_may_be_signed_or_not() {
    for empty in [&[("passback_params", "")][..], &[("body", ""), ("gmt_refund", ""), ("refund_fee", "")], &[]] {
        let ways: [(bool, &[&str]); 4] = [(true, &["sign_type"]), (false, &["sign_type"]), (true, &[]), (false, &[])];
        for (with_empty, without) in ways {
            let fields = notice("TRADE_SUCCESS", &[&[PAID][..], empty].concat());
            let body = signed_with(fields, without, with_empty);
            let event = event(receive(&body));
            assert_eq!(gist(&event), "succeeded 2026-01-31T08:30:00+08:00", "{empty:?} {with_empty}");
            let forged = body.replace("TRADE%5FSUCCESS", "TRADE%5FFINISHED");
            assert_ne!(forged, body);
            assert_eq!(code(receive(&forged)), Code::BadSignature);
        }
    }
    // Whoever adds fields without a value to a notice changes nothing of what it says.
    let body = signed_with(notice("TRADE_SUCCESS", &[PAID]), &["sign_type"], false);
    let padded = format!("{body}&gmt_refund=&refund_fee=&passback_params=");
    assert_eq!(event(receive(&padded)), event(receive(&body)));
    assert_eq!(code(receive(&format!("{body}&trade_status="))), Code::BadSignature, "which of the two is meant?");
    // A value that was taken out is not the same as one that was never there.
    let body = signed_with(notice("TRADE_SUCCESS", &[PAID]), &["sign_type"], false);
    assert_eq!(code(receive(&body.replace("19%2E99", ""))), Code::BadSignature);
}

#[test]
fn a_notice_with_empty_fields_that_are_not_signed_is_taken() {
    let text = case("alipay-empty-not-signed.form");
    let unsigned = text.trim_end().split('&').filter(|field| !field.starts_with("sign="));
    let mut pairs: Vec<(String, String)> = unsigned
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap();
            let value =
                percent_encoding::percent_decode_str(&value.replace('+', " ")).decode_utf8().unwrap().into_owned();
            (name.to_owned(), value)
        })
        .collect();
    assert!(pairs.iter().filter(|(_, value)| value.is_empty()).count() >= 2, "{pairs:?}");
    pairs.sort();
    let kept = pairs.iter().filter(|(name, value)| name != "sign_type" && !value.is_empty());
    let signed = kept.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let sign = utf8_percent_encode(&rsa_sign(signed.as_bytes()), NON_ALPHANUMERIC).to_string();
    let fields = text.trim_end().split('&').filter(|field| !field.starts_with("sign="));
    let body = format!("{}&sign={sign}", fields.collect::<Vec<_>>().join("&"));
    let accounts = accounts_with(|s| s.alipay[0].seller_id = String::new());
    let received = accounts.receive("alipay", &merchant("shop"), &HeaderMap::new(), body.as_bytes(), NOW_UNIX_S);
    let event = event(received);
    assert_eq!((event.key.order_id.as_str(), event.amount.map(|m| m.value())), ("a4b", Some(1)));
}

#[test]
fn the_pages_number_may_be_in_passback_params() {
    let accounts = accounts_with(|s| s.alipay[0].order_id_from = "passback_params".into());
    let receive = |more: &[Field]| {
        let body = signed(notice("TRADE_SUCCESS", &[&[PAID][..], more].concat()));
        accounts.receive("alipay", &merchant("shop"), &HeaderMap::new(), body.as_bytes(), NOW_UNIX_S)
    };
    // Merchants encode it before they encode the request.
    for text in ["page-1", "page%2D1", "%70age-1"] {
        assert_eq!(event(receive(&[("passback_params", text)])).key.order_id.as_str(), "page-1", "{text}");
    }
    for more in [&[][..], &[("passback_params", "")]] {
        let refusal = receive(more).unwrap_err();
        assert_eq!((refusal.code, refusal.reply.status), (Code::Malformed, 400));
        assert!(refusal.detail.starts_with("passback_params is empty") && refusal.reply.body == "failure");
    }
    for text in ["page 1", "merchantBizType%3d3C", "%FF", &"x".repeat(65)] {
        let body = signed(
            notice("TRADE_SUCCESS", &[PAID]).into_iter().chain([("passback_params", text.to_owned())]).collect(),
        );
        let received = accounts.receive("alipay", &merchant("shop"), &HeaderMap::new(), body.as_bytes(), NOW_UNIX_S);
        assert_eq!(code(received), Code::Malformed, "{text}");
    }
    // Without the setting it is the merchant's own affair what is in it.
    assert!(self::receive(&signed(notice("TRADE_SUCCESS", &[PAID, ("passback_params", "%FF a b")]))).is_ok());
}

#[test]
fn each_trade_status_has_its_status() {
    const REFUND_AT: Field = ("gmt_refund", "2026-02-01 09:00:00.320");
    let cases: [(&str, &[Field], &str); 12] = [
        ("WAIT_BUYER_PAY", &[], "pending 2026-01-31T08:29:00+08:00"),
        ("TRADE_SUCCESS", &[PAID], "succeeded 2026-01-31T08:30:00+08:00"),
        ("TRADE_SUCCESS", &[], "succeeded 2026-01-31T08:31:00+08:00"),
        ("TRADE_SUCCESS", &[PAID, ("refund_fee", "0.00")], "succeeded 2026-01-31T08:30:00+08:00"),
        ("TRADE_FINISHED", &[PAID], "succeeded 2026-01-31T08:30:00+08:00"),
        (
            "TRADE_SUCCESS",
            &[PAID, REFUND_AT, ("refund_fee", "19.98")],
            "succeeded 2026-02-01T09:00:00.320+08:00 partial 1998",
        ),
        (
            "TRADE_SUCCESS",
            &[PAID, REFUND_AT, ("refund_fee", "19.99")],
            "succeeded 2026-02-01T09:00:00.320+08:00 full 1999",
        ),
        (
            "TRADE_CLOSED",
            &[PAID, REFUND_AT, ("refund_fee", "19.99")],
            "succeeded 2026-02-01T09:00:00.320+08:00 full 1999",
        ),
        ("TRADE_CLOSED", &[REFUND_AT], "succeeded 2026-02-01T09:00:00.320+08:00 full 1999"),
        ("TRADE_CLOSED", &[("refund_fee", "19.99")], "succeeded 2026-01-31T08:31:00+08:00 full 1999"),
        ("TRADE_CLOSED", &[PAID], "succeeded 2026-01-31T08:30:00+08:00"),
        ("TRADE_CLOSED", &[("gmt_close", "2026-01-31 08:59:00")], "expired 2026-01-31T08:59:00+08:00"),
    ];
    for (trade_status, more, wanted) in cases {
        let event = event(receive(&signed(notice(trade_status, more))));
        assert_eq!(gist(&event), wanted, "{trade_status} {more:?}");
        assert_eq!(event.provider_status.as_deref(), Some(trade_status));
    }
}

#[test]
fn one_changed_field_is_a_bad_signature() {
    let mut fields = notice("WAIT_BUYER_PAY", &[]);
    fields.insert("sign", rsa_sign(joined(&fields, &["sign_type"]).as_bytes()));
    assert!(receive(&encoded(&fields)).is_ok());
    for (name, value) in
        [("trade_status", "TRADE_SUCCESS"), ("total_amount", "0.01"), ("sign", "AAAA"), ("sign", ""), ("extra", "1")]
    {
        let mut changed = fields.clone();
        changed.insert(name, value.to_owned());
        let refusal = receive(&encoded(&changed)).unwrap_err();
        assert_eq!((refusal.code, refusal.reply.body.as_ref()), (Code::BadSignature, "failure"), "{name}");
    }
    for body in [String::new(), format!("{}&app_id={APP_ID}", encoded(&fields)), "a=%zz".into()] {
        assert_eq!(code(receive(&body)), Code::BadSignature, "{body}");
    }
}

#[test]
fn another_application_or_seller_is_foreign() {
    for (name, value) in
        [("app_id", "2021000000000002"), ("app_id", ""), ("seller_id", "2088000000000002"), ("seller_id", "")]
    {
        let fields = notice("TRADE_SUCCESS", &[PAID, (name, value)]);
        assert_eq!(code(receive(&signed(fields))), Code::Foreign, "{name} {value}");
    }
}

#[test]
fn what_is_signed_but_makes_no_sense_is_malformed() {
    let long = "x".repeat(129);
    for (name, value) in [
        ("out_trade_no", "order/1"),
        ("out_trade_no", ""),
        ("notify_id", ""),
        ("trade_no", &long),
        ("trade_status", "TRADE_MAYBE"),
        ("total_amount", "19.999"),
        ("total_amount", "-1"),
        ("refund_fee", "1e2"),
        ("gmt_payment", "2026-01-31T08:30:00Z"),
    ] {
        let fields = notice("TRADE_SUCCESS", &[PAID, (name, value)]);
        assert_eq!(code(receive(&signed(fields))), Code::Malformed, "{name} {value}");
    }
}

#[test]
fn what_is_no_trade_is_accepted_and_not_published() {
    for more in [("notify_type", "dut_user_sign"), ("trade_status", "")] {
        let received = receive(&signed(notice("TRADE_SUCCESS", &[more]))).unwrap();
        assert_eq!((received.events, received.ignored), (vec![], Some("event_type")));
        assert_eq!(received.reply.body, "success");
    }
}

/// Of agreements, authorisations and the like: they name no seller, and old ones no application.
#[test]
fn what_is_no_trade_needs_neither_seller_nor_application_but_is_of_no_other() {
    let notice = |app_id: &[Field]| {
        let fields = [
            ("notify_type", "dut_user_sign"),
            ("notify_time", "2026-01-31 08:31:00"),
            ("status", "NORMAL"),
            ("agreement_no", "20260131000000000001"),
            ("external_agreement_no", "agreement-1"),
            ("sign_scene", "INDUSTRY|DEFAULT"),
            ("charset", "utf-8"),
            ("sign_type", "RSA2"),
        ];
        signed(fields.iter().chain(app_id).map(|(name, value)| (*name, (*value).to_owned())).collect())
    };
    for app_id in [&[("app_id", APP_ID)][..], &[("partner_id", "2088000000000001")]] {
        let received = receive(&notice(app_id)).unwrap();
        assert_eq!((received.events, received.ignored), (vec![], Some("event_type")), "{app_id:?}");
    }
    assert_eq!(code(receive(&notice(&[("app_id", "2021000000000002")]))), Code::Foreign);
}

#[test]
fn a_notice_in_gbk_verifies_over_its_own_bytes() {
    let fields = notice("TRADE_SUCCESS", &[PAID, ("subject", "@"), ("charset", "gbk")]);
    let bytes = |text: &str| text.bytes().flat_map(|b| if b == b'@' { vec![0xD6, 0xD0] } else { vec![b] }).collect();
    let message: Vec<u8> = bytes(&joined(&fields, &["sign_type"]));
    let sign = utf8_percent_encode(&rsa_sign(&message), NON_ALPHANUMERIC).to_string();
    let body = format!("{}&sign={sign}", encoded(&fields).replace("%40", "%D6%D0"));
    assert_eq!(event(receive(&body)).key.order_id.as_str(), "order-1");
}
