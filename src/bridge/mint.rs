//! `POST /v1/tickets`: a merchant's back end asks for a ticket with its API key.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};

use super::context::Context;
use super::wire::{OneOrMany, TicketAnswer, TicketBody};
use crate::http::{Problem, ProblemDocument, bearer};
use crate::payment::{MerchantId, OrderId};
use crate::runtime::{Object, rfc3339};

/// Mints a ticket for one page.
#[utoipa::path(
    post,
    path = "/v1/tickets",
    tag = "tickets",
    request_body = TicketBody,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "The ticket", body = TicketAnswer),
        (status = 400, description = "The body is malformed", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "The API key is missing or wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The key is bound to another merchant", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "Minting is off", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post(
    State(context): State<Context>,
    headers: HeaderMap,
    body: Result<Json<Object<TicketBody>>, JsonRejection>,
) -> Result<Json<TicketAnswer>, Problem> {
    let Some(minter) = context.minter.as_ref().filter(|_| context.api_key.is_set()) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "minting is off: tickets.api_key is not set"));
    };
    let given = bearer(&headers).unwrap_or_default();
    if !context.api_key.contains(given.as_bytes()) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "invalid_api_key", "the API key is missing or wrong"));
    }
    let Json(Object(body)) = body?;
    let merchant_id =
        MerchantId::new(&body.merchant_id).map_err(|rule| Problem::bad_request(format!("merchant_id {rule}")))?;
    if context.api_key_merchant_id.as_ref().is_some_and(|bound| *bound != merchant_id) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "the API key is for another merchant"));
    }
    let texts = match body.order_id {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    let order_ids = texts.iter().map(|text| OrderId::new(text)).collect::<Result<Vec<_>, _>>();
    let order_ids = order_ids.map_err(|rule| Problem::bad_request(format!("order_id {rule}")))?;
    let minted = minter.mint(&merchant_id, &order_ids, &body.sub, body.ttl_s)?;
    context.metrics.ticket_minted();
    Ok(Json(TicketAnswer { ticket: minted.ticket, expires_at: rfc3339(minted.expires_at_s) }))
}
