//! `GET /v1/payments/{order_id}`, at once or held, and `POST …/ack`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query as AxumQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::context::Context;
use super::request::{Query, authorize, path};
use super::watch::Watch;
use super::wire;
use crate::http::{Problem, ProblemDocument};
use crate::hub::Update;
use crate::payment::Key;
use crate::runtime::{Object, unix_s};
use crate::store::Acknowledgement;
use crate::telemetry::Transport;
use crate::tickets::{Refusal, Ticket};

/// Returns the current payment, or waits until its version differs from `after`.
#[utoipa::path(
    get,
    path = "/v1/payments/{order_id}",
    tag = "payments",
    params(
        ("order_id" = String, Path, description = "The merchant's order number", pattern = "^[A-Za-z0-9_.*|@-]{1,64}$"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the payment that the page has"),
        Query,
    ),
    security(("ticket" = [])),
    responses(
        (status = 200, description = "The payment; version 0 and status `unknown` if no event has arrived for the order",
            body = wire::PaymentSchema, headers(("ETag" = String, description = "The version, quoted"))),
        (status = 304, description = "The payment is still what the page has"),
        (status = 400, description = "A query value is malformed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The ticket is missing or refused", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The ticket is for another order", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "The ticket holds too many waiting pages", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The payment cannot be read at the moment", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get(
    State(context): State<Context>,
    order_id: Result<Path<String>, PathRejection>,
    query: Result<AxumQuery<Query>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (order_id, query) = (path(order_id)?, query?.0);
    let wait_s_max = context.http.wait_s_max;
    let wait_s = query.wait.unwrap_or(0);
    if wait_s > wait_s_max {
        return Err(Problem::bad_request(format!("wait must be 0 to {wait_s_max} seconds")));
    }
    let (ticket, key) = authorize(&context, &headers, &query, &order_id).await?;
    let ends_at = ticket.ends_at();
    let page = context.page(if query.after.is_some() { Transport::LongPoll } else { Transport::Poll });
    context.page_polls(page, ticket.fingerprint, &key);
    let update = match query.after {
        Some(after) if wait_s > 0 => {
            let slot = context.limiter.take(ticket.fingerprint);
            let _slot = slot.ok_or_else(|| Problem::rate_limited("this ticket holds too many waiting pages"))?;
            let until = ends_at.min(Instant::now() + Duration::from_secs(wait_s));
            hold(&context, &ticket, &key, after, until).await?
        }
        _ => context.store.read(&key).await?.map(Update::stored),
    };
    // Waiting and reading took their time.
    if Instant::now() >= ends_at {
        context.metrics.ticket_refused(Refusal::Expired.reason());
        return Err(Refusal::Expired.into());
    }
    if let Some(refusal) = context.revoked(ticket.fingerprint, &key) {
        return Err(refusal.into());
    }
    if let Some(update) = update.as_ref().filter(|update| query.after != Some(update.payment.version)) {
        context.poll_sent(page, ticket.fingerprint, update);
    }
    Ok(answer(&headers, &key, update.as_deref()))
}

/// Waits until the version is another than `after`, the time is over, the node drains or ticket or order is
/// revoked.
async fn hold(
    context: &Context,
    ticket: &Ticket,
    key: &Key,
    after: u64,
    until: Instant,
) -> Result<Option<Arc<Update>>, Problem> {
    let _waits = context.metrics.page_waits(Transport::LongPoll);
    let watch = Watch::new(context);
    let Some(watched) = watch.open(key).await? else {
        return Err(Problem::not_found());
    };
    if watched.snapshot.as_ref().map_or(0, |update| update.payment.version) != after {
        return Ok(watched.snapshot);
    }
    let drained = async {
        context.tasks.stopping().await;
        tokio::time::sleep(context.drain_delay()).await;
    };
    let changed = async {
        loop {
            // Asked first: what was revoked before this page had registered has interrupted nobody.
            if context.revocations.refusal(ticket.fingerprint, key, unix_s()).is_some() {
                return None;
            }
            if let Some(update) = watch.next().await {
                return Some(update);
            }
        }
    };
    tokio::select! {
        biased;
        () = drained => Ok(watched.snapshot),
        () = tokio::time::sleep_until(until) => Ok(watched.snapshot),
        changed = changed => Ok(changed.or(watched.snapshot)),
    }
}

fn answer(headers: &HeaderMap, key: &Key, update: Option<&Update>) -> Response {
    let version = update.map_or(0, |update| update.payment.version);
    let etag = format!("\"{version}\"");
    let mut response = if if_none_match(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let text = update.map_or_else(|| wire::unknown_text(key), |update| update.text(wire::payment_text));
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
    };
    let response_headers = response.headers_mut();
    response_headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response_headers.insert(header::ETAG, etag);
    }
    response
}

/// RFC 9110, 13.1.2: a list of tags, compared weakly, or `*`.
fn if_none_match(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

/// Acknowledges that the page has shown a version.
#[utoipa::path(
    post,
    path = "/v1/payments/{order_id}/ack",
    tag = "payments",
    params(
        ("order_id" = String, Path, description = "The merchant's order number", pattern = "^[A-Za-z0-9_.*|@-]{1,64}$"),
        ("ticket" = Option<String>, Query, description = "A ticket, for clients that cannot set headers"),
    ),
    request_body = wire::AckBody,
    security(("ticket" = [])),
    responses(
        (status = 204, description = "The version is acknowledged"),
        (status = 400, description = "The body is malformed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The ticket is missing or refused", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The ticket is for another order", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The payment has no such version", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be written at the moment", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ack(
    State(context): State<Context>,
    order_id: Result<Path<String>, PathRejection>,
    query: Result<AxumQuery<Query>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Json<Object<wire::AckBody>>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let (order_id, query) = (path(order_id)?, query?.0);
    let (_ticket, key) = authorize(&context, &headers, &query, &order_id).await?;
    let body = body?.0;
    match context.acknowledge(&key, body.version, context.page(Transport::Poll)).await? {
        Acknowledgement::NoSuchVersion => Err(no_such_version()),
        Acknowledgement::First | Acknowledgement::Known => Ok(StatusCode::NO_CONTENT),
    }
}

fn no_such_version() -> Problem {
    Problem::new(StatusCode::CONFLICT, "no_such_version", "the payment has no such version")
}
