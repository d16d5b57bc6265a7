//! The store that the settings name, and the wait for one that is away.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::listener::bind;
use crate::config::{self, Settings};
use crate::http::ServerOptions;
use crate::operators;
use crate::runtime::{Backoff, Component, Health, Tasks, unix_s};
use crate::store::{self, Bounded, EscalatedOrders, Escalation, PaymentStore, Postgres, Revocation, Sqlite, postgres};
use crate::telemetry::Metrics;

/// How long the listener of the meantime may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Proves that the store's address can be used.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(settings: &Settings, instance: &str) -> Result<(), Error> {
    if !settings.store.is_file() {
        postgres::check_address(settings.store.url.expose(), &of_postgres(settings, instance))?;
    }
    Ok(())
}

/// # Errors
/// A file that cannot be opened, an address that cannot be used. A database that is away is none.
pub(super) fn open(settings: &Settings, instance: &str) -> Result<Arc<dyn PaymentStore>, Error> {
    let url = settings.store.url.expose();
    let limit = Duration::from_secs(settings.store.answer_timeout_s);
    if !settings.store.is_file() {
        let store = Postgres::open(url, &of_postgres(settings, instance))?;
        return Ok(Arc::new(Bounded::new(store, limit)));
    }
    let options = store::Options {
        batch_events_max: settings.store.batch_events_max,
        readers: settings.store.readers,
        reads_waiting_max: settings.store.reads_waiting_max,
        cache_kib: settings.store.cache_kib,
        instance: instance.to_owned(),
        timeline: settings.timeline.enabled,
        escalation: escalation(settings),
    };
    Ok(Arc::new(Bounded::new(Sqlite::open(url, options)?, limit)))
}

fn of_postgres(settings: &Settings, instance: &str) -> postgres::Options {
    postgres::Options {
        instance: instance.to_owned(),
        connections_max: settings.store.postgres_connections_max,
        timeout_s: settings.store.postgres_timeout_s,
        reads_waiting_max: settings.store.reads_waiting_max,
        timeline: settings.timeline.enabled,
        escalation: escalation(settings),
    }
}

fn escalation(settings: &Settings) -> Escalation {
    let orders = match settings.escalation.orders {
        config::EscalatedOrders::Watched => EscalatedOrders::Watched,
        config::EscalatedOrders::All => EscalatedOrders::All,
        config::EscalatedOrders::Off => EscalatedOrders::Off,
    };
    Escalation { after_ms: settings.escalation.after.millis(), orders }
}

/// What is revoked: no page may be let in before that is known. A server that is away is waited for, and meanwhile
/// operators are told so at `admin.listen`. Not set where the service was told to stop first.
///
/// # Errors
/// A store that is no use to wait for.
pub(super) async fn revocations(
    store: &Arc<dyn PaymentStore>,
    settings: &Settings,
    metrics: &Metrics,
    health: &Health,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Vec<Revocation>>, Error> {
    let first = tokio::select! {
        first = store.revocations(unix_s()) => first,
        () = stop.as_mut() => return Ok(None),
    };
    let why = match first {
        Err(store::Error::Unavailable(why)) if !settings.store.is_file() => why,
        answer => return Ok(Some(answer?)),
    };
    health.fault(Component::Store, &why);
    metrics.set_store_available(false);
    tracing::warn!(reason = why, "the store is unavailable: pages are admitted once it answers");
    let refusing = Tasks::new();
    let router = operators::starting_router(health.clone());
    let options = ServerOptions::new(&settings.http);
    let admin = bind("admin.listen", settings.admin.listen, router, &options, None, &refusing).await?;
    if let Ok(admin) = admin.local_addr() {
        tracing::info!(%admin, "listening for operators only");
    }
    refusing.spawn(admin.run(refusing.clone()));
    let answered = tokio::select! {
        answered = until_answered(store, health) => answered.map(Some),
        () = stop.as_mut() => Ok(None),
    };
    refusing.stop();
    if let Err(left) = refusing.join(STOP_LIMIT).await {
        tracing::warn!(left, "tasks did not end in time");
    }
    answered
}

async fn until_answered(store: &Arc<dyn PaymentStore>, health: &Health) -> Result<Vec<Revocation>, Error> {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
    loop {
        tokio::time::sleep(backoff.wait()).await;
        match store.revocations(unix_s()).await {
            Err(store::Error::Unavailable(why)) => health.fault(Component::Store, why),
            answer => return Ok(answer?),
        }
    }
}
