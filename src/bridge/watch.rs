//! What every transport does: the payment as it stands, then each newer version.

use std::sync::Arc;

use super::context::Context;
use crate::hub::{Inbox, Subscription, Update};
use crate::payment::Key;
use crate::store;

/// One page's view of its orders.
pub(super) struct Watch {
    context: Context,
    inbox: Arc<Inbox>,
}

/// One order of a [`Watch`], with the payment as it stood when it was opened. Dropping it ends it.
pub(super) struct Watched {
    pub(super) snapshot: Option<Arc<Update>>,
    _subscription: Subscription,
}

impl Watch {
    pub(super) fn new(context: &Context) -> Self {
        Self { context: context.clone(), inbox: Inbox::new() }
    }

    /// Registers for an order, then reads it: whatever is stored after the reading reaches the slot. Not set if the
    /// order is watched already.
    pub(super) async fn open(&self, key: &Key) -> Result<Option<Watched>, store::Error> {
        let Some(subscription) = self.register(key) else { return Ok(None) };
        let snapshot = self.read(key).await?;
        Ok(Some(Watched { snapshot, _subscription: subscription }))
    }

    /// Registers for an order, which has to be read then. Not set if it is watched already.
    pub(super) fn register(&self, key: &Key) -> Option<Subscription> {
        self.context.hub.subscribe(&self.inbox, key)
    }

    /// Reads an order, and takes what was read as sent to the page.
    pub(super) async fn read(&self, key: &Key) -> Result<Option<Arc<Update>>, store::Error> {
        let payment = self.context.store.read(key).await?;
        if let Some(payment) = &payment {
            self.inbox.mark_sent(key, payment.version);
            if payment.status.is_final() {
                self.context.hub.mark_final(key);
            }
        }
        Ok(payment.map(Update::stored))
    }

    /// The next version of any order that is newer than what the page has. Not set where the page has to look whether
    /// it may stay. One task at a time may wait.
    pub(super) fn poll_next(&self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Arc<Update>>> {
        self.inbox.poll_next(context)
    }

    /// As [`Watch::poll_next`].
    pub(super) async fn next(&self) -> Option<Arc<Update>> {
        self.inbox.next().await
    }
}
