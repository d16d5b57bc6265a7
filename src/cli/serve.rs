//! `serve`

use super::failure::Failure;
use crate::app;
use crate::config::Settings;

pub(super) async fn run(settings: Settings) -> Result<(), Failure> {
    app::run(settings, stop_signal()).await?;
    Ok(())
}

/// SIGTERM as orchestrators send it, SIGINT as a terminal does. Taken from here on, and not when it is first waited for: to
/// process 1 of a container a signal without a handler is lost.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let handlers = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        let (Ok(mut terminate), Ok(mut interrupt)) = handlers else {
            tracing::error!("signal handlers cannot be installed: only SIGKILL will stop this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
