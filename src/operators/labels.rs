//! An order's story in words that can be read aloud.

use serde_json::{Map, Value};

use crate::payment::{Conflict, Money, Payment};
use crate::store::Timeline;

/// One entry, told.
pub(super) struct Told {
    /// A word for a column.
    pub(super) label: &'static str,
    /// A sentence without its full stop.
    pub(super) text: String,
    /// What a picture shows it as.
    pub(super) mark: Mark,
    /// The version that it speaks of.
    pub(super) version: Option<u64>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Applied,
    Duplicate,
    Stale,
    Refused,
    Conflict,
    Watched,
    Pushed,
    Acknowledged,
    Undelivered,
    Inquired,
    Other,
}

/// The payment as it stands, in one line.
pub(super) fn state(story: &Timeline) -> String {
    let Some(payment) = &story.payment else { return "no result has arrived".to_owned() };
    let acked = match story.acked_version {
        0 => "no page has acknowledged it".to_owned(),
        acked if acked >= payment.version => "acknowledged by a page".to_owned(),
        acked => format!("version {acked} acknowledged by a page, this one not"),
    };
    format!("{}; {acked}", of_payment(payment))
}

/// `succeeded, final, version 2, 19.99 CNY, by wechat_pay`
pub(super) fn of_payment(payment: &Payment) -> String {
    let mut parts = vec![payment.status.as_str().to_owned()];
    parts.push(if payment.is_final() { "final" } else { "not final" }.to_owned());
    parts.push(format!("version {}", payment.version));
    parts.extend(payment.amount.map(amount));
    parts.extend(payment.provider.as_ref().map(|provider| format!("by {provider}")));
    parts.extend(payment.refund.map(|refund| format!("refund {}", refund.status.as_str())));
    let code = payment.reason.as_ref().and_then(|reason| reason.code.as_ref());
    parts.extend(code.map(|code| format!("reason {code}")));
    parts.join(", ")
}

/// In the currency's major unit. The digits of its minor unit are ISO 4217's.
pub(super) fn amount(money: Money) -> String {
    let currency = String::from(money.currency());
    let digits = match currency.as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    if digits == 0 {
        return format!("{} {currency}", money.value());
    }
    let one = 10_i64.pow(digits);
    let width = digits as usize;
    format!("{}.{:0width$} {currency}", money.value() / one, money.value() % one)
}

/// One entry of a story.
pub(super) fn of(what: &Map<String, Value>) -> Told {
    let version = number(what, "version");
    let told = |label, mark, text: String| Told { label, text, mark, version };
    let page = || {
        let transport = match text(what, "transport") {
            "sse" => "event stream",
            "long_poll" => "long poll",
            other => other,
        };
        format!("by {transport} (connection {})", number(what, "connection").unwrap_or(0))
    };
    let at_version = || version.map_or_else(|| "a version".to_owned(), |version| format!("version {version}"));
    match text(what, "type") {
        "arrived" => arrived(what, version),
        "conflict" => {
            let kinds = what.get("kinds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let said: Vec<_> = kinds.map(|kind| format!("{kind} ({})", meaning(kind))).collect();
            let text = format!("{}, by event {}: payment.conflict published", said.join(", "), text(what, "event_id"));
            told("CONFLICT", Mark::Conflict, text)
        }
        "watched" => {
            let more = match number(what, "pages").unwrap_or(1) {
                0 | 1 => String::new(),
                pages => format!(", and {} more since", pages - 1),
            };
            told("watched", Mark::Watched, format!("a page began to wait {}{more}", page()))
        }
        "pushed" => {
            let after = match number(what, "ms") {
                Some(ms) => format!("{ms} ms after arrival"),
                None => "as it stood when the page came".to_owned(),
            };
            told("pushed", Mark::Pushed, format!("{} to a page {}, {after}", at_version(), page()))
        }
        "acknowledged" => {
            let after =
                number(what, "ms_since_arrival").map(|ms| format!(", {ms} ms after arrival")).unwrap_or_default();
            told("acknowledged", Mark::Acknowledged, format!("{} was shown by a page {}{after}", at_version(), page()))
        }
        "undelivered" => {
            let text = format!("no page has acknowledged {}: payment.undelivered published", at_version());
            told("escalated", Mark::Undelivered, text)
        }
        "inquired" => {
            let waited_s = number(what, "waited_s").unwrap_or(0);
            let text = format!("a page has waited {waited_s} s for a result: payment.inquiry published");
            told("inquired", Mark::Inquired, text)
        }
        "dead_lettered" => {
            let text = format!("event {} is in the dead letters: {}", text(what, "event_id"), text(what, "reason"));
            told("dead letter", Mark::Refused, text)
        }
        _ => told("other", Mark::Other, Value::Object(what.clone()).to_string()),
    }
}

fn arrived(what: &Map<String, Value>, version: Option<u64>) -> Told {
    let (status, event_id) = (text(what, "status"), text(what, "event_id"));
    let again = if what.get("redelivered") == Some(&Value::Bool(true)) { ", redelivered" } else { "" };
    let (mark, text) = match text(what, "outcome") {
        "applied" => {
            let version = version.map_or_else(String::new, |version| format!(" as version {version}"));
            (Mark::Applied, format!("{status} (event {event_id}{again}), applied{version}"))
        }
        "duplicate" => (Mark::Duplicate, format!("repeated event {event_id} ({status}{again}), nothing changed")),
        "stale" => (
            Mark::Stale,
            format!("stale {status} (event {event_id}{again}): it stands further already, nothing changed"),
        ),
        "id_reused" => {
            (Mark::Refused, format!("{status} under the id of another event ({event_id}{again}), nothing changed"))
        }
        other => (Mark::Other, format!("{status} (event {event_id}{again}), {other}")),
    };
    Told { label: "arrived", text, mark, version }
}

fn meaning(kind: &str) -> &'static str {
    let Some(conflict) = Conflict::ALL.iter().find(|known| known.as_str() == kind) else { return "another kind" };
    match conflict {
        Conflict::FailedAndCanceled => "both failed and canceled",
        Conflict::FailedAndExpired => "both failed and expired",
        Conflict::CanceledAndExpired => "both canceled and expired",
        Conflict::FailedAfterSucceeded => "failed at a later time than succeeded",
        Conflict::CanceledAfterSucceeded => "canceled at a later time than succeeded",
        Conflict::ExpiredAfterSucceeded => "expired at a later time than succeeded",
    }
}

fn text<'a>(what: &'a Map<String, Value>, name: &str) -> &'a str {
    what.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(what: &Map<String, Value>, name: &str) -> Option<u64> {
    what.get(name).and_then(Value::as_u64)
}

/// `+12 ms`, `+1.250 s`, `+3 min 20 s`, `+2 h 5 min`: since the first of a story.
pub(super) fn since(ms: i64) -> String {
    let s = ms / 1000;
    match ms {
        ..10_000 => format!("+{ms} ms"),
        10_000..180_000 => format!("+{s}.{} s", (ms % 1000) / 100),
        180_000..6_000_000 => format!("+{} min {} s", s / 60, s % 60),
        6_000_000..172_800_000 => format!("+{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("+{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::payment::Currency;

    fn told(what: Value) -> String {
        let told = of(what.as_object().unwrap());
        format!("{}: {}", told.label, told.text)
    }

    #[test]
    fn amounts_are_said_in_the_unit_that_people_use() {
        let said = |value, currency| amount(Money::new(value, Currency::new(currency).unwrap()).unwrap());
        assert_eq!(said(1999, "CNY"), "19.99 CNY");
        assert_eq!(
            (said(5, "EUR"), said(1999, "JPY"), said(1005, "KWD")),
            ("0.05 EUR".into(), "1999 JPY".into(), "1.005 KWD".into())
        );
    }

    #[test]
    fn each_kind_of_entry_has_its_sentence_and_an_unknown_one_is_shown_as_it_is() {
        let page = json!({ "type": "pushed", "transport": "websocket", "connection": 12, "version": 2, "ms": 1 });
        assert_eq!(told(page), "pushed: version 2 to a page by websocket (connection 12), 1 ms after arrival");
        let conflict = json!({ "type": "conflict", "kinds": ["failed_after_succeeded"], "event_id": "e-9" });
        let said =
            "failed_after_succeeded (failed at a later time than succeeded), by event e-9: payment.conflict published";
        assert_eq!(told(conflict), format!("CONFLICT: {said}"));
        let snapshot = json!({ "type": "pushed", "transport": "sse", "connection": 3, "version": 2 });
        assert!(told(snapshot).ends_with("as it stood when the page came"));
        assert_eq!(told(json!({ "type": "later", "x": 1 })), r#"other: {"type":"later","x":1}"#);
    }

    #[test]
    fn spans_are_short() {
        let said = [0, 9_999, 10_000, 179_900, 180_000, 6_000_000, 200_000_000].map(since);
        assert_eq!(said, ["+0 ms", "+9999 ms", "+10.0 s", "+179.9 s", "+3 min 0 s", "+1 h 40 min", "+2 d 7 h"]);
    }
}
