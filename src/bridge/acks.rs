//! That pages have shown what they were sent.

use std::time::{Duration, Instant};

use super::context::Context;
use crate::payment::Key;
use crate::runtime::Backoff;
use crate::store::{Acknowledgement, Error, PageRef};

/// Less than `escalation.after` is by default.
const LATE_LIMIT: Duration = Duration::from_secs(45);
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

impl Context {
    /// Stores that a page has shown a version.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn acknowledge(&self, key: &Key, version: u64, page: PageRef) -> Result<Acknowledgement, Error> {
        let answer = self.store.acknowledge(key, version, page).await?;
        if answer == Acknowledgement::First {
            self.outbox.notify();
        }
        if answer != Acknowledgement::NoSuchVersion {
            self.metrics.page_ack(page.transport);
        }
        Ok(answer)
    }

    /// Stores it when the store can, for pages that get no answer and so do not try again.
    pub(super) fn acknowledge_later(&self, key: Key, version: u64, page: PageRef, error: Error) {
        let slot = self.late_acks.clone().try_acquire_owned();
        let Some(slot) = slot.ok().filter(|_| !error.may_be_of_one_row()) else {
            if error.may_be_of_one_row() {
                tracing::warn!(%error, order_id = %key.order_id, "page acknowledgement not stored");
            } else {
                // As many as are tried again say so later, each with a line.
                tracing::debug!(%error, order_id = %key.order_id, "page acknowledgement not stored");
            }
            return;
        };
        let context = self.clone();
        self.tasks.spawn(async move {
            let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
            let (mut error, deadline) = (error, Instant::now() + LATE_LIMIT);
            while Instant::now() < deadline {
                context.tasks.rest(backoff.wait()).await;
                match context.acknowledge(&key, version, page).await {
                    Ok(_answer) => return,
                    Err(again) => error = again,
                }
                if context.tasks.is_stopping() {
                    break;
                }
            }
            tracing::warn!(%error, order_id = %key.order_id, "page acknowledgement not stored");
            drop(slot);
        });
    }
}
