//! Threads for what may block.

use std::io;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Runs `future` on a thread of its own, which it may block. Its timers and sockets are those of the runtime that this is
/// called in. The answer ends with it, also by a panic.
///
/// # Errors
/// The system gives no more threads.
pub fn on_a_thread<F>(name: &str, future: F) -> io::Result<impl Future<Output = ()> + Send + 'static>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = Handle::current();
    let (running, ended) = oneshot::channel::<()>();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        runtime.block_on(future);
        drop(running);
    })?;
    Ok(async move { drop(ended.await) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_with_its_future_and_with_a_panic() {
        let (tell, told) = oneshot::channel();
        let task = async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tell.send(thread::current().name().map(str::to_owned)).unwrap();
        };
        on_a_thread("of-its-own", task).unwrap().await;
        assert_eq!(told.await.unwrap().as_deref(), Some("of-its-own"));
        on_a_thread("of-its-own", async { panic!("a test's") }).unwrap().await;
    }
}
