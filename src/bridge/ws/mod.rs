//! `GET /v1/ws`: one socket, several orders.

mod close;
mod session;
mod subscriptions;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query as AxumQuery, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::context::Context;
use super::error::{Problem, ProblemDocument};
use super::request::{self, Query};
use session::Session;

/// The one subprotocol that is echoed. None is required.
const SUBPROTOCOL: &str = "payment-notifier.v1";
/// Nearly all frames of a page fit; a larger one is read in steps.
const READ_BUFFER_BYTES: usize = 1024;
/// What waits to be written to a page that does not read.
const WRITE_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// A frame over the limit is still read up to this, so that the page gets its answer before the close.
const OVERSIZE_FRAME_FACTOR: usize = 8;

/// Upgrades to a WebSocket. The protocol is in docs/PROTOCOL.md.
#[utoipa::path(
    get,
    path = "/v1/ws",
    tag = "payments",
    params(("ticket" = Option<String>, Query, description = "Subscribes at once; a `subscribe` frame is the better way")),
    security((), ("ticket" = [])),
    responses(
        (status = 101, description = "Switches to WebSocket"),
        (status = 400, description = "Not a WebSocket handshake", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 426, description = "Not a WebSocket handshake", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The node is draining", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn upgrade(
    State(context): State<Context>,
    query: Result<AxumQuery<Query>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        let status = rejection.status();
        let status = if status == StatusCode::METHOD_NOT_ALLOWED { StatusCode::BAD_REQUEST } else { status };
        Problem::new(status, "bad_request", rejection.body_text())
    })?;
    let query = query?.0;
    if context.tasks.is_stopping() {
        return Err(Problem::unavailable("this node is draining"));
    }
    let ticket = request::ticket(&headers, &query).map(str::to_owned);
    let frame_bytes_max = context.http.frame_bytes_max.saturating_mul(OVERSIZE_FRAME_FACTOR);
    let alive = context.tasks.token();
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_frame_size(frame_bytes_max)
        .max_message_size(frame_bytes_max)
        .on_upgrade(move |socket| async move {
            // Boxed, so that the small upgrade task does not carry the session's largest moment for ever.
            Box::pin(Session::new(context, socket).run(ticket)).await;
            drop(alive);
        }))
}
