//! The second listener, for operators alone: health, readiness, metrics, revocations, orders' stories, dead letters, and
//! the page on which people see all that.
//!
//! [`gate`] decides who may; the handlers behind it do not ask again.

mod gate;
mod health;
mod letters;
mod orders;
mod pages;
mod status;
mod words;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use super::context::Context;
use super::error::Problem;
use super::ticket::Revocations;
use super::{body, revoke};
use crate::config::Secrets;
use crate::runtime::{Health, unix_s};
use crate::telemetry::{Metrics, Recent};
use letters::Looks;
pub use letters::{DeadLetters, LettersError, Listed, Replayed, Selection};

/// What `app` gives for the operators' listener.
#[allow(missing_docs, reason = "each is named by its type, or by its setting")]
pub struct AdminParts {
    pub health: Health,
    /// `admin.token`
    pub token: Secrets,
    /// The name of this node.
    pub instance: String,
    /// `store.url`, without its password.
    pub store: String,
    /// `amqp.queue`
    pub results_queue: String,
    /// `amqp.dead_letter_queue`
    pub dead_letter_queue: String,
    /// `payments.default_merchant`
    pub default_merchant: String,
    pub recent: Recent,
    pub letters: Arc<dyn DeadLetters>,
}

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
struct Admin {
    parts: Arc<AdminParts>,
    context: Context,
    metrics: Metrics,
    revocations: Revocations,
    looks: Looks,
}

impl std::ops::Deref for Admin {
    type Target = AdminParts;
    fn deref(&self) -> &AdminParts {
        &self.parts
    }
}

/// Everything that operators may call. What probes ask is for anybody who reaches the listener.
pub fn router(parts: AdminParts, context: Context) -> Router {
    let gate = gate::Gate::new(&parts.token);
    let looks = Looks::new(Arc::clone(&parts.letters), parts.dead_letter_queue.clone());
    let (metrics, revocations) = (context.metrics.clone(), context.revocations.clone());
    let admin = Admin { parts: Arc::new(parts), context: context.clone(), metrics, revocations, looks };
    let guarded = Router::new()
        .route("/metrics", get(render))
        .route("/v1/status", get(status::get))
        .route("/v1/orders/{merchant_id}/{order_id}", get(orders::get))
        .route("/v1/dead-letters", get(letters::list))
        .route("/v1/dead-letters/{id}", get(letters::show))
        .route("/v1/dead-letters/{id}/replay", post(letters::replay))
        .merge(pages::router())
        .with_state(admin.clone())
        .merge(Router::new().route("/v1/revocations", post(revoke::post)).with_state(context.clone()))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not allow that method")
        })
        .layer(DefaultBodyLimit::max(context.http.body_bytes_max))
        .layer(middleware::from_fn_with_state(context, body::whole))
        .layer(middleware::from_fn_with_state(gate, gate::admit));
    health::router(admin.health.clone()).merge(guarded).layer(middleware::from_fn(gate::harden))
}

/// What probes ask: all that can be said while the store has not answered yet.
pub fn starting_router(health: Health) -> Router {
    health::router(health).layer(middleware::from_fn(gate::harden))
}

async fn render(State(admin): State<Admin>) -> Response {
    admin.metrics.set_revocations(admin.revocations.expire(unix_s()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}
