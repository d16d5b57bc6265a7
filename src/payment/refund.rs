//! Refunds: an axis of their own beside the payment's status.

use serde::{Deserialize, Serialize};

use super::{EventId, Money, Timestamp};

/// How far a refund is. Declared in the order in which one wins over another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Asked for.
    Processing,
    /// Part of the amount went back.
    Partial,
    /// All of it went back.
    Full,
}

impl RefundStatus {
    /// All three, in the order in which one wins over another.
    pub const ALL: [Self; 3] = [Self::Processing, Self::Partial, Self::Full];

    /// The status as publishers and pages write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

/// `{ "status": "partial", "amount": { … } }`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refund {
    /// How far it is.
    pub status: RefundStatus,
    /// How much went back, where the publisher gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// The refund of one event, with what orders it among others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefundMark {
    pub(super) refund: Refund,
    pub(super) occurred_at: Timestamp,
    pub(super) event_id: EventId,
}

impl RefundMark {
    /// True if `self` stands over `other`: `full` over `partial` over `processing`; of two that may still grow the
    /// later, of two that are full the earlier; then the greater event id.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let by_time = match self.refund.status {
            RefundStatus::Processing | RefundStatus::Partial => self.occurred_at.cmp(&other.occurred_at),
            RefundStatus::Full => other.occurred_at.cmp(&self.occurred_at),
        };
        let order = self.refund.status.cmp(&other.refund.status).then(by_time);
        order.then_with(|| self.event_id.cmp(&other.event_id)).is_gt()
    }
}
