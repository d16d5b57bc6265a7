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
    /// The store was closed.
    #[error("store closed")]
    Closed,
}
