//! The eight statuses and the three ranks that order them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A status that is not one of the eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of pending, requires_action, processing, authorized, succeeded, failed, canceled, expired")]
pub struct UnknownStatus;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made, not paid yet.
    Pending,
    /// The customer has to do something (3-D Secure, a password).
    RequiresAction,
    /// The provider is working on it.
    Processing,
    /// The amount is held, not captured.
    Authorized,
    /// Money moved.
    Succeeded,
    /// The provider refused.
    Failed,
    /// Somebody called it off.
    Canceled,
    /// Not paid in time.
    Expired,
}

/// How far a status is along the way. A payment never goes to a lower rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// `pending`, `requires_action`, `processing`, `authorized`: more is to come.
    Open,
    /// `failed`, `canceled`, `expired`: final, unless money moved after all.
    Closed,
    /// `succeeded`.
    Succeeded,
}

impl Status {
    /// All eight, in the order of the contract.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::RequiresAction,
        Self::Processing,
        Self::Authorized,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::Expired,
    ];

    /// The status as publishers and pages write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::Authorized => "authorized",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    /// The rank that the merge compares first.
    #[must_use]
    pub fn rank(self) -> Rank {
        match self {
            Self::Pending | Self::RequiresAction | Self::Processing | Self::Authorized => Rank::Open,
            Self::Failed | Self::Canceled | Self::Expired => Rank::Closed,
            Self::Succeeded => Rank::Succeeded,
        }
    }

    /// True where a page may stop waiting.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.rank() > Rank::Open
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;
    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(UnknownStatus)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
