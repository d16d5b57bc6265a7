//! What the operators' listener needs of whoever can reach the dead letters. `app` joins it to the broker.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

/// Which dead letters. Every condition that is set has to hold; of one that lists several values, one.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Codes, e.g. `unknown_status`.
    pub reasons: Vec<String>,
    /// Order numbers.
    pub orders: Vec<String>,
}

/// What a look has seen.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Each as an object, as `payment-notifier dead-letters list --json` has it; at most as many as were asked for.
    pub dead_letters: Vec<Value>,
    /// Of all that were selected.
    pub reasons: BTreeMap<String, u64>,
    /// Selected, listed or not.
    pub selected: u64,
    /// Ready in the queue when the look began.
    pub in_queue: u64,
    /// Of those, looked at.
    pub looked_at: u64,
}

/// What became of a replay.
#[derive(Debug, Clone)]
pub enum Replayed {
    /// Published, confirmed, and taken out of the dead letters. With its object.
    Done(Value),
    /// It came back for the same reason after its last replay, or is bad for good, and stays.
    FailedAgain(Value),
    /// It could not be published, and stays. Why, for an operator.
    Refused(Value, String),
    /// There is none with this id.
    Absent,
}

/// Why the dead letters cannot be reached: one line for an operator, without a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct DeadLettersError(pub String);

/// The dead letters, as an operator reaches them. One call at a time.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Looks, and lists at most `limit`.
    ///
    /// # Errors
    /// [`DeadLettersError`]: nothing was changed.
    async fn list(&self, selection: &Selection, limit: usize) -> Result<Listed, DeadLettersError>;

    /// All about the one with this id: headers, properties and, if asked for, the body.
    ///
    /// # Errors
    /// [`DeadLettersError`]: nothing was changed.
    async fn show(&self, id: &str, with_body: bool) -> Result<Option<Value>, DeadLettersError>;

    /// Publishes it to the results again and takes it out once that is confirmed; with `again` also what has failed again.
    ///
    /// # Errors
    /// [`DeadLettersError`]: nothing is lost; it may be published and still be here.
    async fn replay(&self, id: &str, again: bool) -> Result<Replayed, DeadLettersError>;

    /// Removes it for good and answers its object, nothing where there is none with this id.
    ///
    /// # Errors
    /// [`DeadLettersError`]: it may be gone or still be here.
    async fn discard(&self, id: &str) -> Result<Option<Value>, DeadLettersError>;
}
