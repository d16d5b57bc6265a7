//! A key set in a file, which may be exchanged while the program runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::keys::{LoadError, VerifyingKey, parse_jwks};
use crate::runtime::{Contents, Tasks, WatchedFiles};
use crate::telemetry::Metrics;

/// Between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct KeyFile {
    path: PathBuf,
    current: RwLock<Arc<Vec<VerifyingKey>>>,
    files: tokio::sync::Mutex<WatchedFiles>,
}

impl KeyFile {
    pub(super) fn load(path: &Path) -> Result<Self, LoadError> {
        let (files, contents) = WatchedFiles::open(vec![path.to_owned()]);
        let keys = parsed(contents).map_err(|e| LoadError(format!("tickets.jwks_file: {} {e}", path.display())))?;
        Ok(Self { path: path.to_owned(), current: RwLock::new(Arc::new(keys)), files: tokio::sync::Mutex::new(files) })
    }

    pub(super) fn keys(&self) -> Arc<Vec<VerifyingKey>> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the file holds whenever that is another and can be used.
    pub(super) async fn keep(&self, tasks: &Tasks, metrics: &Metrics) {
        let mut files = self.files.lock().await;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = tasks.stopping() => return,
            }
            let Some(contents) = files.changed().await else { continue };
            match parsed(contents) {
                Ok(keys) => {
                    tracing::info!(keys = keys.len(), "key set file changed");
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                    metrics.key_set("file", "ok");
                }
                Err(error) => {
                    tracing::error!(file = %self.path.display(), error, "changed key set cannot be used, the previous one stays in use");
                    metrics.key_set("file", "error");
                }
            }
        }
    }
}

fn parsed(contents: Contents) -> Result<Vec<VerifyingKey>, String> {
    parse_jwks(contents?.first().map_or(&[], Vec::as_slice))
}
