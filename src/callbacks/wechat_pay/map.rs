//! The decrypted resource to an event. Who paid (`payer`, `user_received_account`) is not even read.

use serde::Deserialize;

use crate::callbacks::draft::{Draft, money, reason, rfc3339};
use crate::callbacks::receipt::Fault;
use crate::callbacks::{Code, Provider};
use crate::payment::{Event, MerchantId, Refund, RefundStatus, Status};
use crate::runtime::Object;

/// What the resource stands in.
pub(super) struct Envelope<'a> {
    pub(super) merchant_id: &'a MerchantId,
    pub(super) mch_id: Option<&'a str>,
    pub(super) id: &'a str,
    pub(super) create_time: &'a str,
}

/// `mchid` of a merchant of its own; `sp_mchid` and `sub_mchid` where a service provider takes payments for others.
#[derive(Deserialize)]
struct Owner {
    mchid: Option<Box<str>>,
    sp_mchid: Option<Box<str>>,
    sub_mchid: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(flatten)]
    owner: Owner,
    out_trade_no: Box<str>,
    transaction_id: Option<Box<str>>,
    trade_state: Box<str>,
    trade_state_desc: Option<Box<str>>,
    success_time: Option<Box<str>>,
    amount: Option<Object<TransactionAmount>>,
}

/// In fen, or the currency's own minor unit.
#[derive(Deserialize)]
struct TransactionAmount {
    total: i64,
    currency: Option<Box<str>>,
}

#[derive(Deserialize)]
struct RefundResource {
    #[serde(flatten)]
    owner: Owner,
    out_trade_no: Box<str>,
    transaction_id: Option<Box<str>>,
    refund_status: Box<str>,
    success_time: Option<Box<str>>,
    amount: Object<RefundAmount>,
}

/// In fen: `total` of the order, `refund` of this one refund.
#[derive(Deserialize)]
struct RefundAmount {
    total: i64,
    refund: i64,
    currency: Option<Box<str>>,
}

impl Envelope<'_> {
    /// # Errors
    /// `malformed` or `foreign`.
    pub(super) fn transaction(&self, resource: &[u8]) -> Result<Event, Fault> {
        let Object(transaction): Object<Transaction> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("not a transaction"))?;
        self.check_owner(&transaction.owner)?;
        let status = status(&transaction.trade_state)?;
        let amount = transaction.amount.map(|a| money(a.total, currency(a.currency.as_deref()))).transpose()?;
        let failed = (status == Status::Failed).then_some(transaction.trade_state_desc.as_deref()).flatten();
        Draft {
            provider: Provider::WechatPay,
            merchant_id: self.merchant_id,
            event_id: self.id,
            order_id: &transaction.out_trade_no,
            transaction_id: transaction.transaction_id.as_deref(),
            provider_status: &transaction.trade_state,
            status,
            occurred_at: rfc3339(transaction.success_time.as_deref().unwrap_or(self.create_time))?,
            amount,
            refund: None,
            reason: reason(None, failed),
        }
        .event()
    }

    /// # Errors
    /// `malformed` or `foreign`.
    pub(super) fn refund(&self, resource: &[u8]) -> Result<Event, Fault> {
        let Object(notice): Object<RefundResource> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("not a refund"))?;
        self.check_owner(&notice.owner)?;
        let currency = currency(notice.amount.currency.as_deref());
        let amount = money(notice.amount.total, currency)?;
        let refunded = money(notice.amount.refund, currency)?;
        let refund = match notice.refund_status.as_ref() {
            "SUCCESS" if refunded >= amount => Some(RefundStatus::Full),
            "SUCCESS" => Some(RefundStatus::Partial),
            "PROCESSING" => Some(RefundStatus::Processing),
            // Published without a refund all the same: the merchant has to act on it, and may hear of it
            // nowhere else.
            "ABNORMAL" | "CLOSED" => None,
            _ => return Err(Fault::malformed("refund_status is unknown")),
        };
        Draft {
            provider: Provider::WechatPay,
            merchant_id: self.merchant_id,
            event_id: self.id,
            order_id: &notice.out_trade_no,
            transaction_id: notice.transaction_id.as_deref(),
            // `CLOSED` alone would read as the trade state of an order that was never paid.
            provider_status: &format!("REFUND.{}", notice.refund_status),
            status: Status::Succeeded,
            occurred_at: rfc3339(notice.success_time.as_deref().unwrap_or(self.create_time))?,
            amount: Some(amount),
            refund: refund.map(|status| Refund { status, amount: Some(refunded) }),
            reason: None,
        }
        .event()
    }

    fn check_owner(&self, owner: &Owner) -> Result<(), Fault> {
        let Some(own) = self.mch_id else { return Ok(()) };
        let named = [&owner.mchid, &owner.sub_mchid, &owner.sp_mchid];
        if named.into_iter().flatten().any(|id| id.as_ref() == own) {
            return Ok(());
        }
        Err(Fault::new(Code::Foreign, "mchid belongs to another merchant"))
    }
}

/// Refunds carry no currency, and payments inside China may leave it out.
fn currency(code: Option<&str>) -> &str {
    code.filter(|code| !code.is_empty()).unwrap_or("CNY")
}

fn status(trade_state: &str) -> Result<Status, Fault> {
    Ok(match trade_state {
        // REFUND: it was paid, and some of it has gone back; the refund has a notification of its own.
        "SUCCESS" | "REFUND" => Status::Succeeded,
        "NOTPAY" => Status::Pending,
        "USERPAYING" | "ACCEPT" => Status::Processing,
        "PAYERROR" => Status::Failed,
        "REVOKED" => Status::Canceled,
        "CLOSED" => Status::Expired,
        _ => return Err(Fault::malformed("trade_state is unknown")),
    })
}
