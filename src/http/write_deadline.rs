//! A stream whose writes must make progress: a page that does not read must not hold memory for ever.

use std::future::Future;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep};

/// Fails with `TimedOut` once a write has waited for `limit`. Whatever is in `_kept` is dropped with the stream.
#[derive(Debug)]
pub(super) struct WriteDeadline<T, K> {
    inner: T,
    limit: Duration,
    /// Set while a write waits, so that an idle connection holds no timer.
    waiting: Option<Pin<Box<Sleep>>>,
    _kept: K,
}

impl<T, K> WriteDeadline<T, K> {
    pub(super) fn new(inner: T, limit: Duration, kept: K) -> Self {
        Self { inner, limit, waiting: None, _kept: kept }
    }

    fn bounded<R>(&mut self, polled: Poll<Result<R>>, context: &mut Context<'_>) -> Poll<Result<R>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        // A peer that always has something for us to read must not keep the time from being seen.
        match Pin::new(&mut unconstrained(waiting.as_mut())).poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the peer does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin, K: Unpin> AsyncRead for WriteDeadline<T, K> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin, K: Unpin> AsyncWrite for WriteDeadline<T, K> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bounded(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.bounded(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(context);
        self.bounded(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(context);
        self.bounded(polled, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (ours, theirs) = tokio::io::duplex(8);
        let mut stream = WriteDeadline::new(ours, Duration::from_secs(10), ());
        stream.write_all(&[0; 8]).await.unwrap();
        assert_eq!(stream.write_all(&[0; 8]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(theirs);
    }
}
