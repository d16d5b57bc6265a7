//! `serve`

use super::failure::Failure;
use crate::app;
use crate::config::Settings;

pub(super) async fn run(settings: Settings) -> Result<(), Failure> {
    app::run(settings, stop_signal()).await?;
    Ok(())
}

/// SIGTERM as orchestrators send it, SIGINT as a terminal does.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signal handlers cannot be installed: only SIGKILL will stop this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
