//! `POST /v1/callbacks/{provider}/{merchant_id}`: a payment provider's own notification.
//!
//! The provider hears success only after the broker has confirmed the event; otherwise it sends again.

use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::join_all;

use super::context::Context;
use crate::callbacks::{Code, Provider, Received, Refusal, Reply, failure_reply};
use crate::http::{Problem, ProblemDocument};
use crate::payment::MerchantId;
use crate::runtime::unix_s;

/// Verifies the notification, publishes it with a confirm, and answers as that provider requires.
#[utoipa::path(
    post,
    path = "/v1/callbacks/{provider}/{merchant_id}",
    tag = "callbacks",
    params(
        ("provider" = String, Path, description = "wechat_pay, alipay, douyin or stripe"),
        ("merchant_id" = String, Path, description = "The merchant whose account it is", pattern = "^[A-Za-z0-9_.-]{1,64}$"),
    ),
    request_body(content = String, description = "The notification as the provider sends it", content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "Accepted, or not relevant", content((String = "text/plain"), (Value = "application/json"))),
        (status = 204, description = "Accepted, or not relevant"),
        (status = 400, description = "The signature is valid, but the notification cannot be parsed", content((String = "text/plain"), (Value = "application/json"))),
        (status = 401, description = "The signature is missing, invalid or too old", content((String = "text/plain"), (Value = "application/json"))),
        (status = 403, description = "The signature is valid, but the notification is for another application or seller", content((String = "text/plain"), (Value = "application/json"))),
        (status = 404, description = "No such provider, or the merchant has no account there",
            content((ProblemDocument = "application/problem+json"), (String = "text/plain"), (Value = "application/json"))),
        (status = 413, description = "The body is too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not confirmed by the broker: send again", content((String = "text/plain"), (Value = "application/json"))),
    )
)]
pub(super) async fn post(
    State(context): State<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Ok(Path((provider, merchant_id))) = path else {
        return Err(Problem::not_found());
    };
    let body = body?;
    let Ok(merchant_id) = MerchantId::new(&merchant_id) else {
        return Err(Problem::not_found());
    };
    let Some(name) = Provider::from_name(&provider).map(Provider::as_str) else {
        return Err(Problem::not_found());
    };
    let received = match context.accounts.receive(name, &merchant_id, &headers, &body, unix_s()) {
        Ok(received) => received,
        Err(refusal) => {
            return Ok(refuse(&context, name, &merchant_id, refusal));
        }
    };
    // All at once: the provider waits a few seconds for its answer, however many orders one notification pays.
    let published = join_all(received.events.into_iter().map(|event| (context.publish)(event))).await;
    if published.iter().any(Result::is_err) {
        context.metrics.callback(name, "not_published");
        return Ok(respond(failure_reply(name)));
    }
    if let Some(refusal) = received.partly_refused {
        return Ok(refuse(&context, name, &merchant_id, refusal));
    }
    context.metrics.callback(name, received.ignored.unwrap_or("published"));
    if received.ignored == Some("no_order_id") {
        tracing::info!(provider = name, %merchant_id, "callback has no order number where order_id_from says, and is ignored");
    }
    Ok(respond(received.reply))
}

fn refuse(context: &Context, provider: &'static str, merchant_id: &MerchantId, refusal: Refusal) -> Response {
    context.metrics.callback(provider, refusal.code.as_str());
    log_refusal(provider, merchant_id, &refusal);
    respond(refusal.reply)
}

/// Each value of the label `outcome`.
pub(super) fn outcomes() -> Vec<&'static str> {
    let refused = Code::ALL.into_iter().map(Code::as_str);
    ["published", "not_published"].into_iter().chain(Received::IGNORED).chain(refused).collect()
}

/// What anybody can cause is no news; what only the provider can have signed is.
fn log_refusal(provider: &str, merchant_id: &MerchantId, refusal: &Refusal) {
    let (code, detail) = (refusal.code.as_str(), refusal.detail);
    match refusal.code {
        Code::UnknownAccount | Code::BadSignature | Code::UnknownKey | Code::Probe => {
            tracing::debug!(provider, %merchant_id, code, detail, "callback refused");
        }
        Code::Stale | Code::Undecryptable | Code::Malformed | Code::Foreign => {
            tracing::warn!(provider, %merchant_id, code, detail, "callback refused");
        }
    }
}

fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body.into_owned()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}
