//! `/v1/dead-letters`: what an operator may ask of the dead letters.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::looks::LISTED_MAX;
use super::source::Selection;
use crate::http::Problem;
use crate::operators::context::OperatorContext;
use crate::runtime::{Object, rfc3339_ms, unix_ms};

/// `?reason=a,b&order=c&limit=100`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::operators) struct ListQuery {
    reason: Option<String>,
    order: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(in crate::operators) struct ListAnswer {
    queue: String,
    looked_at: String,
    in_queue: u64,
    seen: u64,
    selected: u64,
    reasons: BTreeMap<String, u64>,
    dead_letters: Vec<Value>,
}

pub(in crate::operators) async fn list(
    State(context): State<OperatorContext>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListAnswer>, Problem> {
    let Query(ListQuery { reason, order, limit }) = query?;
    let limit = limit.unwrap_or(100);
    if !(1..=LISTED_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("limit must be 1 to {LISTED_MAX}")));
    }
    let values = |text: Option<String>| {
        let parts = text.as_deref().unwrap_or_default().split(',').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let selection = Selection { reasons: values(reason), orders: values(order) };
    let listed = context.looks.list(&selection, limit).await?;
    Ok(Json(ListAnswer {
        queue: context.looks.queue().to_owned(),
        looked_at: rfc3339_ms(unix_ms()),
        in_queue: listed.in_queue,
        seen: listed.looked_at,
        selected: listed.selected,
        reasons: listed.reasons,
        dead_letters: listed.dead_letters,
    }))
}

/// `?body=true`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::operators) struct ShowQuery {
    #[serde(default)]
    pub(in crate::operators) body: bool,
}

pub(in crate::operators) async fn show(
    State(context): State<OperatorContext>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(context.looks.show(&id?.0, query?.0.body).await?))
}

/// `{"confirm":true,"again":false}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::operators) struct ReplayBody {
    confirm: bool,
    #[serde(default)]
    again: bool,
}

pub(in crate::operators) async fn replay(
    State(context): State<OperatorContext>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Json<Object<ReplayBody>>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let (Path(id), Json(Object(ReplayBody { confirm, again }))) = (id?, body?);
    if !confirm {
        return Err(not_confirmed());
    }
    let dead_letter = context.looks.replay(&id, again).await?;
    Ok(Json(json!({ "outcome": "replayed", "dead_letter": dead_letter })))
}

/// `{"confirm":true}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::operators) struct DiscardBody {
    confirm: bool,
}

pub(in crate::operators) async fn discard(
    State(context): State<OperatorContext>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Json<Object<DiscardBody>>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let (Path(id), Json(Object(DiscardBody { confirm }))) = (id?, body?);
    if !confirm {
        return Err(not_confirmed());
    }
    let dead_letter = context.looks.discard(&id).await?;
    Ok(Json(json!({ "outcome": "discarded", "dead_letter": dead_letter })))
}

pub(in crate::operators) fn not_confirmed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "not_confirmed", "this must be confirmed: set \"confirm\" to true")
}
