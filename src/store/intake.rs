//! The way into a bounded queue, which can be closed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Error;

/// What is put in here comes out of the receiver that [`Intake::new`] gives.
#[derive(Debug)]
pub(super) struct Intake<T>(Mutex<Option<mpsc::Sender<T>>>);

impl<T> Intake<T> {
    /// At most `waiting_max` items wait.
    pub(super) fn new(waiting_max: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(waiting_max.max(1));
        (Self(Mutex::new(Some(sender))), receiver)
    }

    /// The channel's own sender.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`Intake::close`].
    pub(super) fn sender(&self) -> Result<mpsc::Sender<T>, Error> {
        self.lock().clone().ok_or(Error::Closed)
    }

    /// Puts an item in, and waits for a place.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`Intake::close`].
    pub(super) async fn push(&self, item: T) -> Result<(), Error> {
        self.sender()?.send(item).await.map_err(|_ended| Error::Closed)
    }

    /// Puts an item in, if there is a place.
    ///
    /// # Errors
    /// [`Error::Overloaded`] where as many wait as may, [`Error::Closed`] after [`Intake::close`].
    pub(super) fn try_push(&self, item: T) -> Result<(), Error> {
        self.lock().as_ref().ok_or(Error::Closed)?.try_send(item).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Closed(_) => Error::Closed,
        })
    }

    /// Takes nothing more in. The receiver ends once what this answers is dropped and nothing waits.
    pub(super) fn close(&self) -> Option<mpsc::Sender<T>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<mpsc::Sender<T>>> {
        // Nothing that runs under the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
