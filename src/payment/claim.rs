//! What one final event says of its payment, as far as conflicts are found by it and told of it.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Event, EventId, Money, Status, Timestamp};

/// A final status of one attempt to pay, as an event has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which event. Absent where a row of version 0.1.0 knew no more than the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// `succeeded`, `failed`, `canceled` or `expired`.
    pub status: Status,
    /// When it happened, by the publisher's clock.
    pub occurred_at: Timestamp,
    /// The amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Who moved the money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    /// The provider's own number, by which attempts are told apart. Numbers are compared byte for byte, whatever the
    /// provider: publishers write one provider's name in several ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_transaction_id: Option<Box<str>>,
}

impl Claim {
    /// What `event` claims. `None` where it is not final.
    pub(super) fn of(event: &Event) -> Option<Self> {
        event.status.is_final().then(|| Self {
            event_id: Some(event.event_id.clone()),
            status: event.status,
            occurred_at: event.occurred_at.clone(),
            amount: event.amount,
            provider: event.provider.clone(),
            provider_transaction_id: event.provider_transaction_id.clone(),
        })
    }

    /// Of an event of which no more than this is known.
    pub(super) fn bare(status: Status, occurred_at: Timestamp) -> Self {
        let (event_id, amount, provider, provider_transaction_id) = (None, None, None, None);
        Self { event_id, status, occurred_at, amount, provider, provider_transaction_id }
    }

    /// The number of the attempt, where one is given.
    pub(super) fn transaction(&self) -> Option<&str> {
        self.provider_transaction_id.as_deref().filter(|id| !id.is_empty())
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.status == Status::Succeeded
    }

    /// True where one of the two says all that conflicts need: one attempt, one status, and one amount if it succeeded.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.status == other.status
            && self.transaction() == other.transaction()
            && (!self.has_succeeded() || self.amount == other.amount)
    }

    /// The order in which claims are kept, the greatest first to be: those that succeeded over others, of them the
    /// earliest, of others the latest. Of two claims that are like each other the greater stands for both.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        let by_time = self.occurred_at.cmp(&other.occurred_at);
        let by_time = if self.has_succeeded() { by_time.reverse() } else { by_time };
        self.has_succeeded()
            .cmp(&other.has_succeeded())
            .then(by_time)
            .then_with(|| self.event_id.cmp(&other.event_id))
            .then_with(|| self.status.as_str().cmp(other.status.as_str()))
            .then_with(|| (self.transaction(), self.amount).cmp(&(other.transaction(), other.amount)))
    }
}
