//! Events that cannot all be true.

use serde::{Deserialize, Serialize};

use super::{Status, Timestamp};

/// Two claims about one payment that cannot both be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conflict {
    /// Both `failed` and `canceled`.
    FailedAndCanceled,
    /// Both `failed` and `expired`.
    FailedAndExpired,
    /// Both `canceled` and `expired`.
    CanceledAndExpired,
    /// `failed` at a later time than `succeeded`.
    FailedAfterSucceeded,
    /// `canceled` at a later time than `succeeded`.
    CanceledAfterSucceeded,
    /// `expired` at a later time than `succeeded`.
    ExpiredAfterSucceeded,
}

impl Conflict {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::FailedAndCanceled,
        Self::FailedAndExpired,
        Self::CanceledAndExpired,
        Self::FailedAfterSucceeded,
        Self::CanceledAfterSucceeded,
        Self::ExpiredAfterSucceeded,
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
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A set of [`Conflict`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conflicts(u8);

impl Conflicts {
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

    fn insert_if(&mut self, conflict: Conflict, found: bool) {
        if found {
            self.0 |= conflict.bit();
        }
    }
}

/// What has to be remembered of all events so that a conflict is found whichever event of it comes first.
///
/// Each field only ever moves one way (the latest of a closed status, the earliest `succeeded`), so the set of conflicts
/// is the same for every order of arrival and only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Evidence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canceled_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expired_last: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succeeded_first: Option<Timestamp>,
}

impl Evidence {
    pub(super) fn add(&mut self, status: Status, at: &Timestamp) {
        let closed = match status {
            Status::Failed => &mut self.failed_last,
            Status::Canceled => &mut self.canceled_last,
            Status::Expired => &mut self.expired_last,
            Status::Succeeded => {
                if self.succeeded_first.as_ref().is_none_or(|first| at < first) {
                    self.succeeded_first = Some(at.clone());
                }
                return;
            }
            Status::Pending | Status::RequiresAction | Status::Processing | Status::Authorized => return,
        };
        if closed.as_ref().is_none_or(|last| at > last) {
            *closed = Some(at.clone());
        }
    }

    pub(super) fn conflicts(&self) -> Conflicts {
        let (failed, canceled, expired) = (&self.failed_last, &self.canceled_last, &self.expired_last);
        let both = |a: &Option<Timestamp>, b: &Option<Timestamp>| a.is_some() && b.is_some();
        let after = |closed: &Option<Timestamp>| match (closed, &self.succeeded_first) {
            (Some(closed), Some(succeeded)) => closed > succeeded,
            _ => false,
        };
        let mut found = Conflicts::default();
        found.insert_if(Conflict::FailedAndCanceled, both(failed, canceled));
        found.insert_if(Conflict::FailedAndExpired, both(failed, expired));
        found.insert_if(Conflict::CanceledAndExpired, both(canceled, expired));
        found.insert_if(Conflict::FailedAfterSucceeded, after(failed));
        found.insert_if(Conflict::CanceledAfterSucceeded, after(canceled));
        found.insert_if(Conflict::ExpiredAfterSucceeded, after(expired));
        found
    }
}
