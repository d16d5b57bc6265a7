//! `GET /v1/payments/{order_id}/events`: Server-Sent Events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as AxumQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::Instant;

use super::context::Context;
use super::request::{Query, authorize, path};
use super::ticket_limit::TicketSlot;
use super::watch::{Watch, Watched};
use super::wire;
use crate::http::{Problem, ProblemDocument};
use crate::hub::Update;
use crate::payment::Key;
use crate::store::PageRef;
use crate::telemetry::{GaugeGuard, Transport};
use crate::tickets::Refusal;

/// The current payment, then each newer version, as events named `payment` whose id is the version.
#[utoipa::path(
    get,
    path = "/v1/payments/{order_id}/events",
    tag = "payments",
    params(
        ("order_id" = String, Path, description = "The merchant's order number", pattern = "^[A-Za-z0-9_.*|@-]{1,64}$"),
        ("Last-Event-ID" = Option<String>, Header, description = "The version that the page has: it is not sent again"),
        ("after" = Option<u64>, Query, maximum = 9007199254740991_u64, description = "The same, for clients that cannot set headers"),
        ("ticket" = Option<String>, Query, description = "A ticket, for clients that cannot set headers"),
    ),
    security(("ticket" = [])),
    responses(
        (status = 200, description = "A stream that lasts as long as the ticket", content_type = "text/event-stream", body = String),
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
    if context.tasks.is_stopping() {
        return Err(Problem::draining(&context.pacing));
    }
    let (ticket, key) = authorize(&context, &headers, &query, &order_id).await?;
    let slot = context.limiter.take(ticket.fingerprint);
    let slot = slot.ok_or_else(|| Problem::rate_limited("this ticket holds too many waiting pages"))?;
    let watch = Watch::new(&context);
    let Some(watched) = watch.open(&key).await? else {
        return Err(Problem::not_found());
    };
    // What was revoked before this page had registered has interrupted nobody.
    if let Some(refusal) = context.revoked(ticket.fingerprint, &key) {
        return Err(refusal.into());
    }
    let page = context.page(Transport::Sse);
    context.page_waits(page, &key);
    let last_event_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let stream = Stream {
        first: Some(Snapshot { known_versions: [last_event_id, query.after] }),
        ends_at: ticket.ends_at(),
        heartbeat: Duration::from_secs(context.http.heartbeat_s),
        _waits: context.metrics.page_waits(Transport::Sse),
        drain_at: None,
        ended: false,
        page,
        slot,
        context,
        key,
        watched,
        watch,
    };
    let chunks = futures_util::stream::unfold(stream, Stream::next);
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Stream {
    context: Context,
    page: PageRef,
    key: Key,
    watch: Watch,
    watched: Watched,
    first: Option<Snapshot>,
    ends_at: Instant,
    drain_at: Option<Instant>,
    heartbeat: Duration,
    ended: bool,
    slot: TicketSlot,
    _waits: GaugeGuard,
}

struct Snapshot {
    /// By `Last-Event-ID` and by `?after=`.
    known_versions: [Option<u64>; 2],
}

impl Stream {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.ended {
            return None;
        }
        let chunk = match self.first.take() {
            Some(snapshot) => self.opening(&snapshot),
            None => self.wait().await?,
        };
        Some((Ok(Bytes::from(chunk)), self))
    }

    /// How soon to come back.
    fn retry(&self) -> String {
        format!("retry: {}\n\n", self.context.reconnect_after_ms())
    }

    /// How soon to come back, and the payment unless the page has that version.
    fn opening(&mut self, snapshot: &Snapshot) -> String {
        if let Some(refusal) = self.refusal() {
            return self.end(refusal);
        }
        let retry = self.retry();
        let update = self.watched.snapshot.take();
        let version = update.as_ref().map_or(0, |update| update.payment.version);
        if snapshot.known_versions.contains(&Some(version)) {
            return retry;
        }
        if let Some(update) = &update {
            self.context.page_sent(self.page, update);
        }
        let text = update.map_or_else(|| wire::unknown_text(&self.key), |update| update.text(wire::payment_text));
        retry + &event(version, &text)
    }

    async fn wait(&mut self) -> Option<String> {
        let heartbeat_at = Instant::now() + self.heartbeat;
        loop {
            let wake_at = heartbeat_at.min(self.ends_at).min(self.drain_at.unwrap_or(heartbeat_at));
            tokio::select! {
                // What ends the stream goes before what it could say.
                biased;
                () = self.context.tasks.stopping(), if self.drain_at.is_none() => {
                    self.drain_at = Some(Instant::now() + self.context.drain_delay());
                }
                () = tokio::time::sleep_until(wake_at) => {
                    if let Some(refusal) = self.refusal() {
                        return Some(self.end(refusal));
                    }
                    if self.drain_at.is_some_and(|at| Instant::now() >= at) {
                        self.ended = true;
                        return Some(self.retry());
                    }
                    return Some(":\n\n".to_owned());
                }
                update = self.watch.next() => match (self.refusal(), update) {
                    (Some(refusal), _) => return Some(self.end(refusal)),
                    (None, Some(update)) => return Some(self.payment_event(&update)),
                    (None, None) => {}
                },
            }
        }
    }

    /// Why nothing more may be sent to the page.
    fn refusal(&self) -> Option<Refusal> {
        if Instant::now() >= self.ends_at {
            return Some(Refusal::Expired);
        }
        self.context.revoked(self.slot.ticket(), &self.key)
    }

    /// The last event.
    fn end(&mut self, refusal: Refusal) -> String {
        self.ended = true;
        let frame = wire::error(refusal.code(), &refusal.to_string(), Some(self.key.order_id.as_str()));
        format!("event: error\ndata: {frame}\n\n")
    }

    fn payment_event(&self, update: &Arc<Update>) -> String {
        self.context.page_sent(self.page, update);
        event(update.payment.version, &update.text(wire::payment_text))
    }
}

fn event(version: u64, text: &Bytes) -> String {
    format!("id: {version}\nevent: payment\ndata: {}\n\n", std::str::from_utf8(text).unwrap_or_default())
}
