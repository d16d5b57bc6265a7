//! `/demo`: a cashier for a look around. It mints tickets and publishes payments for anybody, so it is off by default
//! and never belongs in production.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::context::Context;
use super::error::Problem;
use super::mint::answer;
use crate::payment::{Currency, Event, EventId, Key, MerchantId, Money, OrderId, Status, Timestamp};
use crate::runtime::{Object, unix_ms};

const TICKET_TTL_S: u64 = 900;
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and text of each file of the page. `sdk.js` is the browser build of `clients/miniprogram`.
const FILES: [(&str, &str, &str); 13] = [
    ("/demo", HTML, include_str!("demo/index.html")),
    ("/demo/demo.css", CSS, include_str!("demo/demo.css")),
    ("/demo/sdk.js", SCRIPT, include_str!("demo/sdk.js")),
    ("/demo/demo.js", SCRIPT, include_str!("demo/demo.js")),
    ("/demo/wait.js", SCRIPT, include_str!("demo/wait.js")),
    ("/demo/adapter.js", SCRIPT, include_str!("demo/adapter.js")),
    ("/demo/stream.js", SCRIPT, include_str!("demo/stream.js")),
    ("/demo/events.js", SCRIPT, include_str!("demo/events.js")),
    ("/demo/frames.js", SCRIPT, include_str!("demo/frames.js")),
    ("/demo/session.js", SCRIPT, include_str!("demo/session.js")),
    ("/demo/shop.js", SCRIPT, include_str!("demo/shop.js")),
    ("/demo/view.js", SCRIPT, include_str!("demo/view.js")),
    ("/demo/words.js", SCRIPT, include_str!("demo/words.js")),
];

pub(super) fn router() -> Router<Context> {
    let pages = FILES.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        router.route(path, get(move || async move { file(content_type, text) }))
    });
    pages
        .route("/demo/", get(|| async { Redirect::permanent("/demo") }))
        .route("/demo/api/tickets", post(ticket))
        .route("/demo/api/payments", post(payment))
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
    State(context): State<Context>,
    body: Result<Json<Object<TicketBody>>, JsonRejection>,
) -> Result<Response, Problem> {
    let order_id = order_id(&body?.0.order_id)?;
    let (Some(minter), Some(merchant_id)) = (&context.minter, &context.demo_merchant_id) else {
        return Err(Problem::not_found());
    };
    let answer = answer(minter.mint(merchant_id, &[order_id], "demo", TICKET_TTL_S)?);
    let body = json!({ "ticket": answer.ticket, "expires_at": answer.expires_at, "merchant_id": merchant_id });
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
    State(context): State<Context>,
    body: Result<Json<Object<PaymentBody>>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Object(body)) = body?;
    let Some(merchant_id) = &context.demo_merchant_id else {
        return Err(Problem::not_found());
    };
    let event = event(merchant_id, &body)?;
    context.publisher.publish(&event).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "event_id": event.event_id }))).into_response())
}

fn event(merchant_id: &MerchantId, body: &PaymentBody) -> Result<Event, Problem> {
    let status: Status = body.status.parse().map_err(|rule| Problem::bad_request(format!("status {rule}")))?;
    let now_ms = unix_ms();
    let internal = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the clock is out of range");
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

fn order_id(text: &str) -> Result<OrderId, Problem> {
    OrderId::new(text).map_err(|rule| Problem::bad_request(format!("order_id {rule}")))
}
