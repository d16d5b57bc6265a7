//! Changes as the text of one message, up to a number of bytes.

use std::collections::VecDeque;

use serde::Serialize;

use super::sender::Change;
use super::wire::{Head, PaymentOut, RevocationText};

/// For what a message holds of its sender.
const HEAD_BYTES: usize = 512;

/// What one message holds beside its head: two JSON lists, without their brackets.
#[derive(Default)]
pub(super) struct Packet {
    payments: Vec<u8>,
    revocations: Vec<u8>,
    changes: usize,
}

impl Packet {
    /// Takes from the front as many changes as fit, and one that is larger than that alone.
    pub(super) fn fill(changes: &mut VecDeque<Change>, bytes_max: usize) -> Self {
        let mut packet = Self::default();
        while let Some(change) = changes.front() {
            let (list, length) = match change {
                Change::Payment(_) => (&mut packet.payments, packet.revocations.len()),
                Change::Revocation(..) => (&mut packet.revocations, packet.payments.len()),
            };
            let before = list.len();
            append(list, change);
            if packet.changes > 0 && list.len() + length + HEAD_BYTES > bytes_max {
                list.truncate(before);
                break;
            }
            changes.pop_front();
            packet.changes += 1;
        }
        packet
    }

    /// Changes within.
    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// The whole message.
    pub(super) fn text(&self, head: &Head<'_>) -> Vec<u8> {
        let mut text = Vec::with_capacity(HEAD_BYTES + self.payments.len() + self.revocations.len());
        write(&mut text, head);
        for (name, list) in [("payments", &self.payments), ("revocations", &self.revocations)] {
            if !list.is_empty() {
                // The head's closing brace makes room for one more member.
                text.pop();
                text.extend_from_slice(format!(",\"{name}\":[").as_bytes());
                text.extend_from_slice(list);
                text.extend_from_slice(b"]}");
            }
        }
        text
    }
}

fn append(list: &mut Vec<u8>, change: &Change) {
    if !list.is_empty() {
        list.push(b',');
    }
    match change {
        Change::Payment(update) => {
            let held = update.received_at.map(|at| at.elapsed()).unwrap_or_default();
            let held_us = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
            write(list, &PaymentOut::new(&update.payment, held_us, update.published_at_ms));
        }
        Change::Revocation(revocation, keys) => write(list, &RevocationText::new(revocation, keys)),
    }
}

/// Into memory, which cannot fail, and of types whose text cannot fail to be made.
fn write(text: &mut Vec<u8>, value: &impl Serialize) {
    drop(serde_json::to_writer(text, value));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::super::pages::HeldTicket;
    use super::super::wire::Message;
    use super::*;
    use crate::hub::Update;
    use crate::payment::{
        Currency, Display, Event, EventId, Key, MerchantId, Money, OrderId, Payment, Reason, State, Status, Timestamp,
    };
    use crate::store::{Revocation, Revoked};

    fn key(order: &str) -> Key {
        Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap())
    }

    /// Everything that a payment can hold, and characters that JSON writes otherwise.
    fn payment(order: &str) -> Payment {
        let at = Timestamp::parse("2026-01-31T08:30:00+08:00").unwrap();
        let mut event = Event::new(key(order), EventId::new("e").unwrap(), Status::Failed, at);
        event.amount = Some(Money::new(1999, Currency::new("CNY").unwrap()).unwrap());
        event.provider = Some("a \"quoted\" provider".into());
        event.reason = Some(Reason { code: Some("c".into()), message: Some("余额不足\n\u{1}".into()) });
        let display = serde_json::value::RawValue::from_string(r#"{"n": 12345678901234567890, "s": "\"\\"}"#.into());
        event.display = Some(Display::new(&display.unwrap()));
        State::first(event).payment()
    }

    fn change(payment: Payment) -> Change {
        Change::Payment(Update::arrived(Arc::new(payment), Some(7), Instant::now()))
    }

    #[test]
    fn what_is_received_is_what_was_sent() {
        let revoked = |revoked| Revocation { revoked, until_s: 9 };
        let (of_order, of_ticket) = (revoked(Revoked::Order(key("o-1"))), revoked(Revoked::Ticket([7; 16])));
        let mut changes = VecDeque::from([
            change(payment("o-1")),
            Change::Revocation(of_order.clone(), vec![key("o-1")]),
            Change::Revocation(of_ticket.clone(), vec![key("o-2"), key("o-3")]),
            change(payment("o-2")),
        ]);
        let packet = Packet::fill(&mut changes, 65_536);
        assert_eq!((packet.changes(), changes.len()), (4, 0));
        let held = HeldTicket { fingerprint: [255; 16], pages: 3 };
        let text = packet.text(&Head::new("node \"1\"", u64::MAX, 5, 6, 1000).with_tickets(vec![held]));
        let mut message: Message<'_> = serde_json::from_slice(&text).unwrap();
        let head = &mut message.head;
        assert_eq!((&*head.instance, head.run(), head.sequence, head.sent_us), ("node \"1\"", Some(u64::MAX), 5, 6));
        assert_eq!(head.take_tickets(), Some(vec![held]));
        let received: Vec<_> =
            message.payments.iter().map(|received| received.payment(received.key().unwrap()).unwrap()).collect();
        assert_eq!(received, [payment("o-1"), payment("o-2")]);
        assert_eq!(message.payments[0].published_ms, Some(7));
        let received: Vec<_> = message.revocations.iter().map(|received| received.revocation().unwrap()).collect();
        assert_eq!(received, [(of_order, vec![key("o-1")]), (of_ticket, vec![key("o-2"), key("o-3")])]);
    }

    #[test]
    fn a_packet_is_bounded_and_a_large_change_goes_alone() {
        let mut changes: VecDeque<_> = (0..50).map(|at| change(payment(&format!("o-{at}")))).collect();
        let mut sent = 0;
        while !changes.is_empty() {
            let packet = Packet::fill(&mut changes, 2048);
            sent += packet.changes();
            assert!(packet.changes() > 1 || changes.is_empty());
            assert!(packet.text(&Head::new("n", 1, 2, 3, 4)).len() <= 2048);
        }
        assert_eq!(sent, 50);
        let mut changes = VecDeque::from([change(payment("o-1")), change(payment("o-2"))]);
        assert_eq!((Packet::fill(&mut changes, 10).changes(), changes.len()), (1, 1));
    }

    #[test]
    fn a_message_with_unknown_members_is_read() {
        let text =
            br#"{"format":1,"instance":"n","run":"1f","sequence":1,"sent_us":1,"heartbeat_ms":1,"new":{"a":[1]}}"#;
        let message: Message<'_> = serde_json::from_slice(text).unwrap();
        assert_eq!((message.head.run(), message.payments.len(), message.head.leaves), (Some(31), 0, false));
    }
}
