use lapin::types::{AMQPValue, FieldTable};
use proptest::prelude::*;

use super::*;
use crate::payment::{
    Currency, Display, Event, EventId, Key, Money, OrderId, Reason, Refund, RefundStatus, Status, Timestamp,
};

fn settings() -> config::Payments {
    config::Payments {
        default_merchant: String::new(),
        body_pointer: String::new(),
        body_bytes_max: 65_536,
        body_depth_max: 32,
        mappings: Vec::new(),
    }
}

/// What has no mapping is an event or refused.
trait DecodesEvents {
    fn event_of(&self, payload: &Payload<'_>) -> Result<Event, Reject>;
}

impl DecodesEvents for Decoder {
    fn event_of(&self, payload: &Payload<'_>) -> Result<Event, Reject> {
        self.decode(payload).map(|decoded| decoded.event().unwrap())
    }
}

fn decoder() -> Decoder {
    Decoder::new(&settings()).unwrap()
}

fn bare(body: &[u8]) -> Payload<'_> {
    Payload { routing_key: "", body, message_id: None, app_id: None, timestamp: None, headers: None }
}

fn headers(pairs: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in pairs {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    table
}

const NEEDED: &str =
    r#""merchant_id":"shop","order_id":"o-1","status":"succeeded","occurred_at":"2026-01-31T08:30:00+08:00""#;

/// A plain body with these members added.
fn plain(more: &str) -> String {
    format!("{{\"event_id\":\"e-1\",{NEEDED}{more}}}")
}

#[test]
fn a_full_plain_body_becomes_the_event_that_it_says() {
    let body = plain(
        r#","amount":{"value":1999,"currency":"CNY"},"provider":"wechat_pay","provider_transaction_id":"4200","provider_status":"SUCCESS",
        "refund":{"status":"partial","amount":{"value":1,"currency":"CNY"}},"reason":{"code":"OK","message":"付款成功"},
        "display":{ "shop": "山 店" },"unknown":[{"a":1}],"pattern":"x""#,
    );
    let event = decoder().event_of(&bare(body.as_bytes())).unwrap();
    let cny = Currency::new("CNY").unwrap();
    assert_eq!(event.key, Key::new(MerchantId::new("shop").unwrap(), OrderId::new("o-1").unwrap()));
    assert_eq!((event.event_id.as_str(), event.status), ("e-1", Status::Succeeded));
    assert_eq!(event.occurred_at.as_str(), "2026-01-31T08:30:00+08:00");
    assert_eq!(event.amount, Some(Money::new(1999, cny).unwrap()));
    assert_eq!(event.provider.as_deref(), Some("wechat_pay"));
    assert_eq!(event.provider_transaction_id.as_deref(), Some("4200"));
    assert_eq!(event.provider_status.as_deref(), Some("SUCCESS"));
    assert_eq!(event.refund, Some(Refund { status: RefundStatus::Partial, amount: Some(Money::new(1, cny).unwrap()) }));
    let reason = event.reason.unwrap();
    assert_eq!((reason.code.as_deref(), reason.message.as_deref()), (Some("OK"), Some("付款成功")));
    assert_eq!(event.display.unwrap().as_str(), r#"{"shop":"山 店"}"#);
}

#[test]
fn what_is_taken_in_spite_of_its_look() {
    let good = [
        format!("\u{feff}{}", plain("")),
        format!(" \n{} \n", plain("")),
        plain(r#","amount":null,"refund":"","reason":{},"display":null,"provider":"""#),
        plain(r#","reason":{"code":"","message":null}"#),
        plain(r#","reason":[],"amount":[],"refund":[ ]"#),
        plain(r#","amount":{"value":null,"currency":null},"refund":{"status":"","amount":{"value":0,"currency":""}}"#),
        plain(r#","refund":{"status":null,"amount":null},"amount":{"currency":""}"#),
        plain(&format!(r#","display":"{}""#, "x".repeat(2046))),
        plain(&format!(r#","display":[{}1]"#, " ".repeat(4000))),
        plain(r#","display":{"a":1,"a":2}"#),
        plain(r#","id":"other","id":"again","time":7"#),
        plain(r#","specversion":"1.0""#),
        plain(r#","amount":{"value":0,"currency":"JPY","scale":2}"#),
        plain(r#","amount":{"value":9223372036854775807,"currency":"CNY"}"#),
        plain(&format!(r#","x":{}{}"#, "[".repeat(31), "]".repeat(31))),
        plain(r#","x":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[[[""#),
        format!("{{\"event\\u005fid\":\"e-1\",{NEEDED}}}"),
        format!("{{\"event_id\":\"\\u0065-1\",{NEEDED}}}"),
    ];
    for body in good {
        let event = decoder().event_of(&bare(body.as_bytes())).unwrap_or_else(|reject| panic!("{reject}: {body}"));
        assert_eq!(event.event_id.as_str(), "e-1", "{body}");
    }
}

#[test]
fn each_bad_body_has_its_code_and_names_its_field() {
    let without = |field: &str| plain("").replace(field, "x");
    let with = |from: &str, to: &str| plain("").replace(from, to);
    let bad: Vec<(&str, &str, String)> = vec![
        ("too_large", "65537", format!("{}{}", plain(""), " ".repeat(65_537 - plain("").len()))),
        ("invalid_json", "EOF", String::new()),
        ("invalid_json", "JSON object", "succeeded".into()),
        ("invalid_json", "another kind", "[1]".into()),
        ("invalid_json", "another kind", "\"secret-secret\"".into()),
        ("invalid_json", "column", plain("").replace('}', "")),
        ("invalid_json", "trailing", format!("{} {{}}", plain(""))),
        ("invalid_json", "JSON object", plain(",")),
        ("too_deep", "32", plain(&format!(r#","x":{}{}"#, "[".repeat(32), "]".repeat(32)))),
        ("too_deep", "32", "[".repeat(60_000)),
        ("missing_field", "merchant_id", without("merchant_id")),
        ("missing_field", "merchant_id", with("\"shop\"", "\"\"")),
        ("missing_field", "order_id", without("order_id")),
        ("missing_field", "order_id", with("\"o-1\"", "null")),
        ("missing_field", "status", without("status")),
        ("missing_field", "occurred_at", without("occurred_at")),
        ("missing_field", "amount.value", plain(r#","amount":{"currency":"CNY"}"#)),
        ("missing_field", "amount.currency", plain(r#","amount":{"value":1}"#)),
        ("missing_field", "refund.status", plain(r#","refund":{}"#)),
        ("missing_field", "refund.status", plain(r#","refund":{"Status":"full"}"#)),
        ("missing_field", "amount.value", plain(r#","amount":{"total":1999,"ccy":"CNY"}"#)),
        ("missing_field", "amount.currency", plain(r#","amount":{"value":0}"#)),
        ("missing_field", "amount.currency", plain(r#","amount":{"value":5,"currency":""}"#)),
        ("missing_field", "refund.status", plain(r#","refund":{"status":"","amount":{"value":1,"currency":"CNY"}}"#)),
        ("missing_field", "occurred_at", with("2026-01-31T08:30:00+08:00", "0001-01-01T00:00:00Z")),
        ("malformed_field", "reason", plain(r#","reason":["x"]"#)),
        ("malformed_field", "merchant_id", with("shop", "a shop")),
        ("malformed_field", "order_id", with("\"o-1\"", "12345")),
        ("malformed_field", "order_id", with("o-1", &"o".repeat(65))),
        ("malformed_field", "occurred_at", with("2026-01-31T08:30:00+08:00", "2026-01-31 08:30:00")),
        ("malformed_field", "occurred_at", with("\"2026-01-31T08:30:00+08:00\"", "1769819400")),
        ("malformed_field", "event_id", with("e-1", "e\\u0000")),
        ("malformed_field", "event_id", with("e-1", "\\ud800")),
        ("malformed_field", "event_id", with("\"e-1\"", "{}")),
        ("malformed_field", "amount", plain(r#","amount":1999"#)),
        ("malformed_field", "amount.value", plain(r#","amount":{"value":19.99,"currency":"CNY"}"#)),
        ("malformed_field", "amount.value", plain(r#","amount":{"value":1e3,"currency":"CNY"}"#)),
        ("malformed_field", "amount.value", plain(r#","amount":{"value":"1999","currency":"CNY"}"#)),
        ("malformed_field", "amount.value", plain(r#","amount":{"value":-1,"currency":"CNY"}"#)),
        ("malformed_field", "amount.value", plain(r#","amount":{"value":9223372036854775808,"currency":"CNY"}"#)),
        ("malformed_field", "amount.currency", plain(r#","amount":{"value":1,"currency":"cny"}"#)),
        ("malformed_field", "provider", plain(&format!(r#","provider":"{}""#, "p".repeat(65)))),
        ("malformed_field", "refund", plain(r#","refund":"full""#)),
        (
            "malformed_field",
            "refund.amount.value",
            plain(r#","refund":{"status":"full","amount":{"value":1.5,"currency":"CNY"}}"#),
        ),
        ("malformed_field", "reason", plain(r#","reason":"because""#)),
        ("malformed_field", "reason.message", plain(&format!(r#","reason":{{"message":"{}"}}"#, "m".repeat(2049)))),
        ("malformed_field", "display", plain(&format!(r#","display":"{}""#, "x".repeat(2047)))),
        ("unknown_status", "status", with("succeeded", "SUCCESS")),
        ("unknown_status", "status", with("succeeded", "paid")),
        ("unknown_status", "refund.status", plain(r#","refund":{"status":"done"}"#)),
        ("duplicate_field", "status", plain(r#","status":"failed""#)),
        ("duplicate_field", "status", plain(r#","st\u0061tus":null"#)),
        ("duplicate_field", "amount", plain(r#","amount":null,"amount":null"#)),
        ("duplicate_field", "amount.value", plain(r#","amount":{"value":1,"currency":"CNY","value":2}"#)),
        (
            "duplicate_field",
            "refund.amount.value",
            plain(r#","refund":{"status":"full","amount":{"value":1,"value":1,"currency":"CNY"}}"#),
        ),
        ("duplicate_field", "reason.code", plain(r#","reason":{"code":"a","code":"b"}"#)),
    ];
    for (code, named, body) in bad {
        let shown: String = body.chars().take(300).collect();
        let reject = decoder().event_of(&bare(body.as_bytes())).expect_err(&shown);
        assert_eq!(reject.code, code, "{reject} for {shown}");
        assert!(reject.sentence.contains(named), "{reject} should name {named}");
        assert!(!reject.sentence.contains("secret"), "{reject}");
        assert!(reject.sentence.len() < 300, "{reject}");
    }
}

#[test]
fn java_objects_and_other_bytes_are_not_json() {
    for (bytes, named) in
        [(&b"\xac\xed\x00\x05sr"[..], "Java"), (b"{\"a\":\"\xff\"}", "UTF-8"), (b"\x1f\x8b\x08", "UTF-8")]
    {
        let reject = decoder().event_of(&bare(bytes)).unwrap_err();
        assert_eq!(reject.code, "invalid_json");
        assert!(reject.sentence.contains(named), "{reject}");
    }
}

#[test]
fn an_excerpt_of_a_long_status_is_short() {
    let body = plain("").replace("succeeded", &"x".repeat(5000));
    let reject = decoder().event_of(&bare(body.as_bytes())).unwrap_err();
    assert_eq!(reject.code, "unknown_status");
    assert!(reject.sentence.len() < 250, "{reject}");
}

#[test]
fn the_event_id_is_the_fields_then_the_envelopes_then_the_messages_then_the_bodys_hash() {
    let without = format!("{{{NEEDED}}}");
    let binary = headers(&[("cloudEvents:id", "from-header")]);
    let full = Payload {
        routing_key: "",
        body: b"",
        message_id: Some("from-message"),
        app_id: None,
        timestamp: None,
        headers: Some(&binary),
    };
    let structured = format!(r#"{{"specversion":"1.0","id":"from-envelope","data":{without}}}"#);
    let id = |body: &str, payload: Payload<'_>| {
        decoder().event_of(&Payload { routing_key: "", body: body.as_bytes(), ..payload }).unwrap().event_id.to_string()
    };
    assert_eq!(id(&plain(""), full), "e-1");
    assert_eq!(id(&structured, full), "from-envelope");
    assert_eq!(id(&structured.replace("\"from-envelope\"", "12345"), full), "12345");
    // What is not needed is not looked at.
    assert_eq!(id(&format!(r#"{{"specversion":"1.0","id":{{}},"time":7,"data":{}}}"#, plain("")), full), "e-1");
    assert_eq!(id(&without, full), "from-header");
    assert_eq!(id(&without, Payload { headers: None, ..full }), "from-message");
    let hashed = id(&without, Payload { headers: None, message_id: Some(""), app_id: None, ..full });
    assert!(hashed.starts_with("sha256:") && hashed.len() == 7 + 64, "{hashed}");
    assert_eq!(hashed, id(&without, bare(b"")));
    assert_ne!(hashed, id(&without.replace("o-1", "o-2"), bare(b"")));
}

#[test]
fn the_time_is_the_fields_then_the_envelopes_then_the_messages() {
    let without = r#"{"merchant_id":"shop","order_id":"o-1","status":"pending"}"#;
    let time = |body: &str, timestamp, table: Option<&FieldTable>| {
        let payload = Payload {
            routing_key: "",
            body: body.as_bytes(),
            message_id: Some("m"),
            app_id: None,
            timestamp,
            headers: table,
        };
        decoder().event_of(&payload).map(|event| event.occurred_at.to_string()).map_err(|reject| reject.to_string())
    };
    let structured = format!(r#"{{"specversion":"1.0","id":"i","time":"2026-01-31T00:30:00Z","data":{without}}}"#);
    assert_eq!(time(&structured, Some(1), None).unwrap(), "2026-01-31T00:30:00Z");
    assert_eq!(time(without, Some(1_769_819_400), None).unwrap(), "2026-01-31T00:30:00Z");
    assert_eq!(time(without, Some(1_769_819_400_000), None).unwrap(), "2026-01-31T00:30:00Z");
    let table = headers(&[("CLOUDEVENTS_time", "2026-01-31T00:30:01Z")]);
    assert_eq!(time(without, Some(1), Some(&table)).unwrap(), "2026-01-31T00:30:01Z");
    let mut typed = FieldTable::default();
    typed.insert("cloudEvents:time".into(), AMQPValue::Timestamp(1_769_819_402));
    assert_eq!(time(without, Some(1), Some(&typed)).unwrap(), "2026-01-31T00:30:02Z");
    typed.insert("cloudEvents:time".into(), AMQPValue::Timestamp(0));
    assert_eq!(time(without, Some(1_769_819_400), Some(&typed)).unwrap(), "2026-01-31T00:30:00Z");
    let unset = plain("").replace("2026-01-31T08:30:00+08:00", "0001-01-01T00:00:00Z");
    assert_eq!(time(&unset, Some(1_769_819_400), None).unwrap(), "2026-01-31T00:30:00Z");
    let unset = structured.replace("2026-01-31T00:30:00Z", "0001-01-01T00:00:00Z");
    assert_eq!(time(&unset, Some(1_769_819_400), None).unwrap(), "2026-01-31T00:30:00Z");
    assert_eq!(time(&unset, None, None).unwrap_err(), "occurred_at is missing");
    assert_eq!(time(without, Some(0), None).unwrap_err(), "occurred_at is missing");
    assert!(time(without, Some(u64::MAX), None).unwrap_err().contains("timestamp"));
    assert!(time(&structured.replace("T00", " 00"), None, None).unwrap_err().starts_with("time "));
    // What is not needed is not looked at.
    assert!(time(&plain(""), Some(u64::MAX), None).is_ok());
}

#[test]
fn structured_cloud_events_carry_the_payment_as_object_as_text_or_in_base64() {
    let object = plain("");
    let text = serde_json::to_string(&object).unwrap();
    let encoded = STANDARD.encode(&object);
    for data in [format!("\"data\":{object}"), format!("\"data\":{text}"), format!("\"data_base64\":\"{encoded}\"")] {
        let body = format!(r#"{{"specversion":"1.0","source":"/x","type":"payment","id":"i",{data}}}"#);
        assert_eq!(decoder().event_of(&bare(body.as_bytes())).unwrap().event_id.as_str(), "e-1", "{body}");
    }
    for (data, code) in [
        ("\"data\":7".to_owned(), "invalid_json"),
        ("\"data\":\"{\"".to_owned(), "invalid_json"),
        ("\"data_base64\":\"***\"".to_owned(), "malformed_field"),
        (format!("\"data\":{object},\"data_base64\":\"{encoded}\""), "malformed_field"),
        (format!("\"data\":{object},\"data\":{object}"), "duplicate_field"),
        (format!("\"data\":{object},\"id\":\"j\""), "duplicate_field"),
        (format!("\"data\":{}", serde_json::to_string(&"[".repeat(40)).unwrap()), "too_deep"),
        ("\"x\":1".to_owned(), "missing_field"),
    ] {
        let body = format!(r#"{{"specversion":"1.0","id":"i",{data}}}"#);
        assert_eq!(decoder().event_of(&bare(body.as_bytes())).expect_err(&body).code, code, "{body}");
    }
}

#[test]
fn a_pointer_finds_the_payment_in_its_wrapper() {
    let with = |pointer: &str, body: &str| {
        let decoder = Decoder::new(&config::Payments { body_pointer: pointer.into(), ..settings() }).unwrap();
        decoder.event_of(&bare(body.as_bytes())).map(|event| event.event_id.to_string())
    };
    let object = plain("");
    assert_eq!(with("/data", &format!(r#"{{"pattern":"p","data":{object}}}"#)).unwrap(), "e-1");
    assert_eq!(with("/a~1b/1/c~0d", &format!(r#"{{"a/b":[0,{{"c~d":{object}}}]}}"#)).unwrap(), "e-1");
    let structured = format!(r#"{{"data":{{"specversion":"1.0","id":"i","data":{object}}}}}"#);
    assert_eq!(with("/data", &structured).unwrap(), "e-1");
    let missing = with("/data", &object).unwrap_err();
    assert_eq!(missing.code, "missing_field");
    assert!(missing.sentence.contains("\"/data\""), "{missing}");
    assert_eq!(with("/list/01", r#"{"list":[1,{}]}"#).unwrap_err().code, "missing_field");
    assert_eq!(with("/data/x", r#"{"data":7}"#).unwrap_err().code, "invalid_json");
}

#[test]
fn a_default_merchant_stands_in_and_never_overrides() {
    let decoder = Decoder::new(&config::Payments { default_merchant: "main".into(), ..settings() }).unwrap();
    let merchant = |body: &str| decoder.event_of(&bare(body.as_bytes())).unwrap().key.merchant_id.to_string();
    assert_eq!(merchant(&plain("").replace("merchant_id", "x")), "main");
    assert_eq!(merchant(&plain("")), "shop");
    assert!(Decoder::new(&config::Payments { default_merchant: "a b".into(), ..settings() }).is_err());
}

#[test]
fn the_time_of_publishing_and_the_trace_are_read_from_headers() {
    let mut table = headers(&[("traceparent", "own"), ("cloudEvents_traceparent", "other")]);
    table.insert("timestamp_in_ms".into(), AMQPValue::LongLongInt(17));
    let payload = Payload { headers: Some(&table), ..bare(b"") };
    assert_eq!((payload.published_at_ms(), payload.traceparent()), (Some(17), Some("own")));
    let table = headers(&[("cloudevents:traceparent", "other"), ("timestamp_in_ms", "17")]);
    let payload = Payload { headers: Some(&table), ..bare(b"") };
    assert_eq!((payload.published_at_ms(), payload.traceparent()), (None, Some("other")));
    assert_eq!(bare(b"").published_at_ms(), None);
}

fn events() -> impl Strategy<Value = Event> {
    let texts = proptest::option::of("\\PC{1,20}");
    let money = proptest::option::of(0..i64::MAX);
    (texts.clone(), texts.clone(), texts, money.clone(), money, 0..8_usize, proptest::option::of(0..3_usize)).prop_map(
        |(provider, message, shown, amount, refunded, status, refund)| {
            let key = Key::new(MerchantId::new("m").unwrap(), OrderId::new("o").unwrap());
            let at = Timestamp::parse("2026-01-31T08:30:00.125+08:00").unwrap();
            let money = |value: i64| Money::new(value, Currency::new("EUR").unwrap()).unwrap();
            let mut event = Event::new(key, EventId::new("事件 \"1\"").unwrap(), Status::ALL[status], at);
            event.provider = provider.filter(|text| text.len() <= 64).map(Into::into);
            event.amount = amount.map(money);
            event.refund = refund.map(|at| Refund { status: RefundStatus::ALL[at], amount: refunded.map(money) });
            event.reason = message.map(|text| Reason { code: None, message: Some(text.into()) });
            event.display = shown.map(|text| {
                let json = serde_json::value::to_raw_value(&serde_json::json!({ "text": text, "n": [1, null] }));
                Display::new(&json.unwrap())
            });
            event
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(event in events()) {
        let body = encode(&event);
        let decoded = decoder().event_of(&bare(&body)).map_err(|r| TestCaseError::fail(r.to_string()))?;
        prop_assert_eq!(&decoded, &event);
        prop_assert_eq!(decoded.occurred_at.as_str(), event.occurred_at.as_str());
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300), id in "\\PC{0,10}", stamp: u64) {
        let payload = Payload { routing_key: "", body: &body, message_id: Some(&id), app_id: None, timestamp: Some(stamp), headers: None };
        let _either = decoder().event_of(&payload);
    }

    #[test]
    fn no_json_like_text_makes_it_panic(body in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,60}", cut in 0..200_usize) {
        let _either = decoder().event_of(&bare(body.as_bytes()));
        let whole = plain(r#","amount":{"value":1,"currency":"CNY"},"specversion":"1.0","data":{}"#);
        let spliced = format!("{}{body}", &whole[..cut.min(whole.len())]);
        let _either = decoder().event_of(&bare(spliced.as_bytes()));
        let pointed = Decoder::new(&config::Payments { body_pointer: "/a/0".into(), ..settings() }).unwrap();
        let _either = pointed.event_of(&bare(body.as_bytes()));
    }
}

#[test]
fn a_reject_says_of_which_order_and_event_it_is_where_that_can_be_read() {
    let about = |body: &str| {
        let reject = decoder().event_of(&bare(body.as_bytes())).unwrap_err();
        reject.about().map(|(key, event_id)| format!("{}/{}/{event_id}", key.merchant_id, key.order_id))
    };
    let bad_amount = plain(r#","amount":7"#);
    assert_eq!(about(&bad_amount).as_deref(), Some("shop/o-1/e-1"));
    let no_id = bad_amount.replace(r#""event_id":"e-1","#, "");
    assert!(about(&no_id).is_some_and(|about| about.starts_with("shop/o-1/sha256:")), "{:?}", about(&no_id));
    assert_eq!(about(&plain("").replace("o-1", "o 1")), None);
    assert_eq!(about("hunter2"), None);
}
