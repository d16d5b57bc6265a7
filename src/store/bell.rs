//! Rung where the outbox may have got something, heard where it is published.

use std::sync::Arc;

use tokio::sync::Notify;

/// Clones are one bell. What rings while nobody listens is heard once, later.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Costs nothing to speak of.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Ends when it rings, or at once if it has rung. For one listener.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}
