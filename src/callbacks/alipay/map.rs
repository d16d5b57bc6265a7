//! A verified form to an event. Who paid (`buyer_id`, `buyer_logon_id`, `buyer_open_id`) is not even read.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::form::Form;
use crate::callbacks::Provider;
use crate::callbacks::draft::{Draft, money, rfc3339};
use crate::callbacks::order_id_from::OrderIdFrom;
use crate::callbacks::receipt::{Fault, Meaning};
use crate::payment::{MerchantId, Money, Refund, RefundStatus, Status, Timestamp};

/// Notifications of trades are in yuan.
const CURRENCY: &str = "CNY";

/// Of a notice of a trade. One address gets notices of every kind: agreements, authorisations, complaints.
pub(super) fn trade_status(form: &Form) -> Option<&str> {
    form.text("trade_status").filter(|_| matches!(form.text("notify_type"), Some("trade_status_sync") | None))
}

/// # Errors
/// `malformed`.
pub(super) fn meaning(
    merchant_id: &MerchantId,
    order_id_from: OrderIdFrom,
    form: &Form,
    trade_status: &str,
) -> Result<Meaning, Fault> {
    let out_trade_no = form.text("out_trade_no").ok_or(Fault::malformed("out_trade_no is missing"))?;
    let passed = form.text("passback_params").map(passed_text);
    let order_id = order_id_from.of(out_trade_no, passed.as_deref()).ok_or(Fault::malformed(
        "passback_params is empty: give it the order number with each payment, or set order_id_from to out_trade_no",
    ))?;
    let amount = form.text("total_amount").map(yuan).transpose()?;
    let refunded = form.text("refund_fee").map(yuan).transpose()?.filter(|money| money.value() > 0);
    let refund_at = form.text("gmt_refund");
    let refund = match trade_status {
        "TRADE_CLOSED" if refunded.is_some() || refund_at.is_some() => {
            Some(Refund { status: RefundStatus::Full, amount: refunded.or(amount) })
        }
        "TRADE_SUCCESS" | "TRADE_FINISHED" => refunded.map(|money| {
            let whole = amount.is_some_and(|amount| money >= amount);
            let status = if whole { RefundStatus::Full } else { RefundStatus::Partial };
            Refund { status, amount: Some(money) }
        }),
        _ => None,
    };
    let paid_at = form.text("gmt_payment");
    let (status, occurred_at) = match trade_status {
        "WAIT_BUYER_PAY" => (Status::Pending, form.text("gmt_create")),
        _ if refund.is_some() => (Status::Succeeded, refund_at),
        "TRADE_SUCCESS" | "TRADE_FINISHED" => (Status::Succeeded, paid_at),
        // Closed after a payment, and nothing is said of a refund: then it was paid, and no more is claimed.
        "TRADE_CLOSED" if paid_at.is_some() => (Status::Succeeded, paid_at),
        "TRADE_CLOSED" => (Status::Expired, form.text("gmt_close")),
        _ => return Err(Fault::malformed("trade_status is unknown")),
    };
    let occurred_at = occurred_at.or(form.text("notify_time")).ok_or(Fault::malformed("notify_time is missing"))?;
    let event = Draft {
        provider: Provider::Alipay,
        merchant_id,
        event_id: form.text("notify_id").ok_or(Fault::malformed("notify_id is missing"))?,
        order_id,
        transaction_id: form.text("trade_no"),
        provider_status: trade_status,
        status,
        occurred_at: china_time(occurred_at)?,
        amount,
        refund,
        reason: None,
    };
    Ok(Meaning::Payments(vec![event.event()?]))
}

/// Merchants have to encode this field before they encode the request, and it comes back as they sent it. No order number
/// has a `%`, so one that was not encoded stays as it is.
fn passed_text(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// `2026-01-31 08:30:00`, in refunds also `2026-01-31 08:30:00.320`: always China's time, UTC+8.
fn china_time(text: &str) -> Result<Timestamp, Fault> {
    let (date, time) = text.split_once(' ').ok_or(Fault::malformed("time is not yyyy-MM-dd HH:mm:ss"))?;
    rfc3339(&format!("{date}T{time}+08:00"))
}

/// `12.34`, `12.3` or `12` yuan as fen, exactly.
fn yuan(text: &str) -> Result<Money, Fault> {
    money(fen(text).ok_or(Fault::malformed("amount is not yuan with at most two decimals"))?, CURRENCY)
}

fn fen(text: &str) -> Option<i64> {
    let (yuan, decimals) = match text.split_once('.') {
        Some((yuan, decimals)) if !decimals.is_empty() => (yuan, decimals),
        Some(_) => return None,
        None => (text, ""),
    };
    if yuan.is_empty() || decimals.len() > 2 || !yuan.bytes().chain(decimals.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{yuan}{decimals:0<2}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_become_fen_exactly() {
        for (text, value) in [
            ("12.34", 1234),
            ("12.3", 1230),
            ("12", 1200),
            ("0.01", 1),
            ("0.00", 0),
            ("0001.10", 110),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(fen(text), Some(value), "{text}");
        }
        for bad in ["", ".", "12.", ".5", "1.234", "-1.00", "+1", "1e2", "1,00", " 1", "１", "92233720368547758.08"] {
            assert_eq!(fen(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_chinas() {
        assert_eq!(china_time("2026-01-31 08:30:00").unwrap().as_str(), "2026-01-31T08:30:00+08:00");
        assert_eq!(china_time("2026-01-31 08:30:00.320").unwrap().as_str(), "2026-01-31T08:30:00.320+08:00");
        for bad in ["2026-01-31", "2026-01-31T08:30:00", "2026-02-30 08:30:00", "2026-01-31 08:30:00Z", " "] {
            assert!(china_time(bad).is_err(), "{bad}");
        }
    }
}
