//! Rung where the outbox may have got something, heard where it is published.

use std::sync::Arc;

use tokio::sync::Notify;

/// Clones are one outbox_signal. What rings while nobody listens is heard once, later.
#[derive(Clone, Debug, Default)]
pub struct OutboxSignal(Arc<Notify>);

impl OutboxSignal {
    /// Costs nothing to speak of.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Ends when it rings, or at once if it has rung. For one listener.
    pub async fn notified(&self) {
        self.0.notified().await;
    }
}
