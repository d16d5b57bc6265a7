//! Which path leads where, for pages.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use super::context::Context;
use super::problems::CODES;
use super::{callbacks, mint, openapi, poll, sse, ws};
use crate::callbacks::Provider;
use crate::http::{self, BodyLimits, Problem, RefusedWith};
use crate::telemetry::Metrics;
use crate::tickets::Refusal;

/// Everything that pages, back ends and payment providers may call, with `more` beside it.
pub fn router(context: Context, more: Router) -> Router {
    begin_counters(&context);
    let limits = BodyLimits::new(&context.http);
    let cors = cors(&context.http.allowed_origins);
    Router::new()
        .route("/v1/ws", get(ws::upgrade))
        .route("/v1/payments/{order_id}", get(poll::get))
        .route("/v1/payments/{order_id}/events", get(sse::get))
        .route("/v1/payments/{order_id}/ack", post(poll::ack))
        .route("/v1/tickets", post(mint::post))
        .route("/v1/callbacks/{provider}/{merchant_id}", post(callbacks::post))
        .route("/openapi.json", get(openapi::get))
        .with_state(context.clone())
        .merge(more)
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(limits.bytes_max))
        .layer(middleware::from_fn_with_state(limits, http::whole_body))
        .layer(middleware::from_fn_with_state(context.clients.clone(), http::admit))
        .layer(cors)
        .layer(middleware::from_fn_with_state(context.clients.clone(), http::admit_options))
        .layer(middleware::from_fn_with_state(context.metrics.clone(), count_refusals))
        .layer(SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ))
}

/// Shows what may come to be counted as 0 from the start.
fn begin_counters(context: &Context) {
    let metrics = &context.metrics;
    metrics.begin_refusals(&CODES, &Refusal::ALL.map(Refusal::reason));
    metrics.begin_key_sets(&context.verifier.sources());
    let providers = context.accounts.providers().map(Provider::as_str).collect::<Vec<_>>();
    metrics.begin_callbacks(&providers, &callbacks::outcomes());
}

async fn count_refusals(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(RefusedWith(code)) = response.extensions().get() {
        metrics.refused(code);
    }
    response
}

fn cors(allowed_origins: &[String]) -> CorsLayer {
    let origins = allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(Duration::from_secs(600))
}
