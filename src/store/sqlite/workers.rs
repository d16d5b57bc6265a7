//! Threads that take boxed work from a bounded queue, and callers who await what comes of it without a thread of theirs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::store::Error;
use crate::store::intake::Intake;

/// What is done on a `C`, which a thread provides, and answered to whoever waits for it.
pub(super) trait Work<C>: Send {
    /// How much of a transaction's bound it takes.
    fn rows(&self) -> usize;

    /// True if nobody waits for it any more.
    fn is_forgotten(&self) -> bool;

    /// Does it. May be called again where a transaction came to nothing.
    ///
    /// # Errors
    /// Why the transaction must not be committed.
    fn attempt(&mut self, on: &mut C) -> Result<(), Error>;

    /// Tells whoever waits what the last attempt came to, or why it came to nothing.
    fn answer(self: Box<Self>, done: Result<(), Error>);
}

/// A closure as [`Work`], with where its answer goes.
pub(super) struct Job<T, F> {
    rows: usize,
    work: F,
    outcome: Option<T>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job<T, F> {
    /// `rows` are those that `work` is about. What comes of it is given by the receiver.
    pub(super) fn new(rows: usize, work: F) -> (Box<Self>, oneshot::Receiver<Result<T, Error>>) {
        let (answer, answered) = oneshot::channel();
        (Box::new(Self { rows, work, outcome: None, answer }), answered)
    }
}

impl<C, T, F> Work<C> for Job<T, F>
where
    T: Send,
    F: FnMut(&mut C) -> Result<T, Error> + Send,
{
    fn rows(&self) -> usize {
        self.rows
    }

    fn is_forgotten(&self) -> bool {
        self.answer.is_closed()
    }

    fn attempt(&mut self, on: &mut C) -> Result<(), Error> {
        self.outcome = Some((self.work)(on)?);
        Ok(())
    }

    fn answer(self: Box<Self>, done: Result<(), Error>) {
        let Self { outcome, answer, .. } = *self;
        // An answer that is dropped is a failure to who waits for it.
        if let Some(done) = done.map(|()| outcome).transpose() {
            drop(answer.send(done));
        }
    }
}

/// Where threads take work from: one takes, and the others wait for it.
pub(super) type Waiting<W> = Mutex<mpsc::Receiver<W>>;

/// Threads, and the queue before them. They end when this is dropped or closed and nothing waits.
#[derive(Debug)]
pub(super) struct Workers<W> {
    pub(super) queue: Intake<W>,
    /// Each thread holds a sender and sends nothing: the channel ends with the last thread.
    ended: Arc<tokio::sync::Mutex<mpsc::Receiver<Infallible>>>,
}

impl<W: Send + 'static> Workers<W> {
    /// Starts a thread for each of `bodies`, all of one name, before a queue of `waiting_max`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the system gives no more threads.
    pub(super) fn start<F>(name: &str, waiting_max: usize, bodies: impl IntoIterator<Item = F>) -> Result<Self, Error>
    where
        F: FnOnce(&Waiting<W>) + Send + 'static,
    {
        let (queue, waiting) = Intake::new(waiting_max);
        let (running, ended) = mpsc::channel::<Infallible>(1);
        let waiting = Arc::new(Mutex::new(waiting));
        for body in bodies {
            let (waiting, running) = (Arc::clone(&waiting), running.clone());
            let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
                body(&waiting);
                drop(running);
            });
            started.map_err(|e| Error::Unavailable(format!("thread {name}: {e}")))?;
        }
        Ok(Self { queue, ended: Arc::new(tokio::sync::Mutex::new(ended)) })
    }

    /// Waits until all threads have ended. What ends them is that the queue is closed.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let ended = Arc::clone(&self.ended);
        async move { while ended.lock().await.recv().await.is_some() {} }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &Waiting<u8>, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        queue.lock().unwrap().blocking_recv_many(&mut taken, most);
        taken
    }

    #[tokio::test]
    async fn it_refuses_beyond_its_bound_and_gives_out_in_order_until_it_is_closed_and_empty() {
        let (give, given) = std::sync::mpsc::sync_channel(1);
        let (take_now, taking) = std::sync::mpsc::sync_channel::<usize>(1);
        let body = move |queue: &Waiting<u8>| {
            while let Ok(most) = taking.recv() {
                give.send(take(queue, most)).unwrap();
            }
        };
        let workers = Workers::start("test", 2, [body]).unwrap();
        let took = |most| {
            take_now.send(most).unwrap();
            given.recv().unwrap()
        };
        assert!(workers.queue.try_push(1).is_ok() && workers.queue.push(2).await.is_ok());
        assert!(matches!(workers.queue.try_push(3), Err(Error::Overloaded)));
        assert_eq!(took(1), [1]);
        workers.queue.try_push(4).unwrap();
        assert_eq!(took(9), [2, 4]);
        workers.queue.try_push(5).unwrap();
        drop(workers.queue.close());
        assert!(
            matches!(workers.queue.try_push(6), Err(Error::Closed))
                && matches!(workers.queue.push(6).await, Err(Error::Closed))
        );
        assert_eq!(took(9), [5]);
        assert!(took(9).is_empty());
        drop(take_now);
        workers.ended().await;
    }
}
