//! `/demo`: a cashier for a look around. It mints tickets and publishes payments for anybody, so it is off by default
//! and never belongs in production.

use std::net::SocketAddr;
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
use crate::payment::{
    Currency, Event, EventId, Key, MerchantId, Money, OrderId, Refund, RefundStatus, Status, Timestamp, limits,
};
use crate::runtime::{Object, rfc3339, unix_ms};
use crate::tickets::{MintError, Minter};

const TICKET_TTL_S: u64 = 900;
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; connect-src 'self' ws: wss:";
/// The longest that an event may lie back: what is out of order by more is not worth showing.
const AGO_MS_MAX: i64 = 600_000;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and text of each file of the page. `sdk.js` is the browser build of `clients/miniprogram`.
const FILES: [(&str, &str, &str); 18] = [
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
    ("/demo/compare", HTML, include_str!("compare.html")),
    ("/demo/compare.js", SCRIPT, include_str!("compare.js")),
    ("/demo/sides.js", SCRIPT, include_str!("sides.js")),
    ("/demo/compare.css", CSS, include_str!("compare.css")),
    ("/demo/compare-words.js", SCRIPT, include_str!("compare-words.js")),
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
    /// Where operators look at an order's timeline; not set where they need a token.
    pub operators: Option<SocketAddr>,
    /// Base address of the fake provider that the page may pay at; empty without one.
    pub provider_url: String,
}

/// The page, and the calls that it makes.
pub fn router(demo: Demo) -> Router {
    let csp = [CSP, &demo.provider_url].join(" ");
    let pages = FILES.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        let csp = HeaderValue::from_str(csp.trim_end()).ok();
        router.route(path, get(move || async move { file(content_type, text, csp) }))
    });
    pages
        .route("/", get(|| async { Redirect::to("/demo") }))
        .route("/demo/", get(|| async { Redirect::permanent("/demo") }))
        .route("/demo/api/about", get(about))
        .route("/demo/api/tickets", post(ticket))
        .route("/demo/api/payments", post(payment))
        .with_state(demo)
}

fn file(content_type: &'static str, text: &'static str, csp: Option<HeaderValue>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, csp.unwrap_or(HeaderValue::from_static(CSP))),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    ];
    (headers, text).into_response()
}

/// `{ "merchant_id", "operators": "127.0.0.1:9090", "provider_url": "http://…" }`; null where there is none.
async fn about(State(demo): State<Demo>) -> Response {
    let provider_url = Some(&demo.provider_url).filter(|url| !url.is_empty());
    let about = json!({ "merchant_id": demo.merchant_id, "operators": demo.operators, "provider_url": provider_url });
    Json(about).into_response()
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
    refund: Option<Object<RefundBody>>,
    /// Tells attempts apart.
    provider_transaction_id: Option<String>,
    /// Names an earlier event, so that this one repeats it.
    event_id: Option<String>,
    /// How long ago it happened.
    #[serde(default)]
    ago_ms: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    status: RefundStatus,
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
    let occurred_at = Timestamp::from_unix_ms(now_ms - body.ago_ms.clamp(0, AGO_MS_MAX));
    let occurred_at = occurred_at.map_err(|_range| Problem::internal("the clock is out of range"))?;
    let fresh = format!("demo-{now_ms}-{:08x}", rand::random::<u32>());
    let event_id = EventId::new(body.event_id.as_ref().unwrap_or(&fresh));
    let event_id = event_id.map_err(|rule| Problem::bad_request(format!("event_id {rule}")))?;
    let key = Key::new(merchant_id.clone(), order_id(&body.order_id)?);
    let mut event = Event::new(key, event_id, status, occurred_at);
    event.provider = Some("demo".into());
    event.amount = body.amount.as_deref().map(money).transpose()?;
    if let Some(Object(refund)) = &body.refund {
        event.refund = Some(Refund { status: refund.status, amount: refund.amount.as_deref().map(money).transpose()? });
    }
    if let Some(id) = &body.provider_transaction_id {
        if id.len() > limits::PROVIDER_TRANSACTION_ID_BYTES_MAX {
            return Err(Problem::bad_request("provider_transaction_id is too long".to_owned()));
        }
        event.provider_transaction_id = Some(id.as_str().into());
    }
    Ok(event)
}

fn money(amount: &AmountBody) -> Result<Money, Problem> {
    let money = Currency::new(&amount.currency).and_then(|currency| Money::new(amount.value, currency));
    money.map_err(|rule| Problem::bad_request(format!("amount {rule}")))
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
