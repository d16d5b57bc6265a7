//! What a store answers.

use std::sync::Arc;

use super::Error;
use crate::payment::{Change, Conflicts, Payment};

/// What became of one event of a batch. With an error, which is of this event's payment alone, nothing of the event is
/// stored.
pub type Applied = Result<Outcome, Error>;

/// What became of one event, with the payment as it stands after it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the event did, also where an attempt before stored it whose answer was lost.
    pub change: Change,
    /// Conflicts that it brought to light.
    pub conflicts: Conflicts,
    /// The payment after the event.
    pub payment: Arc<Payment>,
}

/// What became of a page's acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It is the first of this version or of a later one.
    First,
    /// This version or a later one was acknowledged before.
    Known,
    /// The payment has no such version.
    NoSuchVersion,
}
