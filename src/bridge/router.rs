//! Which path leads where, for pages.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use super::context::Context;
use super::error::{Problem, RefusedWith};
use super::{body, callbacks, clients, demo, mint, openapi, poll, sse, ws};

/// Everything that pages, back ends and payment providers may call.
pub fn router(context: Context, demo_enabled: bool) -> Router {
    let cors = cors(&context.http.allowed_origins);
    let mut router = Router::new()
        .route("/v1/ws", get(ws::upgrade))
        .route("/v1/payments/{order_id}", get(poll::get))
        .route("/v1/payments/{order_id}/events", get(sse::get))
        .route("/v1/payments/{order_id}/ack", post(poll::ack))
        .route("/v1/tickets", post(mint::post))
        .route("/v1/callbacks/{provider}/{merchant_id}", post(callbacks::post))
        .route("/openapi.json", get(openapi::get));
    if demo_enabled {
        router = router.merge(demo::router());
    }
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not allow that method")
        })
        .layer(DefaultBodyLimit::max(context.http.body_bytes_max))
        .layer(middleware::from_fn_with_state(context.clone(), body::whole))
        .layer(middleware::from_fn_with_state(context.clone(), clients::admit))
        .layer(middleware::from_fn_with_state(context.clone(), count_refusals))
        .layer(cors)
        .layer(SetResponseHeaderLayer::if_not_present(
            HeaderName::from_static("x-content-type-options"),
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(context)
}

async fn count_refusals(State(context): State<Context>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(RefusedWith(code)) = response.extensions().get() {
        context.metrics.refused(code);
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
