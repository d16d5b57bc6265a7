//! A queue with a bound between async callers, who never wait to put in, and threads, who take many at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::Error;

/// First in, first out.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items_max: usize,
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(items_max: usize) -> Self {
        let inner = Inner { items: VecDeque::new(), closed: false };
        Self { items_max, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// Puts one in.
    ///
    /// # Errors
    /// [`Error::Overloaded`] where `items_max` wait, [`Error::Closed`] after [`Queue::close`].
    pub(super) fn push(&self, item: T) -> Result<(), Error> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Error::Closed);
        }
        if inner.items.len() >= self.items_max {
            return Err(Error::Overloaded);
        }
        inner.items.push_back(item);
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until there is something and takes at most `most`. Nothing once the queue is closed and empty.
    pub(super) fn take(&self, most: usize) -> Vec<T> {
        let waiting = |inner: &mut Inner<T>| inner.items.is_empty() && !inner.closed;
        let mut inner = self.changed.wait_while(self.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        let taken = inner.items.len().min(most);
        inner.items.drain(..taken).collect()
    }

    /// Takes nothing more in. What waits is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing that runs under the lock can leave the queue half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_refuses_beyond_its_bound_and_gives_out_in_order() {
        let queue = Queue::new(2);
        assert!(queue.push(1).is_ok() && queue.push(2).is_ok());
        assert!(matches!(queue.push(3), Err(Error::Overloaded)));
        assert_eq!(queue.take(1), [1]);
        assert!(queue.push(4).is_ok());
        assert_eq!(queue.take(9), [2, 4]);
    }

    #[test]
    fn closed_it_gives_out_what_waits_and_then_nothing() {
        let queue = Queue::new(2);
        assert!(queue.push(1).is_ok());
        queue.close();
        assert!(matches!(queue.push(2), Err(Error::Closed)));
        assert_eq!((queue.take(9), queue.take(9)), (vec![1], vec![]));
    }

    #[test]
    fn closing_wakes_who_waits() {
        let queue = Queue::<u8>::new(1);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| queue.take(1));
            queue.close();
            assert!(taker.join().unwrap().is_empty());
        });
    }
}
