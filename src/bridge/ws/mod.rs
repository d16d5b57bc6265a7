//! `GET /v1/ws`: one socket, several orders.

mod close;
mod frame_socket;
mod handshake;
mod message_boundary;
mod session;
mod subscriptions;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query as AxumQuery, Request, State};
use axum::http::Method;
use axum::response::Response;
use hyper::upgrade::OnUpgrade;

use super::context::Context;
use super::request::{self, Query};
use crate::http::{Client, Problem, ProblemDocument};
use session::Session;

/// A frame over the limit is still read up to this, so that the page gets its answer before the close.
const OVERSIZE_FRAME_FACTOR: u32 = 8;

/// Upgrades to a WebSocket. The protocol is in docs/PROTOCOL.md.
#[utoipa::path(
    get,
    path = "/v1/ws",
    tag = "payments",
    params(("ticket" = Option<String>, Query, description = "Subscribes at once; prefer a `subscribe` frame")),
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
    client: Option<Extension<Client>>,
    query: Result<AxumQuery<Query>, QueryRejection>,
    mut request: Request,
) -> Result<Response, Problem> {
    // HEAD is served where GET is, and is no handshake.
    if request.method() != Method::GET {
        return Err(Problem::bad_request("a WebSocket handshake must be a GET request"));
    }
    let response = handshake::accept(request.version(), request.headers())?;
    let query = query?.0;
    if context.tasks.is_stopping() {
        return Err(Problem::draining(&context.pacing));
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(Problem::bad_request("this connection cannot be upgraded"));
    };
    let ticket = request::ticket(request.headers(), &query).map(str::to_owned);
    let client = client.map(|Extension(client)| client);
    let tasks = context.tasks.clone();
    tasks.clone().spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let message_bytes_max = u32::try_from(context.http.frame_bytes_max).unwrap_or(u32::MAX);
                let message_bytes_max = message_bytes_max.saturating_mul(OVERSIZE_FRAME_FACTOR);
                // A task of its own, since this one has the size of the upgrade.
                tasks.spawn(Session::new(context, upgraded, client, message_bytes_max).run(ticket));
            }
            Err(error) => tracing::debug!(%error, "connection not upgraded"),
        }
    });
    Ok(response)
}
