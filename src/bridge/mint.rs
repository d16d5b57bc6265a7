//! `POST /v1/tickets`: a merchant's back end asks for a ticket with its API key.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::Context;
use super::error::{Problem, ProblemDocument};
use super::request::bearer;
use super::ticket::{MintError, Minted};
use super::wire::{OneOrMany, TicketAnswer, TicketBody};
use crate::payment::{MerchantId, OrderId};
use crate::runtime::Object;

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
    Ok(Json(answer(minted)))
}

pub(super) fn answer(minted: Minted) -> TicketAnswer {
    TicketAnswer { ticket: minted.ticket, expires_at: rfc3339(minted.expires_at_s) }
}

pub(super) fn rfc3339(unix_s: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix_s).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Signing => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()),
            bounds => Self::bad_request(bounds.to_string()),
        }
    }
}
