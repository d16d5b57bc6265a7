//! What the service tells merchants, as the messages that wait in an outbox: CloudEvents 1.0, structured. Every store
//! writes these and no others.

use serde::Serialize;

use super::entry::kinds;
use crate::payment::{Claim, Conflicts, EventId, Key, Money, Payment, Status, Timestamp};
use crate::store::{Error, Inquiry, PageRef};

/// A message before it has its place in an outbox.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Message {
    pub(in crate::store) routing_key: &'static str,
    pub(in crate::store) message_id: String,
    pub(in crate::store) body: String,
}

/// What every message of one commit says.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Envelope<'a> {
    /// The node's name.
    pub(in crate::store) instance: &'a str,
    /// When the thing happened that it tells of, milliseconds since 1970.
    pub(in crate::store) now_ms: i64,
}

#[derive(Serialize)]
struct CloudEvent<'a, T> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: T,
}

#[derive(Serialize)]
struct Order<'a> {
    merchant_id: &'a str,
    order_id: &'a str,
}

#[derive(Serialize)]
struct Delivered<'a> {
    #[serde(flatten)]
    order: Order<'a>,
    version: u64,
    status: Status,
    transport: &'static str,
    ms_since_arrival: i64,
    acknowledged_at: Timestamp,
}

#[derive(Serialize)]
struct Undelivered<'a> {
    #[serde(flatten)]
    order: Order<'a>,
    version: u64,
    status: Status,
    #[serde(rename = "final")]
    is_final: bool,
    occurred_at: &'a Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    arrived_at: Timestamp,
}

#[derive(Serialize)]
struct Conflicting<'a> {
    #[serde(flatten)]
    order: Order<'a>,
    kinds: Vec<&'static str>,
    version: u64,
    status: Status,
    event_id: &'a str,
    claims: &'a [Claim],
}

#[derive(Serialize)]
struct Inquired<'a> {
    #[serde(flatten)]
    order: Order<'a>,
    waited_s: u64,
    step: u32,
    status: &'static str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_transaction_id: Option<&'a str>,
}

impl Envelope<'_> {
    /// `payment.delivered`: a page has shown `version`, which is a final result that arrived at `arrived_ms`.
    pub(in crate::store) fn delivered(
        &self,
        payment: &Payment,
        version: u64,
        page: PageRef,
        arrived_ms: i64,
    ) -> Result<Message, Error> {
        let data = Delivered {
            order: order(&payment.key),
            version,
            status: payment.status,
            transport: page.transport.as_str(),
            ms_since_arrival: self.now_ms.saturating_sub(arrived_ms).max(0),
            acknowledged_at: timestamp(self.now_ms)?,
        };
        self.message("payment.delivered", &payment.key, &version.to_string(), data)
    }

    /// `payment.undelivered`: no page has shown the result that arrived at `arrived_ms`.
    pub(in crate::store) fn undelivered(&self, payment: &Payment, arrived_ms: i64) -> Result<Message, Error> {
        let data = Undelivered {
            order: order(&payment.key),
            version: payment.version,
            status: payment.status,
            is_final: payment.is_final(),
            occurred_at: &payment.occurred_at,
            amount: payment.amount,
            provider: payment.provider.as_deref(),
            arrived_at: timestamp(arrived_ms)?,
        };
        self.message("payment.undelivered", &payment.key, &payment.version.to_string(), data)
    }

    /// `payment.conflict`: the event has brought `conflicts` to light, which `claims` are in. `payment` is what stands after
    /// it. One kind may be told several times of a version, so it is the event that tells one message from another.
    pub(in crate::store) fn conflict(
        &self,
        payment: &Payment,
        conflicts: Conflicts,
        claims: &[Claim],
        event_id: &EventId,
    ) -> Result<Message, Error> {
        let kinds = kinds(conflicts);
        let which = format!("{}:{:016x}", payment.version, event_id.digest());
        let data = Conflicting {
            order: order(&payment.key),
            kinds,
            version: payment.version,
            status: payment.status,
            event_id: event_id.as_str(),
            claims,
        };
        self.message("payment.conflict", &payment.key, &which, data)
    }

    /// `payment.inquiry`: a page has waited for an order. `payment` is what is known of it, beside the provider's own
    /// number.
    pub(in crate::store) fn inquiry(
        &self,
        inquiry: &Inquiry,
        payment: Option<&Payment>,
        provider_transaction_id: Option<&str>,
    ) -> Result<Message, Error> {
        let version = payment.map_or(0, |payment| payment.version);
        let data = Inquired {
            order: order(&inquiry.key),
            waited_s: inquiry.waited_s,
            step: inquiry.step,
            status: payment.map_or("unknown", |payment| payment.status.as_str()),
            version,
            provider: payment.and_then(|payment| payment.provider.as_deref()),
            provider_transaction_id,
        };
        self.message("payment.inquiry", &inquiry.key, &format!("{version}:{}", inquiry.step), data)
    }

    fn message<T: Serialize>(&self, kind: &'static str, key: &Key, which: &str, data: T) -> Result<Message, Error> {
        let message_id = format!("{kind}:{}:{}:{which}", key.merchant_id, key.order_id);
        let event = CloudEvent {
            specversion: "1.0",
            id: &message_id,
            source: format!("payment-notifier/{}", self.instance),
            kind,
            subject: key.order_id.as_str(),
            time: timestamp(self.now_ms)?,
            datacontenttype: "application/json",
            data,
        };
        let body = serde_json::to_string(&event).map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Message { routing_key: kind, message_id, body })
    }
}

fn order(key: &Key) -> Order<'_> {
    Order { merchant_id: key.merchant_id.as_str(), order_id: key.order_id.as_str() }
}

fn timestamp(ms: i64) -> Result<Timestamp, Error> {
    Timestamp::from_unix_ms(ms).map_err(|e| Error::Corrupt(format!("time {ms} ms: {e}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::payment::{Currency, Event, MerchantId, Merged, OrderId, State};
    use crate::telemetry::Transport;

    const ENVELOPE: Envelope<'static> = Envelope { instance: "node-1", now_ms: 1_800_000_000_250 };
    /// AMQP's bound on `message-id`.
    const MESSAGE_ID_BYTES_MAX: usize = 255;

    fn event(key: Key, id: &str, status: Status, second: u32) -> Event {
        let at = Timestamp::parse(&format!("2026-01-31T08:30:{second:02}+08:00")).unwrap();
        Event::new(key, EventId::new(id).unwrap(), status, at)
    }

    fn key() -> Key {
        Key::new(MerchantId::new("shop").unwrap(), OrderId::new("a").unwrap())
    }

    fn paid() -> Payment {
        let amount = Some(Money::new(1999, Currency::new("CNY").unwrap()).unwrap());
        let provider = Some("wechat_pay".into());
        State::first(Event { amount, provider, ..event(key(), "e1", Status::Succeeded, 7) }).payment()
    }

    /// The data of a message, its envelope being as it must be.
    fn data(message: Message, kind: &str, id: &str) -> Value {
        assert_eq!((message.routing_key, message.message_id.as_str()), (kind, id));
        let mut body: Value = serde_json::from_str(&message.body).unwrap();
        let data = body["data"].take();
        let order_id = &data["order_id"];
        let envelope = json!({
            "specversion": "1.0", "id": id, "source": "payment-notifier/node-1", "type": kind, "subject": order_id,
            "time": "2027-01-15T08:00:00.25Z", "datacontenttype": "application/json", "data": null,
        });
        assert_eq!(body, envelope);
        data
    }

    #[test]
    fn delivered_says_how_and_how_fast() {
        let page = PageRef { transport: Transport::Sse, connection: 3 };
        let message = ENVELOPE.delivered(&paid(), 1, page, 1_800_000_000_000).unwrap();
        assert_eq!(
            data(message, "payment.delivered", "payment.delivered:shop:a:1"),
            json!({
                "merchant_id": "shop", "order_id": "a", "version": 1, "status": "succeeded", "transport": "sse",
                "ms_since_arrival": 250, "acknowledged_at": "2027-01-15T08:00:00.25Z",
            })
        );
        // Clocks of two nodes differ.
        let message = ENVELOPE.delivered(&paid(), 1, page, i64::MAX).unwrap();
        assert_eq!(data(message, "payment.delivered", "payment.delivered:shop:a:1")["ms_since_arrival"], 0);
    }

    #[test]
    fn undelivered_says_all_that_a_merchant_writes_to_the_payer() {
        let message = ENVELOPE.undelivered(&paid(), 1_799_999_940_000).unwrap();
        let mut expected = json!({
            "merchant_id": "shop", "order_id": "a", "version": 1, "status": "succeeded", "final": true,
            "occurred_at": "2026-01-31T08:30:07+08:00", "amount": {"value": 1999, "currency": "CNY"},
            "provider": "wechat_pay", "arrived_at": "2027-01-15T07:59:00Z",
        });
        assert_eq!(data(message, "payment.undelivered", "payment.undelivered:shop:a:1"), expected);
        let bare = State::first(event(key(), "e1", Status::Succeeded, 7)).payment();
        for absent in ["amount", "provider"] {
            expected.as_object_mut().unwrap().remove(absent);
        }
        let message = ENVELOPE.undelivered(&bare, 1_799_999_940_000).unwrap();
        assert_eq!(data(message, "payment.undelivered", "payment.undelivered:shop:a:1"), expected);
    }

    #[test]
    fn a_conflict_names_its_kinds_and_both_sides_of_it() {
        let amount = |value| Some(Money::new(value, Currency::new("CNY").unwrap()).unwrap());
        let (wechat, alipay) = (Some("wechat_pay".into()), Some("alipay".into()));
        let first = Event {
            amount: amount(1999),
            provider: wechat,
            provider_transaction_id: Some("4200A".into()),
            ..event(key(), "e1", Status::Succeeded, 7)
        };
        let second = Event {
            amount: amount(1999),
            provider: alipay,
            provider_transaction_id: Some("2026ALI".into()),
            ..event(key(), "e2", Status::Succeeded, 30)
        };
        let mut state = State::first(first);
        let merged = state.merge(second.clone());
        let conflict = |merged: &Merged, event: &Event, state: &State| {
            ENVELOPE.conflict(&state.payment(), merged.conflicts, &merged.claims, &event.event_id).unwrap()
        };
        let claim = |id: &str, provider: &str, transaction: &str, at: &str| {
            json!({
                "event_id": id, "status": "succeeded", "occurred_at": at, "amount": {"value": 1999, "currency": "CNY"},
                "provider": provider, "provider_transaction_id": transaction,
            })
        };
        let message = conflict(&merged, &second, &state);
        assert_eq!(
            data(message, "payment.conflict", "payment.conflict:shop:a:1:ac0f09c0f8bf5e7a"),
            json!({
                "merchant_id": "shop", "order_id": "a", "version": 1, "status": "succeeded", "event_id": "e2",
                "kinds": ["paid_twice"],
                "claims": [
                    claim("e1", "wechat_pay", "4200A", "2026-01-31T08:30:07+08:00"),
                    claim("e2", "alipay", "2026ALI", "2026-01-31T08:30:30+08:00"),
                ],
            })
        );
        // The same kind, of the same version: another message.
        let third = Event { provider_transaction_id: Some("pi_3".into()), ..event(key(), "e3", Status::Succeeded, 31) };
        let again = state.merge(third.clone());
        assert_eq!((again.conflicts, state.version()), (merged.conflicts, 1));
        let ids = [conflict(&merged, &second, &state).message_id, conflict(&again, &third, &state).message_id];
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn the_id_of_a_conflict_fits_amqp() {
        let long = |c: &str| c.repeat(64);
        let key = Key::new(MerchantId::new(&long("m")).unwrap(), OrderId::new(&long("o")).unwrap());
        let event = event(key, &"e".repeat(256), Status::Succeeded, 1);
        let payment = Payment { version: u64::MAX, ..State::first(event.clone()).payment() };
        let message = ENVELOPE.conflict(&payment, Conflicts::NONE, &[], &event.event_id).unwrap();
        assert!(message.message_id.len() <= MESSAGE_ID_BYTES_MAX);
    }

    #[test]
    fn an_inquiry_says_what_to_ask_for() {
        let inquiry = Inquiry { key: key(), step: 2, waited_s: 31 };
        let message = ENVELOPE.inquiry(&inquiry, None, None).unwrap();
        let expected = json!({
            "merchant_id": "shop", "order_id": "a", "waited_s": 31, "step": 2, "status": "unknown", "version": 0,
        });
        assert_eq!(data(message, "payment.inquiry", "payment.inquiry:shop:a:0:2"), expected);

        let pending = Payment { status: Status::Pending, ..paid() };
        let message = ENVELOPE.inquiry(&inquiry, Some(&pending), Some("4200001")).unwrap();
        let expected = json!({
            "merchant_id": "shop", "order_id": "a", "waited_s": 31, "step": 2, "status": "pending", "version": 1,
            "provider": "wechat_pay", "provider_transaction_id": "4200001",
        });
        assert_eq!(data(message, "payment.inquiry", "payment.inquiry:shop:a:1:2"), expected);
    }
}
