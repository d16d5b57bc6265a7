//! Kinds of conflict: claims about one payment that cannot all be true, or that somebody has to look at.

use super::{Claim, Status};

/// Two claims about one payment that cannot both be true, or that cost the payer twice.
///
/// Claims with two different provider's numbers are of different *attempts* to pay, and only [`Conflict::PaidTwice`] is
/// between them. A claim without a number may be of any attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conflict {
    /// Both `failed` and `canceled`, of one attempt.
    FailedAndCanceled,
    /// Both `failed` and `expired`, of one attempt.
    FailedAndExpired,
    /// Both `canceled` and `expired`, of one attempt.
    CanceledAndExpired,
    /// `failed` at a later time than `succeeded`, of one attempt.
    FailedAfterSucceeded,
    /// `canceled` at a later time than `succeeded`, of one attempt.
    CanceledAfterSucceeded,
    /// `expired` at a later time than `succeeded`, of one attempt.
    ExpiredAfterSucceeded,
    /// Two attempts that both succeeded: the payer was charged twice.
    PaidTwice,
    /// One attempt that succeeded with two amounts.
    AmountDiffers,
    /// More claims than are remembered of one payment. Its attempts are not told apart any more.
    AttemptsExceeded,
}

impl Conflict {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::FailedAndCanceled,
        Self::FailedAndExpired,
        Self::CanceledAndExpired,
        Self::FailedAfterSucceeded,
        Self::CanceledAfterSucceeded,
        Self::ExpiredAfterSucceeded,
        Self::PaidTwice,
        Self::AmountDiffers,
        Self::AttemptsExceeded,
    ];

    /// A stable code for metrics, logs and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailedAndCanceled => "failed_and_canceled",
            Self::FailedAndExpired => "failed_and_expired",
            Self::CanceledAndExpired => "canceled_and_expired",
            Self::FailedAfterSucceeded => "failed_after_succeeded",
            Self::CanceledAfterSucceeded => "canceled_after_succeeded",
            Self::ExpiredAfterSucceeded => "expired_after_succeeded",
            Self::PaidTwice => "paid_twice",
            Self::AmountDiffers => "amount_differs",
            Self::AttemptsExceeded => "attempts_exceeded",
        }
    }

    /// What one attempt with both these claims is in, each given as its status and whether it is the later one.
    fn of_statuses((one, one_is_later): (Status, bool), (other, other_is_later): (Status, bool)) -> Option<Self> {
        match (one, other) {
            (Status::Failed, Status::Canceled) | (Status::Canceled, Status::Failed) => Some(Self::FailedAndCanceled),
            (Status::Failed, Status::Expired) | (Status::Expired, Status::Failed) => Some(Self::FailedAndExpired),
            (Status::Canceled, Status::Expired) | (Status::Expired, Status::Canceled) => Some(Self::CanceledAndExpired),
            (closed, Status::Succeeded) if one_is_later => Self::after_succeeded(closed),
            (Status::Succeeded, closed) if other_is_later => Self::after_succeeded(closed),
            _ => None,
        }
    }

    fn after_succeeded(closed: Status) -> Option<Self> {
        match closed {
            Status::Failed => Some(Self::FailedAfterSucceeded),
            Status::Canceled => Some(Self::CanceledAfterSucceeded),
            Status::Expired => Some(Self::ExpiredAfterSucceeded),
            _ => None,
        }
    }

    /// How `one` and `other` contradict each other, if they do. Without `by_attempt` they are taken to be of one attempt
    /// where that makes a conflict.
    pub(super) fn between(one: &Claim, other: &Claim, by_attempt: bool) -> Conflicts {
        let are_of_two = match (one.transaction(), other.transaction()) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        };
        let mut found = Conflicts::NONE;
        if one.has_succeeded() && other.has_succeeded() {
            found.insert_if(Self::PaidTwice, are_of_two);
        }
        if are_of_two && by_attempt {
            return found;
        }
        if one.has_succeeded() && other.has_succeeded() {
            found.insert_if(Self::AmountDiffers, one.amount.zip(other.amount).is_some_and(|(one, other)| one != other));
        }
        let (at, other_at) = (&one.occurred_at, &other.occurred_at);
        if let Some(conflict) = Self::of_statuses((one.status, at > other_at), (other.status, other_at > at)) {
            found.insert_if(conflict, true);
        }
        found
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of [`Conflict`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conflicts(u16);

impl Conflicts {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// True if there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each conflict in the set.
    pub fn iter(self) -> impl Iterator<Item = Conflict> {
        Conflict::ALL.into_iter().filter(move |c| self.0 & c.bit() != 0)
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn insert_if(&mut self, conflict: Conflict, found: bool) {
        if found {
            self.0 |= conflict.bit();
        }
    }
}
