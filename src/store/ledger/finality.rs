//! When a final result counts as undelivered.

use crate::payment::{Payment, Status};
use crate::store::{EscalatedOrders, Escalation};

/// What a page that comes late may take to acknowledge what it is shown at once.
const PAGE_ANSWERS_MS: u64 = 5_000;

/// What is kept of a payment's final result. All is 0, false and not set where it has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Finality {
    /// The version that brought the final status. Later ones (refunds) tell of the same result.
    pub(in crate::store) version: u64,
    /// When the event that brought it was received, milliseconds since 1970.
    pub(in crate::store) at_ms: i64,
    /// When it counts as undelivered; not set where it never will.
    pub(in crate::store) escalate_ms: Option<i64>,
    /// It has counted as undelivered.
    pub(in crate::store) escalated: bool,
}

impl Finality {
    /// After an event was applied. `before` is the status before it; `watched` says whether a page has waited for the order.
    pub(super) fn applied(
        &mut self,
        before: Option<Status>,
        payment: &Payment,
        received_ms: i64,
        escalation: Escalation,
        watched: bool,
    ) {
        if !payment.is_final() || before == Some(payment.status) {
            return;
        }
        let escalates = match escalation.orders {
            EscalatedOrders::All => true,
            EscalatedOrders::Watched => watched,
            EscalatedOrders::Off => false,
        };
        *self = Self {
            version: payment.version,
            at_ms: received_ms,
            escalate_ms: escalates.then(|| later(received_ms, escalation.after_ms)),
            escalated: false,
        };
    }

    /// A page has shown `version`, and `acked_version` was the latest so far. True if this tells of the final result for
    /// the first time: `payment.delivered`.
    pub(super) fn acknowledged(&mut self, acked_version: u64, version: u64) -> bool {
        let first = self.version > 0 && (acked_version..version).contains(&(self.version - 1));
        if first {
            self.escalate_ms = None;
        }
        first
    }

    /// A page began to wait at `at_ms`. True if something was changed by it.
    pub(super) fn watched(&mut self, acked_version: u64, at_ms: i64, escalation: Escalation) -> bool {
        let waits = self.version > acked_version && !self.escalated && self.escalate_ms.is_none();
        if !waits || escalation.orders != EscalatedOrders::Watched {
            return false;
        }
        let due_ms = later(self.at_ms, escalation.after_ms);
        self.escalate_ms = Some(due_ms.max(later(at_ms, escalation.after_ms.min(PAGE_ANSWERS_MS))));
        true
    }

    /// True if it counts as undelivered at `now_ms`. It does so once.
    pub(super) fn escalate(&mut self, now_ms: i64) -> bool {
        let due = self.escalate_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if due {
            self.escalate_ms = None;
            self.escalated = true;
        }
        due
    }
}

fn later(ms: i64, by_ms: u64) -> i64 {
    ms.saturating_add_unsigned(by_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{Event, EventId, Key, MerchantId, OrderId, State, Timestamp};

    const WATCHED: Escalation = Escalation { after_ms: 60_000, orders: EscalatedOrders::Watched };
    const ALL: Escalation = Escalation { orders: EscalatedOrders::All, ..WATCHED };
    const OFF: Escalation = Escalation { orders: EscalatedOrders::Off, ..WATCHED };

    fn payment(status: Status, version: u64) -> Payment {
        let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new("a").unwrap());
        let at = Timestamp::parse("2026-01-31T08:30:00Z").unwrap();
        let event = Event::new(key, EventId::new("e1").unwrap(), status, at);
        Payment { version, ..State::first(event).payment() }
    }

    fn paid(escalation: Escalation, watched: bool) -> Finality {
        let mut finality = Finality::default();
        finality.applied(Some(Status::Pending), &payment(Status::Succeeded, 2), 1_000, escalation, watched);
        assert_eq!((finality.version, finality.at_ms), (2, 1_000));
        finality
    }

    #[test]
    fn it_begins_with_the_final_status_and_anew_with_another() {
        let mut open = Finality::default();
        open.applied(None, &payment(Status::Pending, 1), 1_000, WATCHED, true);
        assert_eq!(open, Finality::default());

        let mut failed = Finality::default();
        failed.applied(None, &payment(Status::Failed, 1), 1_000, ALL, false);
        assert_eq!(failed.escalate_ms, Some(61_000));
        assert!(failed.escalate(61_000));
        // A refund, say.
        failed.applied(Some(Status::Failed), &payment(Status::Failed, 2), 70_000, ALL, false);
        assert_eq!((failed.version, failed.escalate_ms, failed.escalated), (1, None, true));
        failed.applied(Some(Status::Failed), &payment(Status::Succeeded, 3), 80_000, ALL, false);
        assert_eq!((failed.version, failed.escalate_ms, failed.escalated), (3, Some(140_000), false));
    }

    #[test]
    fn which_orders() {
        assert_eq!(paid(WATCHED, true).escalate_ms, Some(61_000));
        assert_eq!(paid(WATCHED, false).escalate_ms, None);
        assert_eq!(paid(ALL, false).escalate_ms, Some(61_000));
        assert_eq!(paid(OFF, true).escalate_ms, None);
    }

    #[test]
    fn the_first_acknowledgement_of_the_result_ends_it() {
        let mut it = paid(ALL, false);
        assert!(!it.acknowledged(0, 1), "the version before the result");
        assert_eq!(it.escalate_ms, Some(61_000));
        assert!(it.acknowledged(1, 3), "a later version tells of the same result");
        assert_eq!(it.escalate_ms, None);
        assert!(!it.acknowledged(3, 4));
        assert!(!Finality::default().acknowledged(0, 1));
        let mut it = paid(ALL, false);
        assert!(it.escalate(61_000) && it.acknowledged(0, 2), "better late than never");
    }

    #[test]
    fn it_is_due_once() {
        let mut it = paid(ALL, false);
        assert!(!it.escalate(60_999));
        assert!(it.escalate(61_000));
        assert!(!it.escalate(i64::MAX));
        assert!(!it.watched(0, 61_000, WATCHED), "and a page that comes late does not begin it again");
    }

    #[test]
    fn a_page_that_comes_after_the_result_begins_it() {
        let began = |at_ms, escalation| {
            let mut it = paid(WATCHED, false);
            assert_eq!(it.watched(0, at_ms, escalation), it.escalate_ms.is_some());
            it.escalate_ms
        };
        assert_eq!(began(2_000, WATCHED), Some(61_000));
        assert_eq!(began(900_000, WATCHED), Some(905_000), "it is given time to answer");
        assert_eq!(began(900_000, Escalation { after_ms: 200, ..WATCHED }), Some(900_200));
        assert_eq!((began(2_000, ALL), began(2_000, OFF)), (None, None));
        let mut it = paid(WATCHED, false);
        assert!(!it.watched(2, 2_000, WATCHED), "acknowledged");
        assert!(it.watched(1, 2_000, WATCHED) && !it.watched(1, 9_000, WATCHED));
        assert!(!Finality::default().watched(0, 2_000, WATCHED), "no result");
    }
}
