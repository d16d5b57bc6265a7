mod explained;
mod systems;

use std::path::Path;

use super::*;
use crate::broker::decode::{Decoder, Payload, text_headers};
use crate::payment::{Event, Status};

const BASE: &str = r#"
    [[payments.mappings]]
    merchant_id = "=shop"
    order_id = "/order"
    status = "/status"
    occurred_at = "/at"
"#;

/// The settings in a file, read as the program reads them.
fn settings(toml: &str) -> Result<config::Settings, String> {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), toml).unwrap();
    config::load(Some(file.path())).map_err(|error| error.to_string())
}

fn decoder(toml: &str) -> Decoder {
    Decoder::new(&settings(toml).unwrap().payments).unwrap()
}

fn decode(decoder: &Decoder, routing_key: &str, body: &str) -> Result<Decoded, Reject> {
    let payload =
        Payload { routing_key, body: body.as_bytes(), message_id: None, app_id: None, timestamp: None, headers: None };
    decoder.decode(&payload)
}

fn event(decoder: &Decoder, routing_key: &str, body: &str) -> Event {
    decode(decoder, routing_key, body).unwrap_or_else(|reject| panic!("{}", reject.sentence)).event().unwrap()
}

/// The first fault of these settings.
fn fault(toml: &str) -> String {
    match settings(toml) {
        Ok(settings) => Decoder::new(&settings.payments).unwrap_err().to_string(),
        Err(line) => line,
    }
}

fn of_file(name: &str) -> Decoder {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mappings").join(name);
    decoder(&std::fs::read_to_string(path).unwrap())
}

fn shown(event: &Event) -> String {
    let amount = event.amount.map(|money| format!("{} {}", money.value(), String::from(money.currency())));
    format!(
        "{}/{} {} {} {} {}",
        event.key.merchant_id,
        event.key.order_id,
        event.event_id,
        event.status,
        event.occurred_at,
        amount.unwrap_or_default()
    )
}

#[test]
fn every_field_is_read_where_its_mapping_says() {
    let decoder = decoder(
        r#"
        [[payments.mappings]]
        routing_key = "payment.result.*"
        when = { "/kind" = ["payment", 7], "/live" = [true] }
        event_id = "/list/0/id"
        merchant_id = "/shop"
        order_id = "/data/order"
        status = "/data/state"
        statuses = { PAID = "succeeded", "3" = "failed" }
        statuses_ignored = ["REVIEW"]
        occurred_at = "/data/paid at"
        time_format = "yyyy-MM-dd HH:mm:ss"
        time_zone = "+08:00"
        amount_value = "/data/total"
        amount_currency = "/data/currency"
        amount_scale = 2
        provider = "=gateway"
        provider_transaction_id = "/data/trade~1no"
        provider_status = "/data/state"
        refund_status = "/data/refund"
        refund_statuses = { SOME = "partial" }
        refund_amount_value = "/data/refunded"
        reason_code = "/data/error/code"
        reason_message = "/data/error/text"
        display = "/data/error"
        "#,
    );
    let body = r#"{"kind":7,"live":true,"shop":"m1","list":[{"id":"e-1"}],"data":{"order":20261128,"state":"PAID","paid at":"2026-11-28 13:30:00","total":"19.9","currency":"cny","trade/no":"4200","refund":"SOME","refunded":1,"error":{ "code":51, "text":"\u4e0d" }}}"#;
    let event = event(&decoder, "payment.result.x", body);
    assert_eq!(shown(&event), "m1/20261128 e-1 succeeded 2026-11-28T13:30:00+08:00 1990 CNY");
    assert_eq!(event.provider.as_deref(), Some("gateway"));
    assert_eq!(event.provider_transaction_id.as_deref(), Some("4200"));
    assert_eq!(event.provider_status.as_deref(), Some("PAID"));
    let refund = event.refund.unwrap();
    assert_eq!((refund.status.as_str(), refund.amount.unwrap().value()), ("partial", 100));
    let reason = event.reason.unwrap();
    assert_eq!((reason.code.as_deref(), reason.message.as_deref()), (Some("51"), Some("不")));
    assert_eq!(event.display.unwrap().as_str(), r#"{"code":51,"text":"\u4e0d"}"#);
    // PHP's word for what it did not find.
    let not_found = self::event(&decoder, "payment.result.x", &body.replace("\"4200\"", "false"));
    assert_eq!(not_found.provider_transaction_id, None);
    let ignored = decode(&decoder, "payment.result.x", &body.replace("\"PAID\"", "\"REVIEW\""));
    assert_eq!(ignored, Ok(Decoded::Ignored { mapping: 1 }));
}

#[test]
fn the_first_that_matches_wins_and_what_none_matches_is_read_as_before() {
    let toml = format!(
        "{}{}",
        BASE.replace("=shop\"", "=first\"\nrouting_key = \"a.*\"\nwhen = { \"/kind\" = [1, \"1.5\"] }"),
        BASE.replace("=shop\"", "=second\"\nrouting_key = \"a.#\"")
    );
    let decoder = decoder(&toml);
    let body = |kind: &str| format!(r#"{{"kind":{kind},"order":"o","status":"failed","at":"2026-11-28T05:30Z"}}"#);
    let merchant = |key: &str, kind: &str| event(&decoder, key, &body(kind)).key.merchant_id.to_string();
    for kind in ["1", "\"1\"", "1.5", "\"\\u0031\""] {
        assert_eq!(merchant("a.b", kind), "first", "{kind}");
    }
    for kind in ["2", "null", "[1]", "{\"1\":1}", "\"\""] {
        assert_eq!(merchant("a.b", kind), "second", "{kind}");
    }
    assert_eq!(merchant("a", "1"), "second");
    assert_eq!(decode(&decoder, "b", &body("1")).unwrap_err().sentence, "merchant_id is missing");
    assert_eq!(decode(&decoder, "a.b", "nonsense").unwrap_err().code, "invalid_json");
    let plain =
        r#"{"event_id":"e","merchant_id":"m","order_id":"o","status":"failed","occurred_at":"2026-11-28T05:30Z"}"#;
    assert_eq!(shown(&event(&decoder, "b", plain)), "m/o e failed 2026-11-28T05:30:00Z ");
}

#[test]
fn words_for_people_are_cut_and_lose_no_payment() {
    let words = ["provider_status = \"/s\"", "reason_code = \"/c\"", "reason_message = \"/m\""];
    let decoder = decoder(&format!("{BASE}\n{}", words.join("\n")));
    let [status, code, message] = ["文".repeat(100), "c".repeat(300), "文".repeat(700)];
    let body =
        format!(r#"{{"order":"o","status":"failed","at":1764307800,"s":"{status}","c":"{code}","m":"{message}"}}"#);
    let event = event(&decoder, "", &body);
    let reason = event.reason.unwrap();
    let cut = [event.provider_status.unwrap(), reason.code.unwrap(), reason.message.unwrap()];
    assert_eq!(cut.each_ref().map(|words| words.len()), [126, 128, 2046]);
    assert!(status.starts_with(&*cut[0]) && code.starts_with(&*cut[1]) && message.starts_with(&*cut[2]));
}

#[test]
fn each_bad_body_has_its_code_and_names_its_field_and_its_place() {
    let toml = BASE.replace(
        "=shop\"",
        "/shop\"\nevent_id = \"/id\"\namount_value = \"/n\"\namount_currency = \"/c\"\ndisplay = \"/shown\"\nstatuses = { ok = \"succeeded\" }",
    );
    let decoder = decoder(&toml);
    let good = r#"{"shop":"m","order":"o","status":"ok","at":1764307800,"id":"e","n":1999,"c":"CNY"}"#;
    assert_eq!(shown(&event(&decoder, "", good)), "m/o e succeeded 2025-11-28T05:30:00Z 1999 CNY");
    for (from, to, code, named) in [
        ("\"order\":\"o\",", "", "missing_field", "order_id (at /order)"),
        ("\"o\"", "null", "missing_field", "order_id"),
        ("\"o\"", "\"\"", "missing_field", "order_id"),
        ("\"o\"", "\"a b\"", "malformed_field", "order_id (at /order)"),
        ("\"o\"", "[1]", "malformed_field", "order_id"),
        ("\"o\"", "1.5", "malformed_field", "whole"),
        ("\"o\"", "false", "malformed_field", "order_id (at /order)"),
        ("\"m\"", "true", "malformed_field", "merchant_id (at /shop)"),
        ("\"m\"", "\"\"", "missing_field", "merchant_id (at /shop)"),
        ("\"ok\"", "\"bad\"", "unknown_status", "\"bad\""),
        ("\"ok\"", "null", "missing_field", "status (at /status)"),
        ("1764307800", "\"yesterday\"", "malformed_field", "occurred_at (at /at)"),
        ("1764307800", "\"2026-11-28 13:30:00\"", "malformed_field", "occurred_at"),
        ("1764307800", "0", "missing_field", "occurred_at"),
        ("1764307800", "\"20251128133000\"", "malformed_field", "time_format"),
        ("1999", "19.99", "malformed_field", "amount.value (at /n)"),
        ("\"CNY\"", "\"\"", "missing_field", "amount.currency (at /c)"),
        ("\"CNY\"", "\"yuan\"", "malformed_field", "amount.currency"),
        ("\"n\":1999", "\"n\":1999,\"n\":1", "duplicate_field", "/n"),
    ] {
        let body = good.replace(from, to);
        let reject = decode(&decoder, "", &body).expect_err(&body);
        assert_eq!(reject.code, code, "{reject} for {body}");
        assert!(reject.sentence.contains(named), "{reject} should name {named}");
    }
    let large = good.replace("1999,", &format!("1999,\"shown\":\"{}\",", "x".repeat(2100)));
    assert!(decode(&decoder, "", &large).unwrap_err().sentence.starts_with("mapping 1: display (at /shown)"));
    let reject = decode(&decoder, "", &good.replace("1999", "-1")).unwrap_err();
    let (key, event_id) = reject.about().unwrap();
    assert_eq!((key.order_id.as_str(), event_id), ("o", "e"));
}

#[test]
fn what_a_mapping_does_not_name_comes_from_the_message() {
    let decoder = decoder(&BASE.replace("occurred_at = \"/at\"", "").replace("=shop", "=m"));
    let body = br#"{"order":"o|1","status":"pending"}"#;
    let headers = text_headers([("cloudEvents_id", "from-header"), ("cloudEvents_time", "2026-11-28T05:30:01Z")]);
    let bare = Payload {
        routing_key: "x",
        body,
        message_id: Some("m-1"),
        app_id: None,
        timestamp: Some(1_764_307_800),
        headers: None,
    };
    let shown = |payload: &Payload<'_>| shown(&decoder.decode(payload).unwrap().event().unwrap());
    assert_eq!(shown(&bare), "m/o|1 m-1 pending 2025-11-28T05:30:00Z ");
    let with = Payload { headers: Some(&headers), ..bare };
    assert_eq!(shown(&with), "m/o|1 from-header pending 2026-11-28T05:30:01Z ");
    let structured = br#"{"specversion":"1.0","id":"from-envelope","time":"2026-11-28T05:30:02Z","data":{},"order":"o","status":"pending"}"#;
    let structured = Payload { body: structured, ..with };
    assert_eq!(shown(&structured), "m/o from-envelope pending 2026-11-28T05:30:02Z ");
}

#[test]
fn a_mapping_that_cannot_work_is_one_line_with_its_number_and_its_key() {
    let with = |more: &str| format!("{BASE}\n{more}\n");
    let instead = |from: &str, to: &str| BASE.replace(from, to);
    for (toml, key, said) in [
        (with("statuses = { paid = \"payed\" }"), "statuses", "must be one of pending"),
        (instead("\"/status\"", "\"=payed\""), "status", "must be one of pending"),
        (with("statuses = { a = \"failed\" }\nstatuses_ignored = [\"a\"]"), "statuses_ignored", "too"),
        (with("when = { \"/status\" = [\"paid\"] }"), "when", "\"paid\""),
        (instead("\"/order\"", "\"order\""), "order_id", "begins with /, or = and a constant text"),
        (instead("\"/order\"", "\"/a~2\""), "order_id", "~0"),
        (instead("\"/order\"", "\"=\""), "order_id", "no text"),
        (instead("\"/order\"", "\"=a b\""), "order_id", "1 to 64"),
        (instead("\"=shop\"", "\"=a b\""), "merchant_id", "1 to 64"),
        (instead("merchant_id = \"=shop\"", ""), "merchant_id", "missing"),
        (instead("order_id = \"/order\"", ""), "order_id", "missing"),
        (instead("status = \"/status\"", ""), "status", "missing"),
        (with("event_id = \"=1\""), "event_id", "constant"),
        (with("when = { \"/a\" = [] }"), "when", "can never match"),
        (with("when = { \"/a\" = [1], \"/a/b\" = [1] }"), "when", "can never match"),
        (with("when = { \"/a\" = [1] }\nprovider = \"/a/b\""), "provider", "nothing"),
        (with("routing_key = \"payment.res*\""), "routing_key", "res*"),
        (with("amount_value = \"/n\""), "amount_value", "amount_currency"),
        (with("amount_currency = \"=CNY\""), "amount_currency", "amount_value"),
        (with("amount_value = \"/n\"\namount_currency = \"=yuan\""), "amount_currency", "ISO 4217"),
        (with("amount_value = \"=abc\"\namount_currency = \"=CNY\""), "amount_value", "whole number"),
        (with("amount_value = \"=1.234\"\namount_currency = \"=CNY\"\namount_scale = 2"), "amount_value", "2 decimals"),
        (with(&format!("provider = \"={}\"", "p".repeat(65))), "provider", "at most 64 bytes"),
        (with(&format!("reason_message = \"={}\"", "文".repeat(700))), "reason_message", "at most 2048 bytes"),
        (with("amount_scale = 2"), "amount_scale", "amount_value"),
        (with("amount_scale = 10"), "amount_scale", "at most 9"),
        (with("time_format = \"yyyy\"\ntime_zone = \"Z\""), "time_format", "month"),
        (with("time_format = \"yyyy-MM-dd HH:mm\""), "time_format", "time_zone"),
        (with("time_zone = \"Europe/Berln\""), "time_zone", "did you mean \"Europe/Berlin\"?"),
        (
            with("refund_amount_value = \"/r\"\nrefund_amount_currency = \"=CNY\""),
            "refund_amount_value",
            "refund_status",
        ),
        (with("refund_status = \"=all\""), "refund_status", "full"),
        (with("refund_status = \"/r\"\nrefund_statuses = { a = \"b\" }"), "refund_statuses", "full"),
        (with("display = \"=x\""), "display", "constant"),
        (with("oder_id = \"/x\""), "oder_id", "unknown field"),
    ] {
        let line = fault(&toml);
        assert!(line.contains("payments.mappings") && line.contains(key) && line.contains(said), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    for no_constant in ["when = { \"a\" = [1] }", "when = { \"=a\" = [1] }", "event_id = \"id\"", "display = \"x\""] {
        let line = fault(&with(no_constant));
        assert!(line.ends_with("must be a JSON pointer, which begins with /"), "{line}");
    }
    let two = fault(&format!("{BASE}{}", with("when = { \"/a\" = [1] }")));
    assert!(two.contains("number 2 of 2") && two.contains("number 1 takes all"), "{two}");
}

#[test]
fn what_the_service_publishes_itself_is_read_in_its_own_form_whatever_is_said_of_others() {
    let body =
        r#"{"event_id":"e","merchant_id":"m","order_id":"o","status":"failed","occurred_at":"2026-01-31T08:30:00Z"}"#;
    let pointer = "[payments]\nbody_pointer = \"/data\"\n";
    let long = body.replace("\"o\"", &format!("\"o\",\"reason\":{{\"message\":\"{}\"}}", "m".repeat(200)));
    let small = decoder("[payments]\nbody_bytes_max = 256\n");
    assert!(long.len() > 256 && small.decode(&Payload::of_own(long.as_bytes())).is_ok());
    for toml in [pointer.to_owned(), BASE.to_owned(), format!("{pointer}{BASE}")] {
        let decoder = decoder(&toml);
        let own = Payload { routing_key: "payment.result.stripe", ..Payload::of_own(body.as_bytes()) };
        let explained = decoder.explain(&own);
        assert_eq!((explained.mapping, explained.origin("status")), (None, Some("/status")), "{toml}");
        assert_eq!(explained.decoded.unwrap().event().unwrap().status, Status::Failed, "{toml}");
        assert!(decoder.decode(&Payload { app_id: Some("shop"), ..own }).is_err(), "{toml}");
    }
}

#[test]
fn a_later_mapping_that_can_match_is_no_fault() {
    let with = |more: &str| format!("{BASE}\n{more}\n");
    for (first, second) in [
        ("routing_key = \"a.*\"", "routing_key = \"a.#\""),
        ("when = { \"/a\" = [1] }", "when = { \"/a\" = [1, 2] }"),
        ("when = { \"/a\" = [1] }", "when = { \"/b\" = [1] }"),
        ("when = { \"/a\" = [1], \"/b\" = [1] }", "when = { \"/a\" = [1] }"),
    ] {
        let settings = settings(&(with(first) + &with(second))).unwrap();
        assert!(Decoder::new(&settings.payments).is_ok(), "{first} {second}");
    }
}

#[test]
fn no_text_makes_a_mapping_panic() {
    use proptest::prelude::*;
    let decoder = of_file("jeepay.toml");
    proptest!(|(body in "[a-zA-Z%=&+{}\\[\\]\":,0-9 ]{0,80}", key in "[a-z.*#]{0,12}")| {
        let _either = decode(&decoder, &key, &body);
        let _either = decode(&decoder, "payment.result.jeepay", &body);
        let _either = decode(&decoder, "payment.result.jeepay", &format!("state=2&{body}"));
    });
}

#[test]
fn the_examples_of_the_documents_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/mappings.md", "docs/mappings.zh-CN.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let example = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let body = r#"{"id":"g-17","type":"payment","data":{"order_no":"T20261128-0001","state":"PAID","paid_at":"2026-11-28 13:30:00","total":"19.99","trade_no":4200001}}"#;
        let read = event(&decoder(example), "payment.result.gateway", body);
        assert_eq!(shown(&read), "shop-1/T20261128-0001 g-17 succeeded 2026-11-28T13:30:00+08:00 1999 CNY", "{page}");
    }
    let defaults = std::fs::read_to_string(root.join("config/default.toml")).unwrap();
    let example = defaults.split("[[payments.mappings]]").nth(1).unwrap().split("mappings = []").next().unwrap();
    let example = format!("[[payments.mappings]]\n{}", example.replace("#   ", ""));
    let keys = example.lines().filter(|line| line.contains(" = ")).count();
    assert_eq!(keys, serde_json::to_value(full()).unwrap().as_object().unwrap().len());
    assert!(Decoder::new(&settings(&example).unwrap().payments).is_ok());
}

/// A mapping with every key set.
fn full() -> config::Mapping {
    let text = || "x".to_owned();
    let table = || std::collections::BTreeMap::from([(text(), text())]);
    config::Mapping {
        routing_key: text(),
        when: std::collections::BTreeMap::from([(text(), vec!["x".into()])]),
        event_id: text(),
        merchant_id: text(),
        order_id: text(),
        status: text(),
        statuses: table(),
        statuses_ignored: vec!["x".into()],
        occurred_at: text(),
        time_format: text(),
        time_zone: text(),
        amount_value: text(),
        amount_currency: text(),
        amount_scale: Some(2),
        provider: text(),
        provider_transaction_id: text(),
        provider_status: text(),
        refund_status: text(),
        refund_statuses: table(),
        refund_amount_value: text(),
        refund_amount_currency: text(),
        reason_code: text(),
        reason_message: text(),
        display: text(),
    }
}
