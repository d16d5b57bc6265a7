//! What nodes send each other: JSON, so that a person can read it in the console and two versions of the program
//! understand each other (what is unknown is left out, what is missing has a default).
//!
//! A payment's text is looked at only where a page waits for it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::pages::HeldTicket;
use crate::payment::{Display, Key, MerchantId, Money, OrderId, Payment, Reason, Refund, Status, Timestamp};
use crate::runtime::Object;
use crate::store::{Revocation, Revoked};

/// Raised where a message means something else than before. What is only added does not raise it.
pub(super) const FORMAT: u32 = 1;

/// What each message holds of its sender.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head<'a> {
    pub(super) format: u32,
    #[serde(borrow)]
    pub(super) instance: Cow<'a, str>,
    /// Drawn anew each time a node starts.
    #[serde(borrow)]
    run: Cow<'a, str>,
    /// From 1, in steps of 1.
    pub(super) sequence: u64,
    /// Microseconds since 1970 by the sender's clock.
    pub(super) sent_us: i64,
    /// The sender publishes at least so often.
    pub(super) heartbeat_ms: u64,
    /// The last message of this run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) leaves: bool,
    /// All that its pages hold, where the message lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tickets: Option<Vec<(Fingerprint, u32)>>,
}

impl<'a> Head<'a> {
    pub(super) fn new(instance: &'a str, run: u64, sequence: u64, sent_us: i64, heartbeat_ms: u64) -> Self {
        let run = format!("{run:016x}").into();
        let (format, instance) = (FORMAT, instance.into());
        Self { format, instance, run, sequence, sent_us, heartbeat_ms, leaves: false, tickets: None }
    }

    pub(super) fn with_tickets(mut self, tickets: Vec<HeldTicket>) -> Self {
        self.tickets =
            Some(tickets.into_iter().map(|ticket| (Fingerprint(ticket.fingerprint), ticket.pages)).collect());
        self
    }

    /// As the last message of its run.
    pub(super) fn leaving(self) -> Self {
        Self { leaves: true, ..self }
    }

    pub(super) fn run(&self) -> Option<u64> {
        u64::from_str_radix(&self.run, 16).ok()
    }

    pub(super) fn take_tickets(&mut self) -> Option<Vec<HeldTicket>> {
        let tickets = self.tickets.take()?;
        let held = |(Fingerprint(fingerprint), pages)| HeldTicket { fingerprint, pages };
        Some(tickets.into_iter().map(held).collect())
    }
}

/// A whole message, as it is received.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(flatten, borrow)]
    pub(super) head: Head<'a>,
    #[serde(borrow, default)]
    pub(super) payments: Vec<Object<PaymentIn<'a>>>,
    #[serde(borrow, default)]
    pub(super) revocations: Vec<RevocationText<'a>>,
}

/// One payment, its own text not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct PaymentIn<'a> {
    merchant_id: &'a str,
    order_id: &'a str,
    /// Microseconds between the arrival of the event at the sender and the message.
    pub(super) held_us: u64,
    #[serde(default)]
    pub(super) published_ms: Option<i64>,
    #[serde(borrow)]
    payment: &'a RawValue,
}

impl PaymentIn<'_> {
    pub(super) fn key(&self) -> Option<Key> {
        key(self.merchant_id, self.order_id)
    }

    pub(super) fn payment(&self, key: Key) -> Option<Payment> {
        let Object(text): Object<PaymentText<'_>> = serde_json::from_str(self.payment.get()).ok()?;
        Some(Payment {
            key,
            version: text.version,
            status: text.status,
            occurred_at: Timestamp::parse(&text.occurred_at).ok()?,
            amount: text.amount,
            provider: text.provider.map(|provider| provider.as_ref().into()),
            refund: text.refund,
            reason: text.reason.map(Cow::into_owned),
            display: text.display.map(Cow::into_owned),
        })
    }
}

/// One payment, as it is sent.
#[derive(Serialize)]
pub(super) struct PaymentOut<'a> {
    merchant_id: &'a str,
    order_id: &'a str,
    held_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_ms: Option<i64>,
    payment: PaymentText<'a>,
}

impl<'a> PaymentOut<'a> {
    pub(super) fn new(payment: &'a Payment, held_us: u64, published_ms: Option<i64>) -> Self {
        let text = PaymentText {
            version: payment.version,
            status: payment.status,
            occurred_at: payment.occurred_at.as_str().into(),
            amount: payment.amount,
            provider: payment.provider.as_deref().map(Cow::Borrowed),
            refund: payment.refund,
            reason: payment.reason.as_ref().map(Cow::Borrowed),
            display: payment.display.as_ref().map(Cow::Borrowed),
        };
        let Key { merchant_id, order_id } = &payment.key;
        let (merchant_id, order_id) = (merchant_id.as_str(), order_id.as_str());
        Self { merchant_id, order_id, held_us, published_ms, payment: text }
    }
}

/// All of a payment that a page may be shown.
#[derive(Serialize, Deserialize)]
struct PaymentText<'a> {
    version: u64,
    status: Status,
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    provider: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund: Option<Refund>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, Reason>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display: Option<Cow<'a, Display>>,
}

/// A revocation of a ticket by its fingerprint, or else of the one order in `orders`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RevocationText<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticket: Option<Fingerprint>,
    until_s: i64,
    /// Merchant and order of the pages that have to look.
    #[serde(borrow)]
    orders: Vec<(&'a str, &'a str)>,
}

impl<'a> RevocationText<'a> {
    pub(super) fn new(revocation: &'a Revocation, keys: &'a [Key]) -> Self {
        fn names(key: &Key) -> (&str, &str) {
            (key.merchant_id.as_str(), key.order_id.as_str())
        }
        let until_s = revocation.until_s;
        match &revocation.revoked {
            Revoked::Ticket(fingerprint) => {
                Self { ticket: Some(Fingerprint(*fingerprint)), until_s, orders: keys.iter().map(names).collect() }
            }
            Revoked::Order(key) => Self { ticket: None, until_s, orders: vec![names(key)] },
        }
    }

    pub(super) fn revocation(&self) -> Option<(Revocation, Vec<Key>)> {
        let keys = self.orders.iter().map(|(merchant_id, order_id)| key(merchant_id, order_id));
        let keys = keys.collect::<Option<Vec<_>>>()?;
        let revoked = match (self.ticket, keys.as_slice()) {
            (Some(Fingerprint(fingerprint)), _) => Revoked::Ticket(fingerprint),
            (None, [key]) => Revoked::Order(key.clone()),
            (None, _) => return None,
        };
        Some((Revocation { revoked, until_s: self.until_s }, keys))
    }
}

fn key(merchant_id: &str, order_id: &str) -> Option<Key> {
    Some(Key::new(MerchantId::new(merchant_id).ok()?, OrderId::new(order_id).ok()?))
}

/// As hexadecimal digits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
struct Fingerprint([u8; 16]);

impl From<Fingerprint> for String {
    fn from(Fingerprint(bytes): Fingerprint) -> Self {
        format!("{:032x}", u128::from_be_bytes(bytes))
    }
}

impl TryFrom<Cow<'_, str>> for Fingerprint {
    type Error = std::num::ParseIntError;
    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(|number| Self(number.to_be_bytes()))
    }
}
