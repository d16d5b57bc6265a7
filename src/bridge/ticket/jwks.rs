//! A key set behind a URL: fetched when it is old, and, for a key that it does not have, again after a pause.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::LoadError;
use super::keys::{VerifyingKey, parse_jwks};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 256 * 1024;

pub(super) struct Jwks {
    url: String,
    client: reqwest::Client,
    max_age: Duration,
    refetch_min: Duration,
    current: RwLock<Current>,
    /// When the last fetch was begun. Held while one is under way, so that there is never more than one.
    fetching: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Current {
    keys: Arc<Vec<VerifyingKey>>,
    fetched_at: Option<Instant>,
}

impl Jwks {
    pub(super) fn new(url: &str, max_age: Duration, refetch_min: Duration) -> Result<Self, LoadError> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| LoadError(format!("tickets.jwks_url: {e}")))?;
        let current = RwLock::default();
        let fetching = tokio::sync::Mutex::new(None);
        Ok(Self { url: url.to_owned(), client, max_age, refetch_min, current, fetching })
    }

    /// The keys as they are known, fetched anew if they are old. If that fails the old ones stay in force: a key
    /// server that is down must not turn every page away.
    pub(super) async fn keys(&self) -> Arc<Vec<VerifyingKey>> {
        let (keys, fetched_at) = self.known();
        if fetched_at.is_some_and(|at| at.elapsed() < self.max_age) {
            return keys;
        }
        self.fetch().await
    }

    /// The keys after a fetch, unless the last one is too recent.
    pub(super) async fn fetch(&self) -> Arc<Vec<VerifyingKey>> {
        let mut begun_at = self.fetching.lock().await;
        if begun_at.is_some_and(|at: Instant| at.elapsed() < self.refetch_min) {
            return self.known().0;
        }
        *begun_at = Some(Instant::now());
        match self.get().await {
            Ok(keys) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Current { keys: Arc::new(keys), fetched_at: Some(Instant::now()) };
            }
            Err(error) => tracing::warn!(error, "key set not fetched"),
        }
        self.known().0
    }

    fn known(&self) -> (Arc<Vec<VerifyingKey>>, Option<Instant>) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&current.keys), current.fetched_at)
    }

    async fn get(&self) -> Result<Vec<VerifyingKey>, String> {
        // The address may hold a credential, so reqwest must not repeat it.
        let failed = |e: reqwest::Error| e.without_url().to_string();
        let mut response = self.client.get(&self.url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES_MAX {
                return Err(format!("larger than {BODY_BYTES_MAX} bytes"));
            }
        }
        parse_jwks(&body)
    }
}
