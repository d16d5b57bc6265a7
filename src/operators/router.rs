//! Which path leads where, for operators.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use super::context::{OperatorContext, OperatorServices};
use super::dead_letters::api as dead_letters;
use super::{gate, health, orders, pages, revocations, search, status};
use crate::http::{self, BodyLimits, Problem};
use crate::runtime::{Health, unix_s};

/// Everything that operators may call. What probes ask is for anybody who reaches the listener.
pub fn router(services: OperatorServices) -> Router {
    let gate = gate::Gate::new(&services.token);
    let limits = BodyLimits::new(&services.http);
    let context = OperatorContext::new(services);
    let health = health::router(context.health.clone());
    let guarded = Router::new()
        .route("/metrics", get(render))
        .route("/v1/status", get(status::get))
        .route("/v1/orders", get(search::list))
        .route("/v1/orders/{merchant_id}/{order_id}", get(orders::get))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letters::show))
        .route("/v1/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/v1/dead-letters/{id}/discard", post(dead_letters::discard))
        .route("/v1/revocations", post(revocations::post))
        .merge(pages::router())
        .with_state(context)
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(limits.bytes_max))
        .layer(middleware::from_fn_with_state(limits, http::whole_body))
        .layer(middleware::from_fn_with_state(gate, gate::admit));
    health.merge(guarded).layer(middleware::from_fn(gate::harden))
}

/// What probes ask: all that can be said while the store has not answered yet.
pub fn starting_router(health: Health) -> Router {
    health::router(health).layer(middleware::from_fn(gate::harden))
}

async fn render(State(context): State<OperatorContext>) -> Response {
    context.metrics.set_revocations(context.revocations.expire(unix_s()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], context.metrics.render()).into_response()
}
