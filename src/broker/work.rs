//! Something that is under way beside other things, of which there is at most one.

use std::pin::Pin;

/// What is under way.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waits for its end, for ever where nothing is under way. Nothing is lost if this is dropped while it waits.
pub(super) async fn finished<T>(work: &mut Option<Work<'_, T>>) -> T {
    let Some(running) = work else {
        return std::future::pending().await;
    };
    let done = running.await;
    *work = None;
    done
}
