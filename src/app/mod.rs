//! The one place where parts are built, joined, supervised and shut down in order.

mod disk_space;
mod error;
mod health;
mod lifecycle;
mod listener;
mod live;
mod opening;
mod operators;
mod periodic_jobs;
mod recording;
mod results;
mod task_groups;
mod warnings;

use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::bridge::{self, Context, PageServices};
use crate::broker;
use crate::callbacks::Accounts;
use crate::config::Settings;
use crate::demo::{self, Demo};
use crate::http::{Server, ServerOptions, Tls};
use crate::hub::Hub;
use crate::payment::{Event, MerchantId};
use crate::runtime::{Component, Health, Tasks};
use crate::store::PaymentStore;
use crate::telemetry::{self, Metrics};
use crate::tickets::{Minter, Revocations, Verifier};

pub use error::Error;
use lifecycle::Lifecycle;
use listener::bind;
use recording::Recording;
use results::ResultsOverAmqp;
use task_groups::TaskGroups;

/// The merchant of the demo where `payments.default_merchant` is not set.
const DEMO_MERCHANT: &str = "demo";
/// Orders that a page has left and may come back to within a minute. About 200 bytes each.
const ORDERS_DEPARTED_MAX: usize = 65_536;
/// For the store to end. What it has not finished by then was not acknowledged, and is delivered again.
const STORE_CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Proves, without side effects, that the service could start with these settings.
///
/// # Errors
/// What it would stumble over: a key file, a log filter, an account.
pub fn check(settings: &Settings) -> Result<(), Error> {
    Verifier::load(&settings.tickets)?;
    Tls::check(&settings.http)?;
    Accounts::load(&settings.callbacks)?;
    telemetry::logs::check(&settings.telemetry)?;
    opening::check(settings, &instance(settings))?;
    broker::Publisher::check(&settings.amqp)?;
    broker::decode::Decoder::new(&settings.payments).map_err(broker::Error::from)?;
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
    metrics.watch_health(&health);
    let served = serve(settings, &instance, &metrics, &health, stop).await;
    telemetry.shutdown().await;
    served
}

/// Begins to consume, where the store is a file on a thread that may be blocked by its disk.
fn consume(consumer: broker::Consumer, commits_to_file: bool, health: &Health, tasks: &Tasks) -> Result<(), Error> {
    let stopping = tasks.clone();
    if commits_to_file {
        let running = consumer.run_on_a_thread(stopping)?;
        health.keep("consumer", Component::Consumer, tasks, running);
    } else {
        health.keep("consumer", Component::Consumer, tasks, consumer.run(stopping));
    }
    Ok(())
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
    broker::decode::Decoder::new(&settings.payments).map_err(broker::Error::from)?;
    let tls = Tls::load(&settings.http, metrics)?.map(Arc::new);
    warnings::of_settings(&settings, &verifier);
    warnings::of_open_files(settings.http.connections_max);
    let store = opening::open(&settings, instance)?;
    let mut stop = pin!(stop);
    let Some(revoked) = opening::revocations(&store, &settings, metrics, health, stop.as_mut()).await? else {
        return close(&store).await;
    };
    let revocations = Revocations::new(settings.tickets.revocations_max, revoked);
    health.ok(Component::Store);
    metrics.set_store_available(true);
    let hub = Hub::remembering(if settings.inquiry.after.is_empty() { 0 } else { ORDERS_DEPARTED_MAX });
    let options = broker::Options::new(&settings, instance);
    let results = ResultsOverAmqp::new(&options)?;
    let publisher = results.publisher.clone();
    let dead_letters = broker::Publisher::for_dead_letters(&options)?;
    let recording = Recording::new(&settings, &options, &store, metrics)?;
    let live_sender = settings.is_live().then(|| broker::live::LiveSender::new(&settings.live, metrics.clone()));
    let consumer = broker::Consumer::new(
        options.clone(),
        broker::ConsumerParts {
            live: live_sender.clone(),
            store: Arc::clone(&store),
            hub: Arc::clone(&hub),
            publisher: dead_letters.clone(),
            timeline: recording.timeline.clone(),
            outbox_signal: recording.outbox_signal.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
        },
    )?;

    let groups = TaskGroups::default();
    let TaskGroups { consuming, serving, background, .. } = &groups;
    let publish = results::publish(results);
    let context = Context::new(PageServices {
        http: settings.http.clone(),
        api_key: settings.tickets.api_key.clone(),
        api_key_merchant_id: merchant(&settings.tickets.api_key_merchant_id),
        verifier: Arc::clone(&verifier),
        revocations,
        tell_peers: live_sender.clone().map(live::tell_peers),
        minter: Minter::new(&settings.tickets),
        accounts,
        store: Arc::clone(&store),
        hub: Arc::clone(&hub),
        publish: publish.clone(),
        notes: recording.timeline.clone(),
        outbox: recording.outbox_signal.clone(),
        metrics: metrics.clone(),
        tasks: serving.clone(),
    });
    let operators = operators::services(&settings, instance, health, &context, &dead_letters, background);
    let server = ServerOptions::new(&settings.http);
    let admin = crate::operators::router(operators);
    let admin = bind("admin.listen", settings.admin.listen, admin, &server, None, background).await?;
    let pages = bridge::router(context.clone(), demo_router(&settings, publish, admin.local_addr().ok()));
    let pages = bind("http.listen", settings.http.listen, pages, &server, Some(metrics), serving).await?;
    let pages = pages.for_pages(context.clients.clone(), context.pacing.clone(), tls.clone());
    log_addresses(&pages, &admin, instance);

    consume(consumer, settings.store.is_file(), health, consuming)?;
    live::begin(live_sender, &options, &settings.live, &context, background)?;
    health.keep("pages", Component::Node, background, pages.run(background.clone()));
    health.keep("operators", Component::Node, background, admin.run(background.clone()));
    let answer_limit = Duration::from_secs(settings.store.answer_timeout_s);
    spawn_background_jobs(verifier, tls, (Arc::clone(&store), answer_limit), metrics, health, background);
    disk_space::begin(&settings, metrics, background);
    recording.begin(&settings, hub, &groups.recording);
    let lifecycle = Lifecycle::listening(health, background);

    stop.await;
    lifecycle.draining();
    drain(Duration::from_secs(settings.http.drain_s), &groups, &[publisher, dead_letters], &store).await
}

async fn drain(
    limit: Duration,
    groups: &TaskGroups,
    publishers: &[broker::Publisher],
    store: &Arc<dyn PaymentStore>,
) -> Result<(), Error> {
    tracing::info!("draining");
    groups.end(limit, publishers).await;
    close(store).await?;
    tracing::info!("stopped");
    Ok(())
}

/// # Errors
/// [`Error::StoreNotClosed`]: a disk that hangs must not keep the process.
async fn close(store: &Arc<dyn PaymentStore>) -> Result<(), Error> {
    let closed = tokio::time::timeout(STORE_CLOSE_LIMIT, store.close()).await;
    closed.map_err(|_elapsed| Error::StoreNotClosed { limit_s: STORE_CLOSE_LIMIT.as_secs() })
}

fn log_addresses(pages: &Server, admin: &Server, instance: &str) {
    if let (Ok(http), Ok(admin)) = (pages.local_addr(), admin.local_addr()) {
        tracing::info!(%http, %admin, instance, "listening");
    }
}

/// What is looked at while the service runs: keys for tickets, the certificate, the store, and what is counted.
fn spawn_background_jobs(
    verifier: Arc<Verifier>,
    tls: Option<Arc<Tls>>,
    (store, answer_limit): (Arc<dyn PaymentStore>, Duration),
    metrics: &Metrics,
    health: &Health,
    background: &Tasks,
) {
    background.spawn(verifier.keep(background.clone(), metrics.clone()));
    if let Some(tls) = tls {
        background.spawn(tls.watch(background.clone()));
    }
    background.spawn(health::fold_metrics(metrics.clone(), background.clone()));
    background.spawn(health::watch_store(store, answer_limit, metrics.clone(), health.clone(), background.clone()));
}

/// The demo where it is switched on, else nothing.
fn demo_router(settings: &Settings, publish: demo::Publish, admin: Option<SocketAddr>) -> axum::Router {
    let merchant_id = merchant(&settings.payments.default_merchant).or_else(|| merchant(DEMO_MERCHANT));
    let Some(merchant_id) = merchant_id.filter(|_| settings.demo.enabled) else { return axum::Router::new() };
    demo::router(Demo {
        merchant_id,
        minter: Minter::new(&settings.tickets),
        publish,
        operators: admin.filter(|_| !settings.admin.token.is_set()),
        provider_url: settings.demo.provider_url.clone(),
    })
}

fn merchant(text: &str) -> Option<MerchantId> {
    MerchantId::new(text).ok()
}

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
