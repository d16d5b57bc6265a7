//! `GET /v1/status`: how this node is, for programs and for the page.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::context::OperatorContext;
use crate::runtime::{Component, Health, rfc3339_ms, unix_ms};
use crate::telemetry::{Quantiles, RecentStats};

/// `{"ready":false,"faults":{"broker":"connection refused"}}`
#[derive(Serialize)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    pub(super) faults: BTreeMap<&'static str, String>,
}

impl Readiness {
    pub(super) fn of(health: &Health) -> Self {
        Self::without(health, &[])
    }

    /// Of all parts but these.
    pub(super) fn without(health: &Health, excluded: &[Component]) -> Self {
        let faults = health.faults().into_iter().filter(|(part, _)| !excluded.contains(part));
        let faults: BTreeMap<_, _> = faults.map(|(part, why)| (part.as_str(), why)).collect();
        Self { ready: faults.is_empty(), faults }
    }
}

/// How this node is. Counts of messages are as old as `amqp.lag_interval_s` at most.
#[derive(Serialize)]
pub(super) struct Status {
    #[serde(flatten)]
    pub(super) readiness: Readiness,
    pub(super) instance: String,
    pub(super) version: &'static str,
    /// When this was looked up.
    pub(super) at: String,
    /// Messages that wait for the service; not set until the broker has said.
    pub(super) lag: Option<u64>,
    /// Messages that are ready, by queue.
    pub(super) queues: BTreeMap<String, u64>,
    pub(super) events_per_s: Rates,
    /// The last 60 s, one number a second, for the page's curve.
    #[serde(skip)]
    pub(super) events_each_s: Vec<f64>,
    pub(super) pages_waiting: BTreeMap<&'static str, u64>,
    pub(super) arrival_to_page: Percentiles,
    /// Messages that wait to be published; not set where the store cannot be read.
    pub(super) outbox_waiting: Option<u64>,
    pub(super) store: Store,
    pub(super) dead_letters: DeadLetters,
}

/// Events stored a second.
#[derive(Serialize)]
pub(super) struct Rates {
    #[serde(rename = "10s")]
    pub(super) of_10_s: f64,
    #[serde(rename = "60s")]
    pub(super) of_60_s: f64,
}

/// From the delivery to the write to the page's socket.
#[derive(Serialize)]
pub(super) struct Percentiles {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Updates sent to pages.
    pub(super) pages: u64,
    /// Over which that was.
    pub(super) window_s: u64,
}

#[derive(Serialize)]
pub(super) struct Store {
    /// Without its password.
    pub(super) url: String,
    pub(super) available: bool,
}

#[derive(Serialize)]
pub(super) struct DeadLetters {
    /// Not set until the broker has said.
    pub(super) waiting: Option<u64>,
    /// By this node since its start, by reason.
    pub(super) put_aside: BTreeMap<String, u64>,
}

impl Status {
    pub(super) async fn of(context: &OperatorContext) -> Self {
        let outbox_waiting = context.store.outbox_len().await;
        let outbox_waiting =
            outbox_waiting.inspect_err(|error| tracing::debug!(%error, "the outbox cannot be counted")).ok();
        let RecentStats {
            events_per_s_10,
            events_per_s_60,
            events_each_s,
            pages_waiting,
            queues,
            dead_lettered,
            arrival_to_page: Quantiles { p50_ms, p99_ms, pages, window_s },
        } = context.recent.summary();
        let readiness = Readiness::of(&context.health);
        Self {
            store: Store {
                url: context.store_url.clone(),
                available: !readiness.faults.contains_key(Component::Store.as_str()) && outbox_waiting.is_some(),
            },
            readiness,
            instance: context.instance.clone(),
            version: env!("CARGO_PKG_VERSION"),
            at: rfc3339_ms(unix_ms()),
            lag: queues.get(&context.results_queue).copied(),
            dead_letters: DeadLetters {
                waiting: queues.get(&context.dead_letter_queue).copied(),
                put_aside: dead_lettered,
            },
            queues,
            events_per_s: Rates { of_10_s: tenths(events_per_s_10), of_60_s: tenths(events_per_s_60) },
            events_each_s,
            pages_waiting,
            arrival_to_page: Percentiles { p50_ms: p50_ms.map(tenths), p99_ms: p99_ms.map(tenths), pages, window_s },
            outbox_waiting,
        }
    }
}

pub(super) async fn get(State(context): State<OperatorContext>) -> Json<Status> {
    Json(Status::of(&context).await)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
