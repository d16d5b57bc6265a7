//! The second listener, for operators alone: health, readiness, metrics, revocations.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::context::Context;
use super::revoke;
use super::ticket::Revocations;
use crate::runtime::{Health, unix_s};
use crate::telemetry::Metrics;

#[derive(Clone)]
struct Admin {
    health: Health,
    metrics: Metrics,
    revocations: Revocations,
}

/// `/healthz`, `/readyz`, `/metrics`, `/v1/revocations`.
pub fn router(health: Health, context: Context) -> Router {
    let metrics = context.metrics.clone();
    let revocations = Router::new().route("/v1/revocations", post(revoke::post)).with_state(context.clone());
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Admin { health, metrics, revocations: context.revocations.clone() })
        .merge(revocations)
}

/// `{"ready":false,"faults":{"broker":"connection refused"}}`
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    faults: BTreeMap<&'static str, String>,
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let faults: BTreeMap<_, _> = admin.health.faults().into_iter().map(|(part, why)| (part.as_str(), why)).collect();
    let ready = faults.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, faults })).into_response()
}

async fn render(State(admin): State<Admin>) -> Response {
    admin.metrics.set_revocations(admin.revocations.expire(unix_s()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}
