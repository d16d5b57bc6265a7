//! `POST /v1/revocations` of the operators' listener: ends a ticket or an order for pages, at once and until a time.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::context::OperatorContext;
use super::problems::store_problem;
use crate::http::Problem;
use crate::payment::{Key, MerchantId, OrderId};
use crate::runtime::{Object, rfc3339, unix_s};
use crate::store::{Revocation, Revoked};
use crate::tickets::peek;

/// Whatever is revoked for longer has another reason to be refused by then.
const TTL_S_MAX: u64 = 366 * 24 * 3600;

/// A ticket, or an order of a merchant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    ticket: Option<String>,
    merchant_id: Option<String>,
    order_id: Option<String>,
    /// Not set: until every ticket that exists has run out. 0 lifts what was revoked.
    ttl_s: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    until: String,
}

/// Durable first, then in force for pages to come, then for those that wait. Where the store does not say whether it is
/// durable, it is in force, and the operator is told to try again.
pub(super) async fn post(
    State(context): State<OperatorContext>,
    body: Result<Json<Object<Body>>, JsonRejection>,
) -> Result<Json<Answer>, Problem> {
    let Json(Object(body)) = body?;
    let now_s = unix_s();
    let What { revoked, watched, exp_s } = what(&body)?;
    // A ticket may say that it lives longer than any may, and be good once the rest of its life is short enough.
    let lives_s = exp_s.and_then(|exp_s| u64::try_from(exp_s.saturating_sub(now_s)).ok()).unwrap_or(0);
    let default_s = lives_s.saturating_add(context.leeway_s).max(context.ticket_lifetime_s_max).min(TTL_S_MAX);
    let ttl_s = body.ttl_s.unwrap_or(default_s);
    if ttl_s > TTL_S_MAX {
        return Err(Problem::bad_request(format!("ttl_s must be 0 to {TTL_S_MAX}")));
    }
    let ttl_s = i64::try_from(ttl_s).unwrap_or(i64::MAX);
    if context.revocations.has_room(&revoked, now_s).is_err() && ttl_s > 0 {
        let detail = "tickets.revocations_max revocations are in force already";
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_revocations", detail));
    }
    let revocation = Revocation { revoked, until_s: now_s.saturating_add(ttl_s) };
    if let Err(error) = context.store.revoke(&revocation, now_s).await {
        // It may be stored all the same, and a node that is alone does not read it again before the next start: refused too
        // early is the lesser harm. What is lifted is not taken so.
        if ttl_s > 0 {
            (context.enforce_revocation)(revocation, watched);
        }
        return Err(store_problem(error));
    }
    let until = rfc3339(revocation.until_s);
    tracing::info!(what = named(&revocation.revoked), until, "revoked");
    (context.enforce_revocation)(revocation, watched);
    Ok(Json(Answer { until }))
}

struct What {
    revoked: Revoked,
    /// The orders whose pages have to look whether it concerns them.
    watched: Vec<Key>,
    /// When a ticket runs out, as it says itself. Not set for an order.
    exp_s: Option<i64>,
}

fn what(body: &Body) -> Result<What, Problem> {
    match (&body.ticket, &body.merchant_id, &body.order_id) {
        (Some(ticket), None, None) => {
            let ticket = peek(ticket.trim()).map_err(|refusal| Problem::bad_request(refusal.to_string()))?;
            let revoked = Revoked::Ticket(ticket.fingerprint);
            Ok(What { revoked, watched: ticket.keys, exp_s: Some(ticket.exp_s) })
        }
        (None, Some(merchant_id), Some(order_id)) => {
            let merchant_id =
                MerchantId::new(merchant_id).map_err(|rule| Problem::bad_request(format!("merchant_id {rule}")))?;
            let order_id = OrderId::new(order_id).map_err(|rule| Problem::bad_request(format!("order_id {rule}")))?;
            let key = Key::new(merchant_id, order_id);
            Ok(What { revoked: Revoked::Order(key.clone()), watched: vec![key], exp_s: None })
        }
        _ => Err(Problem::bad_request("send either ticket, or merchant_id and order_id")),
    }
}

fn named(revoked: &Revoked) -> String {
    match revoked {
        Revoked::Ticket(_) => "a ticket".to_owned(),
        Revoked::Order(key) => format!("order {} of {}", key.order_id, key.merchant_id),
    }
}
