//! The one place where parts are built, joined, supervised and shut down in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::bridge::ticket::{LoadError, Minter, Revocations, Verifier};
use crate::bridge::{self, Context, Parts, ResultPublisher, Server, ServerOptions, Tls, TlsError};
use crate::broker;
use crate::callbacks::{self, Accounts};
use crate::config::{EscalatedOrders, Settings};
use crate::hub::Hub;
use crate::payment::{Event, MerchantId};
use crate::runtime::{Backoff, Health, Part, Tasks, raise_open_files, unix_s};
use crate::store::{self, PaymentStore, Sqlite};
use crate::telemetry::{self, Metrics};

/// The merchant of the demo where `payments.default_merchant` is not set.
const DEMO_MERCHANT: &str = "demo";
/// How long each part may take to end once it was told to.
const PART_STOP_LIMIT: Duration = Duration::from_secs(10);
/// For the store, the broker, the operators' listener, the runtime and connections that are being refused.
const OPEN_FILES_BESIDE_PAGES: u64 = 512;
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why the service did not start, or did not stop in order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keys for tickets cannot be loaded.
    #[error(transparent)]
    Tickets(#[from] LoadError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Accounts of payment providers cannot be loaded.
    #[error(transparent)]
    Callbacks(#[from] callbacks::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Logs or traces cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::logs::Error),
    /// The broker's address cannot be used.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// An event was not published.
    #[error(transparent)]
    Publish(#[from] broker::PublishError),
    /// An address cannot be bound.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Metrics cannot be set up.
    #[error("metrics: {0}")]
    Metrics(String),
}

/// Proves, without side effects, that the service could start with these settings.
///
/// # Errors
/// What it would stumble over: a key file, a log filter, an account.
pub fn check(settings: &Settings) -> Result<(), Error> {
    Verifier::load(&settings.tickets)?;
    Tls::check(&settings.http)?;
    Accounts::load(&settings.callbacks)?;
    telemetry::logs::check(&settings.telemetry)?;
    broker::Publisher::check(&settings.amqp)?;
    Ok(())
}

/// Publishes one event and waits for the broker's confirm.
///
/// # Errors
/// Where it was not confirmed, or no queue takes it.
pub async fn publish_one(settings: &Settings, event: &Event) -> Result<(), Error> {
    let options = broker::Options::new(settings, &instance(settings));
    let results = ResultsOverAmqp::new(&options)?;
    let published = results.send(event).await;
    results.publisher.close();
    Ok(published?)
}

/// Runs the service until `stop` is ready, then drains it.
///
/// # Errors
/// Why it could not start. Once it runs, faults show in readiness and are recovered from.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let instance = instance(&settings);
    let telemetry = telemetry::logs::init(&settings.telemetry, &instance)?;
    let metrics = Metrics::new().map_err(|error| Error::Metrics(error.to_string()))?;
    let health = Health::starting();
    metrics.tell_of(&health);
    let served = serve(settings, &instance, &metrics, &health, stop).await;
    telemetry.shutdown().await;
    served
}

async fn serve(
    settings: Settings,
    instance: &str,
    metrics: &Metrics,
    health: &Health,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let verifier = Arc::new(Verifier::load(&settings.tickets)?);
    let accounts = Accounts::load(&settings.callbacks)?;
    let tls = Tls::load(&settings.http, metrics)?.map(Arc::new);
    warn_of_settings(&settings, &verifier);
    warn_of_open_files(settings.http.connections_max);
    let store = open_store(&settings, instance)?;
    let revocations = Revocations::new(settings.tickets.revocations_max, store.revocations(unix_s()).await?);
    health.ok(Part::Store);
    metrics.set_store_available(true);
    let hub = Hub::new();
    let options = broker::Options::new(&settings, instance);
    let results = Arc::new(ResultsOverAmqp::new(&options)?);
    let publisher = results.publisher.clone();
    let consumer = broker::Consumer::new(
        options,
        broker::Parts {
            store: Arc::clone(&store),
            hub: Arc::clone(&hub),
            publisher: publisher.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
        },
    )?;

    let (consuming, serving, watching) = (Tasks::new(), Tasks::new(), Tasks::new());
    let context = Context::new(Parts {
        http: settings.http.clone(),
        api_key: settings.tickets.api_key.clone(),
        api_key_merchant_id: merchant(&settings.tickets.api_key_merchant_id),
        demo_merchant_id: merchant(&settings.payments.default_merchant).or_else(|| merchant(DEMO_MERCHANT)),
        verifier: Arc::clone(&verifier),
        revocations,
        minter: Minter::new(&settings.tickets),
        accounts,
        store: Arc::clone(&store),
        hub: Arc::clone(&hub),
        publisher: results,
        metrics: metrics.clone(),
        tasks: serving.clone(),
    });
    let options = ServerOptions::new(&settings.http);
    let pages = bridge::router(context.clone(), settings.demo.enabled);
    let pages = bind("http.listen", settings.http.listen, pages, &options, Some(metrics), &serving).await?;
    let pages = pages.for_pages(&context, tls.clone());
    let admin = bridge::admin_router(health.clone(), context);
    let admin = bind("admin.listen", settings.admin.listen, admin, &options, None, &watching).await?;
    if let (Ok(http), Ok(admin)) = (pages.local_addr(), admin.local_addr()) {
        tracing::info!(%http, %admin, instance, "listening");
    }

    consuming.spawn(consumer.run(consuming.clone()));
    watching.spawn(pages.run(watching.clone()));
    watching.spawn(admin.run(watching.clone()));
    watching.spawn(verifier.keep(watching.clone(), metrics.clone()));
    if let Some(tls) = tls {
        watching.spawn(tls.watch(watching.clone()));
    }
    watching.spawn(upkeep(metrics.clone(), watching.clone()));
    watching.spawn(watch_store(Arc::clone(&store), metrics.clone(), health.clone(), watching.clone()));
    health.ok(Part::Node);

    stop.await;
    tracing::info!("draining");
    health.fault(Part::Node, "draining");
    // What is in flight is stored and shown before the pages are asked to leave.
    end("consumer", &consuming, PART_STOP_LIMIT).await;
    end("pages", &serving, Duration::from_secs(settings.http.drain_s) + PART_STOP_LIMIT).await;
    publisher.close();
    end("admin", &watching, PART_STOP_LIMIT).await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn open_store(settings: &Settings, instance: &str) -> Result<Arc<dyn PaymentStore>, Error> {
    let Settings { store, timeline, escalation, .. } = settings;
    let options = store::Options {
        batch_events_max: store.batch_events_max,
        readers: store.readers,
        reads_waiting_max: store.reads_waiting_max,
        cache_kib: store.cache_kib,
        instance: instance.to_owned(),
        timeline: timeline.enabled,
        escalation: store::Escalation {
            after_ms: escalation.after.millis(),
            orders: match escalation.orders {
                EscalatedOrders::Watched => store::EscalatedOrders::Watched,
                EscalatedOrders::All => store::EscalatedOrders::All,
                EscalatedOrders::Off => store::EscalatedOrders::Off,
            },
        },
    };
    Ok(Arc::new(Sqlite::open(store.url.expose(), options)?))
}

async fn bind(
    key: &'static str,
    address: std::net::SocketAddr,
    router: axum::Router,
    options: &ServerOptions,
    metrics: Option<&Metrics>,
    tasks: &Tasks,
) -> Result<Server, Error> {
    let server = Server::bind(address, router, options.clone(), metrics.cloned(), tasks.clone()).await;
    server.map_err(|source| Error::Listen { key, address, source })
}

async fn end(part: &'static str, tasks: &Tasks, limit: Duration) {
    tasks.stop();
    if let Err(left) = tasks.join(limit).await {
        tracing::warn!(part, left, "tasks did not end in time");
    }
}

async fn upkeep(metrics: Metrics, tasks: Tasks) {
    loop {
        metrics.upkeep();
        tokio::select! {
            () = tokio::time::sleep(UPKEEP_INTERVAL) => {}
            () = tasks.stopping() => return,
        }
    }
}

/// Says in readiness whether the store can be written, also while nothing arrives that would show it.
async fn watch_store(store: Arc<dyn PaymentStore>, metrics: Metrics, health: Health, tasks: Tasks) {
    let mut backoff = Backoff::new(STORE_CHECK_INTERVAL, STORE_CHECK_INTERVAL);
    loop {
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = tasks.stopping() => return,
        }
        match store.check().await {
            Ok(()) => health.ok(Part::Store),
            Err(error) => health.fault(Part::Store, error.to_string()),
        }
        metrics.set_store_available(!health.faults().contains_key(&Part::Store));
    }
}

fn warn_of_settings(settings: &Settings, verifier: &Verifier) {
    if settings.demo.enabled {
        tracing::warn!("demo.enabled: anybody can mint tickets and publish payments at /demo");
    }
    if !verifier.has_keys() {
        tracing::warn!("no key for tickets is set: every page will be turned away");
    }
}

/// A connection for which there is no file left is one that waits unanswered, so the operator is told beforehand.
fn warn_of_open_files(connections_max: usize) {
    let open_files_max = raise_open_files();
    let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OPEN_FILES_BESIDE_PAGES);
    if needed > open_files_max {
        tracing::warn!(
            open_files_max,
            connections_max,
            "http.connections_max is more than the limit of open files holds"
        );
    }
}

fn merchant(text: &str) -> Option<MerchantId> {
    MerchantId::new(text).ok()
}

/// The name of this node: as set, else host name and process id.
/// The name of this node: the setting `instance`, else host name and process id.
#[must_use]
pub fn instance(settings: &Settings) -> String {
    if !settings.instance.is_empty() {
        return settings.instance.clone();
    }
    let host = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"));
    let host = host.ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    format!("{}-{}", host.as_deref().unwrap_or("node"), std::process::id())
}

/// Joins the bridge's need to publish with the broker's publisher, which do not know each other.
struct ResultsOverAmqp {
    publisher: broker::Publisher,
    exchange: String,
}

impl ResultsOverAmqp {
    fn new(options: &broker::Options) -> Result<Self, broker::Error> {
        Ok(Self { publisher: broker::Publisher::new(options)?, exchange: options.amqp.exchange.clone() })
    }

    async fn send(&self, event: &Event) -> Result<(), broker::PublishError> {
        let routing_key = format!("payment.result.{}", routing_word(event.provider.as_deref()));
        self.publisher.publish(&broker::Message::payment(&self.exchange, &routing_key, event)?).await
    }
}

/// The provider as one word of a routing key, where a dot would begin another.
fn routing_word(provider: Option<&str>) -> &str {
    let is_word = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    provider.filter(is_word).filter(|text| !text.is_empty()).unwrap_or("other")
}

#[async_trait]
impl ResultPublisher for ResultsOverAmqp {
    async fn publish(&self, event: &Event) -> Result<(), bridge::PublishError> {
        self.send(event).await.map_err(|error| {
            tracing::warn!(%error, event_id = %event.event_id, "event not published");
            match error {
                broker::PublishError::Unroutable { .. } => bridge::PublishError::Unroutable,
                broker::PublishError::TimedOut(_) | broker::PublishError::Nacked => bridge::PublishError::NotConfirmed,
                broker::PublishError::Unavailable(_)
                | broker::PublishError::TooLong(_)
                | broker::PublishError::HeadersTooLarge => bridge::PublishError::Unavailable,
            }
        })
    }
}
