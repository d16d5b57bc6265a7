//! `GET /v1/orders`: orders found by a number that somebody has at hand, and those of which something happened last.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::OperatorContext;
use super::orders;
use super::problems::store_problem;
use crate::http::Problem;
use crate::payment::{Key, MerchantId, OrderId};
use crate::runtime::rfc3339_ms;
use crate::store::{FoundOrders, ORDERS_MAX, OrderSummary, is_transaction_id};

/// `?number=…&transaction=…&merchant=…`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    /// An order number or the provider's.
    number: Option<String>,
    /// The provider's number.
    transaction: Option<String>,
    merchant: Option<String>,
}

pub(super) async fn list(
    State(context): State<OperatorContext>,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(SearchQuery { number, transaction, merchant }) = query?;
    let merchant_id = merchant.as_deref().map(merchant_id).transpose()?;
    let found = match (number, transaction) {
        (None, None) if merchant_id.is_none() => FoundOrders { orders: recent(&context).await?, more: false },
        (Some(number), None) => by_number(&context, &number, merchant_id.as_ref()).await?,
        (None, Some(transaction)) => by_transaction(&context, &transaction, merchant_id.as_ref()).await?,
        _ => return Err(Problem::bad_request("one of number and transaction must be set")),
    };
    Ok(Json(object(&found)))
}

pub(super) fn merchant_id(text: &str) -> Result<MerchantId, Problem> {
    MerchantId::new(text).map_err(|rule| Problem::bad_request(format!("merchant {rule}")))
}

/// The orders of which something happened last.
pub(super) async fn recent(context: &OperatorContext) -> Result<Vec<OrderSummary>, Problem> {
    context.store.recent_orders().await.map_err(store_problem)
}

/// Orders of this number and orders whose events bore it as the provider's: at least one.
pub(super) async fn by_number(
    context: &OperatorContext,
    number: &str,
    merchant_id: Option<&MerchantId>,
) -> Result<FoundOrders, Problem> {
    let mut found = of_transaction(context, number, merchant_id).await?;
    if let Ok(order_id) = OrderId::new(number) {
        let named = of_number(context, &order_id, merchant_id).await?;
        found.more |= named.more;
        for order in named.orders {
            if found.orders.iter().all(|other| other.key != order.key) {
                found.orders.push(order);
            }
        }
        found.more |= found.orders.len() > ORDERS_MAX;
        found.orders.truncate(ORDERS_MAX);
    }
    some(found, "no order has this number, and none bears it as the provider's")
}

/// Orders whose events bore this number of the provider's: at least one.
async fn by_transaction(
    context: &OperatorContext,
    transaction_id: &str,
    merchant_id: Option<&MerchantId>,
) -> Result<FoundOrders, Problem> {
    some(of_transaction(context, transaction_id, merchant_id).await?, "no order bears this number of the provider's")
}

async fn of_transaction(
    context: &OperatorContext,
    number: &str,
    merchant_id: Option<&MerchantId>,
) -> Result<FoundOrders, Problem> {
    if !is_transaction_id(number) {
        return Err(Problem::bad_request("the number must be 1 to 128 bytes without control characters"));
    }
    context.store.orders_of_transaction(number, merchant_id).await.map_err(store_problem)
}

/// Of one merchant, or of those that are looked through and the default one.
async fn of_number(
    context: &OperatorContext,
    order_id: &OrderId,
    merchant_id: Option<&MerchantId>,
) -> Result<FoundOrders, Problem> {
    let mut found = match merchant_id {
        Some(_) => FoundOrders::default(),
        None => context.store.orders_of_number(order_id).await.map_err(store_problem)?,
    };
    let default_merchant = MerchantId::new(&context.default_merchant).ok();
    let Some(merchant_id) = merchant_id.or(default_merchant.as_ref()) else { return Ok(found) };
    let key = Key::new(merchant_id.clone(), order_id.clone());
    if found.orders.iter().all(|order| order.key != key)
        && let Some(timeline) = orders::timeline(context, &key).await?
    {
        let status = timeline.payment.map(|payment| payment.status.as_str().to_owned());
        let changed_ms = timeline.entries.last().map_or(0, |entry| entry.at_ms);
        found.orders.push(OrderSummary { key, status, changed_ms });
    }
    Ok(found)
}

fn some(found: FoundOrders, nothing: &str) -> Result<FoundOrders, Problem> {
    match found {
        FoundOrders { orders, more: true } if orders.is_empty() => {
            let detail = format!("{nothing}, as far as was looked: name the merchant");
            Err(Problem::new(StatusCode::NOT_FOUND, "unknown_order", detail))
        }
        FoundOrders { orders, .. } if orders.is_empty() => {
            Err(Problem::new(StatusCode::NOT_FOUND, "unknown_order", nothing))
        }
        found => Ok(found),
    }
}

fn object(found: &FoundOrders) -> Value {
    let each = |order: &OrderSummary| {
        json!({
            "merchant_id": order.key.merchant_id,
            "order_id": order.key.order_id,
            "status": order.status,
            "changed_at": rfc3339_ms(order.changed_ms),
        })
    };
    json!({ "orders": found.orders.iter().map(each).collect::<Vec<_>>(), "more": found.more })
}
