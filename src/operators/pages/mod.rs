//! The operators' page: HTML made here, for a person at night with a phone. Works without JavaScript; with it, what is on
//! the screen is asked for again each second.
//!
//! All texts go through maud's `html!`, which escapes them. Nothing is loaded from elsewhere.

mod dead_letters;
mod home;
mod language;
mod layout;
mod order;
mod timeline;
mod view;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::context::OperatorContext;
pub(super) use layout::refused;

const CSS: &str = include_str!("admin.css");
const ICON: &str = include_str!("icon.svg");
const SCRIPT: &str = include_str!("admin.js");

pub(super) fn router() -> Router<OperatorContext> {
    Router::new()
        .route("/", get(home::get))
        .route("/orders", get(order::find))
        .route("/orders/{merchant_id}/{order_id}", get(order::get))
        .route("/dead-letters", get(dead_letters::list))
        // Where a page that says why it did not look leads to.
        .route("/dead-letters/look", post(dead_letters::look).get(|| async { Redirect::to("/dead-letters") }))
        .route("/dead-letters/{id}", get(dead_letters::show))
        .route("/dead-letters/{id}/replay", get(dead_letters::ask).post(dead_letters::replay))
        .route("/dead-letters/{id}/discard", get(dead_letters::ask_discard).post(dead_letters::discard))
        .route_layer(from_fn(language::keep_choice))
        .route("/assets/admin.css", get(|| async { asset("text/css; charset=utf-8", CSS) }))
        .route("/assets/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .route("/assets/admin.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
}

/// Where answers are read by people.
pub(super) fn is_page(path: &str) -> bool {
    path == "/" || ["/orders", "/dead-letters"].iter().any(|page| path.starts_with(page))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}
