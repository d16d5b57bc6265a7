//! What many ask for at once, done in one piece: whatever waits while one piece of work is under way is the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::runtime::Tasks;
use crate::store::Error;
use crate::store::intake::Intake;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// A bounded queue, and the tasks that empty it.
pub(super) struct Gatherer<T> {
    pub(super) queue: Intake<T>,
    tasks: Tasks,
}

impl<T: Send + 'static> Gatherer<T> {
    /// Starts `tasks` tasks, each of which takes at most `at_once_max` of at most `waiting_max` items and does them.
    pub(super) fn start<W, F>(waiting_max: usize, tasks: usize, at_once_max: usize, work: W) -> Self
    where
        W: Fn(Vec<T>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (queue, receiver) = Intake::new(waiting_max);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        let running = Tasks::new();
        for _ in 0..tasks {
            running.spawn(gather(Arc::clone(&receiver), at_once_max, work.clone()));
        }
        Self { queue, tasks: running }
    }

    /// Takes nothing more in, and waits until what waits is done.
    pub(super) async fn close(&self, limit: Duration) {
        drop(self.queue.close());
        if let Err(left) = self.tasks.join(limit).await {
            tracing::warn!(left, "store tasks did not end in time");
        }
    }
}

async fn gather<T, W, F>(waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<T>>>, at_once_max: usize, work: W)
where
    W: Fn(Vec<T>) -> F,
    F: Future<Output = ()>,
{
    loop {
        let mut items = Vec::new();
        if waiting.lock().await.recv_many(&mut items, at_once_max).await == 0 {
            return;
        }
        work(items).await;
    }
}
