//! What this side needs of whoever can publish payment results. `app` joins it to the broker.

use async_trait::async_trait;

use crate::payment::Event;

/// Why an event was not published.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// No queue is bound for it.
    #[error("no queue takes it")]
    Unroutable,
    /// No confirm in time, or a negative one.
    #[error("not confirmed by the broker")]
    NotConfirmed,
    /// The broker cannot be reached.
    #[error("the broker cannot be reached")]
    Unavailable,
}

/// Publishes payment results: mandatory, persistent, confirmed.
#[async_trait]
pub trait ResultPublisher: Send + Sync + 'static {
    /// Answers when the broker has confirmed.
    ///
    /// # Errors
    /// [`PublishError`] if it has not; the event may then have been taken or not.
    async fn publish(&self, event: &Event) -> Result<(), PublishError>;
}
