//! Threads whose end can be awaited without blocking.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::sync::mpsc;

use crate::store::Error;

/// Some threads. Dropping this lets them run on.
#[derive(Debug)]
pub(super) struct Threads {
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
    /// Each thread holds a sender and sends nothing: the channel ends with the last thread.
    ended: tokio::sync::Mutex<mpsc::Receiver<Infallible>>,
}

impl Threads {
    /// Starts a thread for each of `bodies`, all of one name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads.
    pub(super) fn start<F>(name: &str, bodies: impl IntoIterator<Item = F>) -> Result<Self, Error>
    where
        F: FnOnce() + Send + 'static,
    {
        let (running, ended) = mpsc::channel::<Infallible>(1);
        let mut handles = Vec::new();
        for body in bodies {
            let running = running.clone();
            let named = thread::Builder::new().name(name.to_owned());
            let started = named.spawn(move || {
                body();
                drop(running);
            });
            handles.push(started.map_err(|e| Error::Unavailable(format!("thread {name}: {e}")))?);
        }
        Ok(Self { handles: Mutex::new(handles), ended: tokio::sync::Mutex::new(ended) })
    }

    /// Waits until all have ended. They have to be told by other means.
    pub(super) async fn ended(&self) {
        while self.ended.lock().await.recv().await.is_some() {}
        let handles = std::mem::take(&mut *self.handles.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in handles {
            // What is left of each is no more than its last few instructions.
            if handle.join().is_err() {
                tracing::error!("store thread panicked");
            }
        }
    }
}
