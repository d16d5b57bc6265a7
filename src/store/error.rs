//! What can go wrong with a store. None of it is the fault of an event.

/// Why a store did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached, read or written. It may be tried again.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// More waits than is allowed to. It may be tried again.
    #[error("store overloaded")]
    Overloaded,
    /// What is stored cannot be understood: another program's file, a newer version's, or a damaged one.
    #[error("store damaged or foreign: {0}")]
    Corrupt(String),
    /// The database does not take what one of the rows would become: a constraint or a trigger of an operator's own, a
    /// number out of range.
    #[error("store refuses a row: {0}")]
    Refused(String),
    /// It is reached in a way by which it cannot be used: settings have to be changed, here or on the way.
    #[error("store cannot be used: {0}")]
    Unfit(String),
    /// The store was closed.
    #[error("store closed")]
    Closed,
}

impl Error {
    /// Whether one row may be the cause, so that the rest may do better without it.
    #[must_use]
    pub fn may_be_of_one_row(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Refused(_))
    }
}
