//! How much room is left where the database file lies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Settings;
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// Looks until `tasks` are told to stop. A store that is a server looks after its own disk.
pub(super) fn begin(settings: &Settings, metrics: &Metrics, tasks: &Tasks) {
    if let Some(folder) = folder(settings) {
        tasks.spawn(watch(folder, metrics.clone(), tasks.clone()));
    }
}

fn folder(settings: &Settings) -> Option<PathBuf> {
    let file = Path::new(settings.store.url.expose().strip_prefix("sqlite://")?);
    Some(file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned())
}

async fn watch(folder: PathBuf, metrics: Metrics, tasks: Tasks) {
    while !tasks.is_stopping() {
        let look = look(folder.clone(), metrics.clone());
        tokio::select! {
            () = look => {}
            () = tasks.stopping() => return,
        }
        tasks.rest(LOOK_INTERVAL).await;
    }
}

/// On a thread that nothing waits for but the next look: a file system that hangs would hold up the runtime's own threads
/// and with them the shutdown.
async fn look(folder: PathBuf, metrics: Metrics) {
    let (done, looked) = oneshot::channel::<()>();
    let looking = std::thread::Builder::new().name("disk-space".to_owned()).spawn(move || {
        match rustix::fs::statvfs(&folder) {
            Ok(found) => metrics.set_store_disk(found.f_bavail, found.f_blocks, found.f_frsize),
            Err(error) => tracing::debug!(%error, "free space on the store's disk is unknown"),
        }
        drop(done);
    });
    if looking.is_ok() {
        drop(looked.await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_from;

    #[tokio::test]
    async fn the_room_where_the_file_lies_is_told_and_none_of_a_server() {
        let with = |url: &str| {
            let settings = load_from(None, vec![("PAYMENT_NOTIFIER__STORE__URL".to_owned(), url.to_owned())]).unwrap();
            folder(&settings)
        };
        assert_eq!(with("sqlite://payments.db"), Some(PathBuf::from(".")));
        assert_eq!(with("sqlite:///var/lib/p/payments.db"), Some(PathBuf::from("/var/lib/p")));
        assert_eq!(with("postgres://a@b/c"), None);

        let metrics = Metrics::new().unwrap();
        look(PathBuf::from("/nonexistent"), metrics.clone()).await;
        assert!(!metrics.render().contains("disk"));
        look(PathBuf::from("/"), metrics.clone()).await;
        let text = metrics.render();
        let value = |name: &str| {
            let line =
                text.lines().find_map(|line| line.strip_prefix(&format!("payment_notifier_store_disk_{name}_bytes ")));
            line.unwrap_or_else(|| panic!("{name}: {text}")).parse::<f64>().unwrap()
        };
        assert!(value("size") > 1e6 && value("free") <= value("size"), "{text}");
    }
}
