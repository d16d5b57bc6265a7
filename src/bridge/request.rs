//! What requests have in common: a ticket, an order, a query.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use super::context::Context;
use super::wire::VERSION_MAX;
use crate::http::{Problem, bearer};
use crate::payment::Key;
use crate::tickets::Ticket;

/// The query of the payment calls.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// A ticket, for clients that cannot set headers. Prefer `Authorization`: URLs are logged.
    pub(super) ticket: Option<String>,
    /// Answer once the version differs from this.
    #[param(maximum = 9007199254740991_u64)]
    #[serde(default, deserialize_with = "version")]
    pub(super) after: Option<u64>,
    /// How long to wait, in seconds.
    #[param(minimum = 0, maximum = 50)]
    pub(super) wait: Option<u64>,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let version = Option::<u64>::deserialize(deserializer)?;
    match version {
        Some(version) if version > VERSION_MAX => Err(D::Error::custom(format!("must be at most {VERSION_MAX}"))),
        version => Ok(version),
    }
}

/// The ticket of a request: from its header, else from its query.
pub(super) fn ticket<'a>(headers: &'a HeaderMap, query: &'a Query) -> Option<&'a str> {
    bearer(headers).or(query.ticket.as_deref().filter(|ticket| !ticket.is_empty()))
}

/// The payment that a request may see.
pub(super) async fn authorize(
    context: &Context,
    headers: &HeaderMap,
    query: &Query,
    order_id: &str,
) -> Result<(Ticket, Key), Problem> {
    let ticket = context.verify(ticket(headers, query)).await?;
    let key = ticket.authorize(order_id).inspect_err(|refusal| context.metrics.ticket_refused(refusal.reason()))?;
    Ok((ticket, key))
}

pub(super) fn path(order_id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(order_id) = order_id?;
    Ok(order_id)
}
