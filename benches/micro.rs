//! Micro-benchmarks of what one event and one page cost inside: `cargo bench --bench micro`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench ends at the first thing that goes wrong"
)]

use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use payment_notifier::broker::decode::{Decoder, Payload};
use payment_notifier::config::Settings;
use payment_notifier::hub::{Hub, Inbox, Update};
use payment_notifier::payment::{Event, Key, MerchantId, OrderId, State};
use payment_notifier::store::{EscalatedOrders, Escalation, Options, PaymentStore, Sqlite};
use payment_notifier::tickets::{Minter, Verifier};

const KEY: &str = "payment.result.bench";
const PAGES: u32 = 15_000;
const STORED: u32 = 10_000;
const BATCHES: [u32; 3] = [1, 100, 500];

fn settings() -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "[tickets]\nhs256_secret = \"bench-only-secret-of-more-than-32-bytes\"\n").unwrap();
    payment_notifier::config::load(Some(&file)).unwrap()
}

fn body(n: u32, order: u32, status: &str) -> String {
    let (minute, second, ms) = (n / 60_000 % 60, n / 1_000 % 60, n % 1_000);
    format!(
        r#"{{"event_id":"evt-{n:08}","merchant_id":"shop","order_id":"order-{order:08}","status":"{status}","occurred_at":"2026-01-31T00:{minute:02}:{second:02}.{ms:03}Z","amount":{{"value":1999,"currency":"CNY"}},"provider":"wechat_pay","provider_status":"USERPAYING","display":{{"n":"{n:08}"}}}}"#
    )
}

fn key(order: u32) -> Key {
    Key::new(MerchantId::new("shop").unwrap(), OrderId::new(&format!("order-{order:08}")).unwrap())
}

fn payload(body: &str) -> Payload<'_> {
    Payload { routing_key: KEY, body: body.as_bytes(), message_id: None, app_id: None, timestamp: None, headers: None }
}

fn event(decoder: &Decoder, n: u32, order: u32, status: &str) -> Event {
    let body = body(n, order, status);
    let payload = payload(&body);
    decoder.decode(&payload).unwrap().event().unwrap()
}

fn decode(c: &mut Criterion) {
    let decoder = Decoder::new(&settings().payments).unwrap();
    let body = body(1, 1, "succeeded");
    c.bench_function("decode", |b| {
        let payload = payload(&body);
        b.iter(|| decoder.decode(&payload).unwrap());
    });
}

/// The fields of [`body`] in a form of their own, of about the same size: what a mapping costs beside the plain form.
fn decode_mapped(c: &mut Criterion) {
    const BODY: &str = r#"{"id":"evt-00000001","type":"payment_succeeded","time":"2026-01-31T00:00:00.001Z","content":{"object":{"payment_id":"order-00000001","status":"succeeded","amount":1999,"currency":"CNY","connector":"wechat_pay","state":"USERPAYING","metadata":{"n":"00000001"}}}}"#;
    const MAPPING: &str = r#"
        [[payments.mappings]]
        routing_key = "payment.result.*"
        when = { "/type" = ["payment_failed", "payment_succeeded"] }
        event_id = "/id"
        merchant_id = "=shop"
        order_id = "/content/object/payment_id"
        status = "/content/object/status"
        statuses = { succeeded = "succeeded", failed = "failed", requires_customer_action = "requires_action" }
        occurred_at = "/time"
        amount_value = "/content/object/amount"
        amount_currency = "/content/object/currency"
        provider = "/content/object/connector"
        provider_status = "/content/object/state"
        display = "/content/object/metadata"
    "#;
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), MAPPING).unwrap();
    let settings = payment_notifier::config::load(Some(file.path())).unwrap();
    let decoder = Decoder::new(&settings.payments).unwrap();
    let payload = payload(BODY);
    assert_eq!(decoder.explain(&payload).mapping, Some(1));
    c.bench_function("decode, mapped", |b| b.iter(|| decoder.decode(&payload).unwrap()));
}

fn merge(c: &mut Criterion) {
    let decoder = Decoder::new(&settings().payments).unwrap();
    let state = State::first(event(&decoder, 1, 1, "pending"));
    let next = event(&decoder, 2, 1, "succeeded");
    c.bench_function("merge", |b| {
        let both = || (state.clone(), next.clone());
        b.iter_batched(both, |(mut state, next)| state.merge(next), BatchSize::SmallInput);
    });
}

fn hub_publish(c: &mut Criterion) {
    let decoder = Decoder::new(&settings().payments).unwrap();
    let hub = Hub::new();
    let subscribed: Vec<_> = (0..PAGES)
        .map(|order| {
            let inbox = Inbox::new();
            let subscription = hub.subscribe(&inbox, &key(order)).unwrap();
            (inbox, subscription)
        })
        .collect();
    let payment = State::first(event(&decoder, 1, 7, "pending")).payment();
    let mut version = 0;
    c.bench_function("hub publish, 15,000 pages", |b| {
        b.iter(|| {
            version += 1;
            let payment = payment_notifier::payment::Payment { version, ..payment.clone() };
            hub.publish(&Update::stored(Arc::new(payment)))
        });
    });
    drop(subscribed);
}

fn ticket_check(c: &mut Criterion) {
    let tickets = settings().tickets;
    let (minter, verifier) = (Minter::new(&tickets).unwrap(), Verifier::load(&tickets).unwrap());
    let orders = [OrderId::new("order-00000001").unwrap()];
    let ticket = minter.mint(&MerchantId::new("shop").unwrap(), &orders, "openid", 600).unwrap().ticket;
    let runtime = runtime();
    c.bench_function("ticket check", |b| {
        b.iter(|| runtime.block_on(verifier.verify(&ticket)).unwrap());
    });
}

fn open(folder: &TempDir, timeline: bool) -> Sqlite {
    let options = Options {
        batch_events_max: 512,
        readers: 2,
        reads_waiting_max: 1_024,
        cache_kib: 16_384,
        instance: "bench-node-1".to_owned(),
        timeline,
        escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Watched },
    };
    Sqlite::open(&format!("sqlite://{}", folder.path().join("payments.db").display()), options).unwrap()
}

/// Commits of a first event an order and of a later one, with what happens to orders written down and without.
fn store(c: &mut Criterion) {
    let decoder = Decoder::new(&settings().payments).unwrap();
    let runtime = runtime();
    let mut group = c.benchmark_group("store");
    for timeline in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, timeline);
        let all = (0..STORED).map(|order| event(&decoder, order, order, "pending")).collect();
        runtime.block_on(store.apply_events(all)).unwrap();
        let name = if timeline { ", timeline" } else { "" };
        let (mut n, mut order) = (STORED, STORED);
        for events in BATCHES {
            group.throughput(Throughput::Elements(events.into()));
            let mut commit = |kind: &str, batch: &mut dyn FnMut() -> Vec<Event>| {
                group.bench_function(format!("commit of {events}, {kind}{name}"), |b| {
                    let apply = |batch| runtime.block_on(store.apply_events(batch)).unwrap();
                    b.iter_batched(&mut *batch, apply, BatchSize::PerIteration);
                });
            };
            commit("known orders", &mut || {
                n += events;
                (n - events..n).map(|n| event(&decoder, n, n * 7 % STORED, "processing")).collect()
            });
            commit("new orders", &mut || {
                order += events;
                (order - events..order).map(|order| event(&decoder, order, order, "succeeded")).collect()
            });
        }
        runtime.block_on(store.close());
    }
    read(&mut group, &runtime, &decoder);
    group.finish();
}

fn read(group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime, decoder: &Decoder) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, true);
    let all = (0..STORED).map(|order| event(decoder, order, order, "pending")).collect();
    runtime.block_on(store.apply_events(all)).unwrap();
    group.throughput(Throughput::Elements(1));
    let mut order = 0;
    group.bench_function("read", |b| {
        b.iter(|| {
            order = (order + 7_919) % STORED;
            runtime.block_on(store.read(&key(order))).unwrap().unwrap()
        });
    });
    runtime.block_on(store.close());
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

criterion_group!(micro, decode, decode_mapped, merge, hub_publish, ticket_check, store);
criterion_main!(micro);
