//! Which tasks run, and how all of them are told to stop.

use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// The answer of [`Tasks::until_stopping`].
pub type Stopping = Pin<Box<WaitForCancellationFutureOwned>>;

/// The tasks of one part of the program and the token that ends them. Passed by value; clones share both.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// No task yet, and nothing told to stop.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that [`Tasks::join`] waits for. The task is not aborted: it must watch [`Tasks::stopping`].
    #[allow(clippy::disallowed_methods, reason = "this is the one place, so that no task is forgotten")]
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.tracker.spawn(task));
    }

    /// Tells all tasks to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// True once [`Tasks::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends when [`Tasks::stop`] is called.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Waits, unless told to stop.
    pub async fn rest(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stopping() => {}
        }
    }

    /// Ends when [`Tasks::stop`] is called; can be kept.
    #[must_use]
    pub fn until_stopping(&self) -> Stopping {
        Box::pin(self.stop.clone().cancelled_owned())
    }

    /// How many run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until all tasks have ended, at most `limit`.
    ///
    /// # Errors
    /// The number of tasks that still run when the time is over.
    pub async fn join(&self, limit: Duration) -> Result<(), usize> {
        self.tracker.close();
        match tokio::time::timeout(limit, self.tracker.wait()).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(self.tracker.len()),
        }
    }
}
