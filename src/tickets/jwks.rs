//! A key set behind a URL. One task fetches it, so that there is never more than one fetch; tickets are checked with what
//! it has fetched meanwhile.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::keys::{LoadError, VerifyingKey, parse_jwks};
use crate::config::{Secret, Tickets};
use crate::runtime::{Tasks, last_cause};
use crate::telemetry::Metrics;

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one ticket waits for a fetch: no longer than it can take.
const WAIT_MAX: Duration = Duration::from_secs(6);
const BODY_BYTES_MAX: usize = 256 * 1024;

pub(super) struct Jwks {
    url: Secret,
    client: reqwest::Client,
    max_age: Duration,
    refetch_min: Duration,
    stale_max: Duration,
    current: RwLock<Current>,
    /// Told where no key that is known fits a ticket.
    wanted: Notify,
    fetches: watch::Sender<Fetches>,
}

#[derive(Default)]
struct Current {
    keys: Arc<Vec<VerifyingKey>>,
    fetched_at: Option<Instant>,
}

/// What there was of fetches.
#[derive(Clone, Copy, Default)]
struct Fetches {
    begun_at: Option<Instant>,
    under_way: bool,
    ended: u64,
}

impl Jwks {
    pub(super) fn new(settings: &Tickets) -> Result<Self, LoadError> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| LoadError(format!("tickets.jwks_url: {e}")))?;
        Ok(Self {
            url: settings.jwks_url.clone(),
            client,
            max_age: Duration::from_secs(settings.jwks_max_age_s),
            refetch_min: Duration::from_secs(settings.jwks_refetch_min_s),
            stale_max: Duration::from_secs(settings.jwks_stale_max_s),
            current: RwLock::default(),
            wanted: Notify::new(),
            fetches: watch::Sender::default(),
        })
    }

    /// The keys as they are known. A key server that is down turns nobody away, for as long as its last word is not too
    /// old: a key that was withdrawn meanwhile must not be good for ever.
    pub(super) fn known(&self) -> Arc<Vec<VerifyingKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match current.fetched_at {
            Some(at) if at.elapsed() < self.stale_max => Arc::clone(&current.keys),
            _ => Arc::default(),
        }
    }

    /// Waits for a fetch that may bring a key that is not known. False where there is none to wait for: the last one is
    /// too recent.
    pub(super) async fn refetched(&self) -> bool {
        let mut fetches = self.fetches.subscribe();
        let seen = *fetches.borrow_and_update();
        if !seen.under_way && !self.may_fetch(seen) {
            return false;
        }
        self.wanted.notify_one();
        let ended = fetches.wait_for(|fetches| fetches.ended > seen.ended);
        matches!(tokio::time::timeout(WAIT_MAX, ended).await, Ok(Ok(_)))
    }

    /// Fetches at once, whenever the set is old, and whenever a key is wanted that it does not have.
    pub(super) async fn keep(&self, tasks: &Tasks, metrics: &Metrics) {
        loop {
            let fetched = tokio::select! {
                biased;
                () = tasks.stopping() => return,
                fetched = self.fetch() => fetched,
            };
            metrics.key_set("url", if fetched { "ok" } else { "error" });
            let pause = if fetched { self.max_age.max(self.refetch_min) } else { self.refetch_min };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.is_wanted() => {}
                () = tasks.stopping() => return,
            }
        }
    }

    async fn is_wanted(&self) {
        loop {
            self.wanted.notified().await;
            if self.may_fetch(*self.fetches.borrow()) {
                return;
            }
        }
    }

    fn may_fetch(&self, fetches: Fetches) -> bool {
        fetches.begun_at.is_none_or(|at| at.elapsed() >= self.refetch_min)
    }

    async fn fetch(&self) -> bool {
        self.fetches.send_modify(|fetches| {
            fetches.begun_at = Some(Instant::now());
            fetches.under_way = true;
        });
        let got = self.get().await;
        let fetched = got.is_ok();
        match got {
            Ok(keys) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Current { keys: Arc::new(keys), fetched_at: Some(Instant::now()) };
            }
            Err(error) if self.known().is_empty() => {
                let url = self.url.redacted();
                tracing::error!(url, error, "key set not fetched, and there is no earlier one to use")
            }
            Err(error) => {
                let url = self.url.redacted();
                tracing::warn!(url, error, "key set not fetched, the previous one stays in use")
            }
        }
        self.fetches.send_modify(|fetches| {
            fetches.under_way = false;
            fetches.ended += 1;
        });
        fetched
    }

    async fn get(&self) -> Result<Vec<VerifyingKey>, String> {
        // The address may hold a credential, so reqwest must not repeat it.
        let failed = |e: reqwest::Error| last_cause(&e.without_url()).to_string();
        let mut response = self.client.get(self.url.expose()).send().await.map_err(failed)?;
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
