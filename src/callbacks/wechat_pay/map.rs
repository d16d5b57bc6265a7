//! The decrypted resource to events. Who paid (`payer`, `combine_payer_info`, `user_received_account`) is not even read.
//!
//! What kind of notice it is, its fields decide: notices of profit sharing and of coupons were seen with the type
//! `TRANSACTION.SUCCESS`, and combined payments have no other.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::callbacks::draft::{Draft, money, reason, rfc3339};
use crate::callbacks::order_id_from::OrderIdFrom;
use crate::callbacks::receipt::{Fault, Meaning};
use crate::callbacks::{Code, Provider};
use crate::payment::{Event, MerchantId, Money, Refund, RefundStatus, Status};
use crate::runtime::Object;

/// What the resource stands in.
pub(super) struct Envelope<'a> {
    pub(super) merchant_id: &'a MerchantId,
    pub(super) mch_id: Option<&'a str>,
    pub(super) order_id_from: OrderIdFrom,
    pub(super) id: &'a str,
    pub(super) create_time: &'a str,
}

/// The fields of which each kind has one and no other kind has any.
#[derive(Deserialize)]
struct Shape {
    combine_out_trade_no: Option<IgnoredAny>,
    refund_status: Option<IgnoredAny>,
    trade_state: Option<IgnoredAny>,
}

/// `mchid` of a merchant of its own; `sp_mchid` and `sub_mchid` where a service provider takes payments for others.
#[derive(Deserialize)]
struct Owner {
    mchid: Option<Box<str>>,
    sp_mchid: Option<Box<str>>,
    sub_mchid: Option<Box<str>>,
}

/// A payment, or one order of a combined payment.
#[derive(Deserialize)]
struct Transaction {
    out_trade_no: Box<str>,
    transaction_id: Option<Box<str>>,
    trade_state: Box<str>,
    trade_state_desc: Option<Box<str>>,
    attach: Option<Box<str>>,
    success_time: Option<Box<str>>,
    amount: Option<Object<TransactionAmount>>,
}

/// In fen, or the currency's own minor unit.
#[derive(Deserialize)]
struct TransactionAmount {
    #[serde(alias = "total_amount")]
    total: i64,
    currency: Option<Box<str>>,
}

/// `combine_mchid` has started the payment, on behalf of the merchants of the orders.
#[derive(Deserialize)]
struct Combined<'a> {
    combine_mchid: Option<Box<str>>,
    #[serde(borrow)]
    sub_orders: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RefundResource {
    out_trade_no: Box<str>,
    transaction_id: Option<Box<str>>,
    refund_status: Box<str>,
    attach: Option<Box<str>>,
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
    pub(super) fn meaning(&self, resource: &[u8]) -> Result<Meaning, Fault> {
        let Object(shape): Object<Shape> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("resource is not an object"))?;
        match shape {
            Shape { combine_out_trade_no: Some(_), .. } => self.combined(resource),
            Shape { refund_status: Some(_), .. } => self.refund(resource),
            Shape { trade_state: Some(_), .. } => self.single(resource),
            _ => Ok(Meaning::Nothing("event_type")),
        }
    }

    fn single(&self, resource: &[u8]) -> Result<Meaning, Fault> {
        if !self.owns(resource)? {
            return Err(foreign());
        }
        let Object(transaction): Object<Transaction> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("not a transaction"))?;
        Ok(Meaning::Payments(vec![self.transaction(&transaction, self.id)?]))
    }

    /// One event an order. Whoever started the payment gets all of them, a merchant of single orders its own. An order that
    /// makes no sense does not keep the others from their pages.
    fn combined(&self, resource: &[u8]) -> Result<Meaning, Fault> {
        let Object(combined): Object<Combined<'_>> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("not a combined payment"))?;
        if combined.sub_orders.is_empty() {
            return Err(Fault::malformed("sub_orders is empty"));
        }
        let started_it = combined.combine_mchid.as_deref() == self.mch_id;
        let (mut events, mut fault, mut owns_some) = (Vec::<Event>::new(), None, false);
        for order in combined.sub_orders {
            match self.sub_order(order.get().as_bytes(), started_it) {
                Ok(None) => continue,
                // Orders that bear one number of the page's are one payment to it, and must not look like several.
                Ok(Some(event)) => match events.iter_mut().find(|e| e.key == event.key && e.status == event.status) {
                    Some(known) => known.amount = sum(known.amount, event.amount),
                    None => events.push(event),
                },
                Err(why) => fault = fault.or(Some(why)),
            }
            owns_some = true;
        }
        match fault {
            None if !owns_some => Err(foreign()),
            None => Ok(Meaning::Payments(events)),
            Some(fault) if events.is_empty() => Err(fault),
            Some(fault) => Ok(Meaning::Partly(events, fault)),
        }
    }

    /// `None` where the order is another merchant's.
    fn sub_order(&self, order: &[u8], started_it: bool) -> Result<Option<Event>, Fault> {
        if !started_it && !self.owns(order)? {
            return Ok(None);
        }
        let Object(order): Object<Transaction> =
            serde_json::from_slice(order).ok().ok_or(Fault::malformed("not an order of a combined payment"))?;
        self.transaction(&order, &format!("{}:{}", self.id, order.out_trade_no)).map(Some)
    }

    fn transaction(&self, transaction: &Transaction, event_id: &str) -> Result<Event, Fault> {
        let order_id = self.order_id_from.of(&transaction.out_trade_no, transaction.attach.as_deref());
        let order_id = order_id.ok_or(Fault::malformed(
            "attach is empty: give it the order number with each payment, or set order_id_from to out_trade_no",
        ))?;
        let status = status(&transaction.trade_state)?;
        let amount =
            transaction.amount.as_ref().map(|a| money(a.total, currency(a.currency.as_deref()))).transpose()?;
        let failed = (status == Status::Failed).then_some(transaction.trade_state_desc.as_deref()).flatten();
        let draft = Draft {
            provider: Provider::WechatPay,
            merchant_id: self.merchant_id,
            event_id,
            order_id,
            transaction_id: transaction.transaction_id.as_deref(),
            provider_status: &transaction.trade_state,
            status,
            occurred_at: rfc3339(self.time(transaction.success_time.as_deref()))?,
            amount,
            refund: None,
            reason: reason(None, failed),
        };
        draft.event()
    }

    fn time<'a>(&'a self, success_time: Option<&'a str>) -> &'a str {
        success_time.filter(|text| !text.is_empty()).unwrap_or(self.create_time)
    }

    fn refund(&self, resource: &[u8]) -> Result<Meaning, Fault> {
        if !self.owns(resource)? {
            return Err(foreign());
        }
        let Object(notice): Object<RefundResource> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("not a refund"))?;
        // Refunds never bear `attach`, so this one is no mistake of anybody's.
        let Some(order_id) = self.order_id_from.of(&notice.out_trade_no, notice.attach.as_deref()) else {
            return Ok(Meaning::Nothing("no_order_id"));
        };
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
        let draft = Draft {
            provider: Provider::WechatPay,
            merchant_id: self.merchant_id,
            event_id: self.id,
            order_id,
            transaction_id: notice.transaction_id.as_deref(),
            // `CLOSED` alone would read as the trade state of an order that was never paid.
            provider_status: &format!("REFUND.{}", notice.refund_status),
            status: Status::Succeeded,
            occurred_at: rfc3339(self.time(notice.success_time.as_deref()))?,
            amount: Some(amount),
            refund: refund.map(|status| Refund { status, amount: Some(refunded) }),
            reason: None,
        };
        Ok(Meaning::Payments(vec![draft.event()?]))
    }

    fn owns(&self, resource: &[u8]) -> Result<bool, Fault> {
        let Some(own) = self.mch_id else { return Ok(true) };
        let Object(owner): Object<Owner> =
            serde_json::from_slice(resource).ok().ok_or(Fault::malformed("mchid cannot be read"))?;
        let named = [&owner.mchid, &owner.sub_mchid, &owner.sp_mchid];
        Ok(named.into_iter().flatten().any(|id| id.as_ref() == own))
    }
}

fn foreign() -> Fault {
    Fault::new(Code::Foreign, "mchid belongs to another merchant")
}

/// `None` where the two cannot be added.
fn sum(one: Option<Money>, other: Option<Money>) -> Option<Money> {
    let (one, other) = (one?, other?);
    let value = one.value().checked_add(other.value()).filter(|_| one.currency() == other.currency())?;
    Money::new(value, one.currency()).ok()
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
