//! `/demo`: a cashier for a look around. It mints tickets and publishes payments for anybody, so it is off by default
//! and never belongs in production.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::http::Problem;
use crate::payment::{Currency, Event, EventId, Key, MerchantId, Money, OrderId, Status, Timestamp};
use crate::runtime::{Object, rfc3339, unix_ms};
use crate::tickets::{MintError, Minter};

const TICKET_TTL_S: u64 = 900;
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and text of each file of the page. `sdk.js` is the browser build of `clients/miniprogram`.
const FILES: [(&str, &str, &str); 13] = [
    ("/demo", HTML, include_str!("index.html")),
    ("/demo/demo.css", CSS, include_str!("demo.css")),
    ("/demo/sdk.js", SCRIPT, include_str!("sdk.js")),
    ("/demo/demo.js", SCRIPT, include_str!("demo.js")),
    ("/demo/wait.js", SCRIPT, include_str!("wait.js")),
    ("/demo/adapter.js", SCRIPT, include_str!("adapter.js")),
    ("/demo/stream.js", SCRIPT, include_str!("stream.js")),
    ("/demo/events.js", SCRIPT, include_str!("events.js")),
    ("/demo/frames.js", SCRIPT, include_str!("frames.js")),
    ("/demo/session.js", SCRIPT, include_str!("session.js")),
    ("/demo/shop.js", SCRIPT, include_str!("shop.js")),
    ("/demo/view.js", SCRIPT, include_str!("view.js")),
    ("/demo/words.js", SCRIPT, include_str!("words.js")),
];

/// Publishes a payment result, or says why not in words for the caller.
pub type Publish = Arc<dyn Fn(Event) -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync>;

/// What the demo works with.
#[derive(Clone)]
pub struct Demo {
    /// The merchant of the orders.
    pub merchant_id: MerchantId,
    /// Not set where there is no secret to sign tickets with.
    pub minter: Option<Minter>,
    /// How its payments come to the service.
    pub publish: Publish,
}

/// The page, and the two calls that it makes.
pub fn router(demo: Demo) -> Router {
    let pages = FILES.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        router.route(path, get(move || async move { file(content_type, text) }))
    });
    pages
        .route("/", get(|| async { Redirect::to("/demo") }))
        .route("/demo/", get(|| async { Redirect::permanent("/demo") }))
        .route("/demo/api/tickets", post(ticket))
        .route("/demo/api/payments", post(payment))
        .with_state(demo)
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP)),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketBody {
    order_id: String,
}

async fn ticket(
    State(demo): State<Demo>,
    body: Result<Json<Object<TicketBody>>, JsonRejection>,
) -> Result<Response, Problem> {
    let order_id = order_id(&body?.0.order_id)?;
    let minter = demo.minter.as_ref().ok_or_else(Problem::not_found)?;
    let minted = minter.mint(&demo.merchant_id, &[order_id], "demo", TICKET_TTL_S).map_err(not_minted)?;
    let expires_at = rfc3339(minted.expires_at_s);
    let body = json!({ "ticket": minted.ticket, "expires_at": expires_at, "merchant_id": demo.merchant_id });
    Ok(Json(body).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaymentBody {
    order_id: String,
    status: String,
    amount: Option<Object<AmountBody>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountBody {
    value: i64,
    currency: String,
}

async fn payment(
    State(demo): State<Demo>,
    body: Result<Json<Object<PaymentBody>>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Object(body)) = body?;
    let event = event(&demo.merchant_id, &body)?;
    let answer = json!({ "event_id": event.event_id });
    let published = (demo.publish)(event).await;
    published.map_err(|why| Problem::unavailable(&format!("the event was not published: {why}")))?;
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn event(merchant_id: &MerchantId, body: &PaymentBody) -> Result<Event, Problem> {
    let status: Status = body.status.parse().map_err(|rule| Problem::bad_request(format!("status {rule}")))?;
    let now_ms = unix_ms();
    let internal = || Problem::internal("the clock is out of range");
    let occurred_at = Timestamp::from_unix_ms(now_ms).map_err(|_range| internal())?;
    let event_id = EventId::new(&format!("demo-{now_ms}-{:08x}", rand::random::<u32>())).map_err(|_rule| internal())?;
    let key = Key::new(merchant_id.clone(), order_id(&body.order_id)?);
    let mut event = Event::new(key, event_id, status, occurred_at);
    event.provider = Some("demo".into());
    if let Some(amount) = &body.amount {
        let money = Currency::new(&amount.currency).and_then(|currency| Money::new(amount.value, currency));
        event.amount = Some(money.map_err(|rule| Problem::bad_request(format!("amount {rule}")))?);
    }
    Ok(event)
}

fn not_minted(error: MintError) -> Problem {
    match error {
        MintError::Signing => Problem::internal(error.to_string()),
        bounds => Problem::bad_request(bounds.to_string()),
    }
}

fn order_id(text: &str) -> Result<OrderId, Problem> {
    OrderId::new(text).map_err(|rule| Problem::bad_request(format!("order_id {rule}")))
}
