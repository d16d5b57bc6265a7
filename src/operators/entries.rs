//! The entries of an order's timeline as labels and sentences.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::words::{Mark, TimelineWords};
use crate::payment::{Claim, Conflict, Money, Payment};
use crate::store::Timeline;

/// One entry, for people.
pub(super) struct EntryText {
    /// A word for a column.
    pub(super) label: &'static str,
    /// A sentence without its full stop.
    pub(super) text: String,
    pub(super) mark: Mark,
    /// The version that it speaks of.
    pub(super) version: Option<u64>,
}

/// The payment as it stands, in one line of English.
pub(super) fn state(timeline: &Timeline) -> String {
    let Some(payment) = &timeline.payment else { return "no result has arrived".to_owned() };
    let acked = match timeline.acked_version {
        0 => "no page has acknowledged it".to_owned(),
        acked if acked >= payment.version => "acknowledged by a page".to_owned(),
        acked => format!("version {acked} acknowledged by a page, this one not"),
    };
    format!("{}; {acked}", of_payment(payment))
}

/// `succeeded, final, version 2, 19.99 CNY, by wechat_pay`
fn of_payment(payment: &Payment) -> String {
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

/// One entry of a timeline.
pub(super) fn entry_text(what: &Map<String, Value>, words: &TimelineWords) -> EntryText {
    let version = number(what, "version");
    let entry = |label, mark, text: String| EntryText { label, text, mark, version };
    let page = || (words.page)(text(what, "transport"), number(what, "connection").unwrap_or(0));
    let at_version = || (words.version)(version);
    match text(what, "type") {
        "arrived" => {
            let (mark, text) = arrived(what, version, words);
            entry(words.arrived_label, mark, text)
        }
        "conflict" => {
            let known = |kind: &str| Conflict::ALL.into_iter().find(|known| known.as_str() == kind);
            let said: Vec<_> = kinds(what).map(|kind| (words.conflict_kind)(kind, known(kind))).collect();
            let text = (words.conflict)(&said.join(", "), text(what, "event_id"), &claims(what, words));
            if is_of_second_charge(what) {
                entry(words.paid_twice_label, Mark::PaidTwice, text)
            } else {
                entry(words.conflict_label, Mark::Conflict, text)
            }
        }
        "watched" => {
            let more_pages = number(what, "pages").unwrap_or(1).saturating_sub(1);
            entry(words.watched_label, Mark::Watched, (words.watched)(&page(), more_pages))
        }
        "pushed" => entry(words.pushed_label, Mark::Pushed, (words.pushed)(&at_version(), &page(), number(what, "ms"))),
        "acknowledged" => {
            let after_ms = number(what, "ms_since_arrival");
            let text = (words.page_acknowledged)(&at_version(), &page(), after_ms);
            entry(words.acknowledged_label, Mark::Acknowledged, text)
        }
        "undelivered" => entry(words.undelivered_label, Mark::Undelivered, (words.undelivered)(&at_version())),
        "inquired" => {
            let waited_s = number(what, "waited_s").unwrap_or(0);
            entry(words.inquired_label, Mark::Inquired, (words.inquired)(waited_s))
        }
        "dead_lettered" => {
            let text = (words.dead_lettered)(text(what, "event_id"), text(what, "reason"));
            entry(words.dead_letter_label, Mark::Refused, text)
        }
        _ => entry(words.other_label, Mark::Other, Value::Object(what.clone()).to_string()),
    }
}

fn kinds(what: &Map<String, Value>) -> impl Iterator<Item = &str> {
    what.get("kinds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// True for a conflict by which the payer was charged once more.
pub(super) fn is_of_second_charge(what: &Map<String, Value>) -> bool {
    kinds(what).any(|kind| kind == Conflict::PaidTwice.as_str())
}

/// What contradicts each other in a conflict, each as a phrase. Empty in an entry of version 0.1.0.
pub(super) fn claims(what: &Map<String, Value>, words: &TimelineWords) -> Vec<String> {
    let claims = what.get("claims").and_then(Value::as_array).into_iter().flatten();
    let claims = claims.filter_map(|claim| Claim::deserialize(claim).ok());
    claims
        .map(|claim| {
            let number = claim.provider_transaction_id.as_deref().unwrap_or_default();
            let details = [
                claim.provider.as_deref().map(str::to_owned),
                claim.amount.map(amount),
                Some(claim.occurred_at.as_str().to_owned()),
                claim.event_id.map(|id| (words.event)(id.as_str())),
            ];
            (words.claim)(claim.status.as_str(), number, &details.into_iter().flatten().collect::<Vec<_>>())
        })
        .collect()
}

fn arrived(what: &Map<String, Value>, version: Option<u64>, words: &TimelineWords) -> (Mark, String) {
    let (status, event_id) = (text(what, "status"), text(what, "event_id"));
    let again = if what.get("redelivered") == Some(&Value::Bool(true)) { words.redelivered } else { "" };
    match text(what, "outcome") {
        "applied" => (Mark::Applied, (words.applied)(status, event_id, again, version)),
        "duplicate" => (Mark::Duplicate, (words.duplicate)(status, event_id, again)),
        "stale" => (Mark::Stale, (words.stale)(status, event_id, again)),
        "id_reused" => (Mark::Refused, (words.id_reused)(status, event_id, again)),
        other => (Mark::Other, (words.other_outcome)(status, event_id, again, other)),
    }
}

fn text<'a>(what: &'a Map<String, Value>, name: &str) -> &'a str {
    what.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(what: &Map<String, Value>, name: &str) -> Option<u64> {
    what.get(name).and_then(Value::as_u64)
}

/// `+12 ms`, `+1.250 s`, `+3 min 20 s`, `+2 h 5 min`: since the first entry of a timeline.
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
    use crate::operators::words::{CHINESE, ENGLISH};
    use crate::payment::Currency;

    fn text_of(what: Value) -> String {
        let entry = entry_text(what.as_object().unwrap(), &ENGLISH.timeline);
        format!("{}: {}", entry.label, entry.text)
    }

    #[test]
    fn amounts_are_written_in_the_unit_that_people_use() {
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
        assert_eq!(text_of(page), "pushed: version 2 to a page by websocket (connection 12), 1 ms after arrival");
        let conflict = json!({ "type": "conflict", "kinds": ["failed_after_succeeded"], "event_id": "e-9" });
        let said =
            "failed_after_succeeded (failed at a later time than succeeded), by event e-9: payment.conflict published";
        assert_eq!(text_of(conflict), format!("CONFLICT: {said}"));
        let claim = |id: &str, provider: &str, transaction: &str| {
            json!({
                "event_id": id, "status": "succeeded", "occurred_at": "2026-01-31T08:30:07+08:00", "provider": provider,
                "provider_transaction_id": transaction, "amount": { "value": 1999, "currency": "CNY" },
            })
        };
        let claims = [claim("e-1", "wechat_pay", "4200A"), claim("e-2", "alipay", "2026ALI"), json!({ "status": "?" })];
        let twice = json!({ "type": "conflict", "kinds": ["paid_twice"], "event_id": "e-2", "claims": claims });
        assert_eq!(
            text_of(twice.clone()),
            "PAID TWICE: paid_twice (a second charge: refund it), by event e-2: payment.conflict published; \
            succeeded 4200A (wechat_pay, 19.99 CNY, 2026-01-31T08:30:07+08:00, event e-1); \
            succeeded 2026ALI (alipay, 19.99 CNY, 2026-01-31T08:30:07+08:00, event e-2)"
        );
        let chinese = entry_text(twice.as_object().unwrap(), &CHINESE.timeline);
        assert_eq!((chinese.label, chinese.mark), ("重复付款", Mark::PaidTwice));
        assert!(
            chinese.text.contains("（重复扣款：请退款）") && chinese.text.contains("；succeeded 2026ALI（alipay，")
        );
        let bare = json!({ "status": "failed", "occurred_at": "2026-01-31T08:30:07+08:00" });
        let bare = json!({ "type": "conflict", "kinds": [], "event_id": "e-2", "claims": [bare] });
        assert!(text_of(bare).ends_with("; failed (2026-01-31T08:30:07+08:00)"));
        let snapshot = json!({ "type": "pushed", "transport": "sse", "connection": 3, "version": 2 });
        assert!(text_of(snapshot).ends_with("as it stood when the page came"));
        assert_eq!(text_of(json!({ "type": "later", "x": 1 })), r#"other: {"type":"later","x":1}"#);
    }

    #[test]
    fn spans_are_short() {
        let said = [0, 9_999, 10_000, 179_900, 180_000, 6_000_000, 200_000_000].map(since);
        assert_eq!(said, ["+0 ms", "+9999 ms", "+10.0 s", "+179.9 s", "+3 min 0 s", "+1 h 40 min", "+2 d 7 h"]);
    }
}
