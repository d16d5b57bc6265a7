//! `GET /openapi.json`, made from the handlers themselves.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::context::Context;
use super::{callbacks, error, mint, poll, sse, wire, ws};

/// A payment as a page sees it. Absent fields are left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the text that wire makes by hand")]
pub(super) struct PaymentSchema {
    /// The merchant's order number.
    #[schema(example = "20260131-0001")]
    order_id: String,
    /// 0 for an order never heard of, then one more for each change.
    #[schema(minimum = 0)]
    version: u64,
    /// Where it stands.
    #[schema(pattern = "^(unknown|pending|requires_action|processing|authorized|succeeded|failed|canceled|expired)$")]
    status: String,
    /// True where the page may stop waiting.
    #[schema(rename = "final")]
    r#final: bool,
    /// When the deciding event happened, as the publisher wrote it: RFC 3339.
    #[schema(required = false)]
    occurred_at: Option<String>,
    /// How much.
    #[schema(required = false, nullable = false)]
    amount: Option<MoneySchema>,
    /// Who moves the money.
    #[schema(required = false, nullable = false)]
    provider: Option<String>,
    /// How far a refund is.
    #[schema(required = false, nullable = false)]
    refund: Option<RefundSchema>,
    /// Why.
    #[schema(required = false, nullable = false)]
    reason: Option<ReasonSchema>,
    /// The publisher's own JSON for the page.
    #[schema(required = false)]
    display: Option<Value>,
}

/// Minor units of an ISO 4217 currency.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes payment::Money")]
struct MoneySchema {
    #[schema(minimum = 0)]
    value: i64,
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// A refund.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes payment::Refund")]
struct RefundSchema {
    #[schema(pattern = "^(processing|partial|full)$")]
    status: String,
    #[schema(required = false, nullable = false)]
    amount: Option<MoneySchema>,
}

/// A code and a sentence.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes payment::Reason")]
struct ReasonSchema {
    #[schema(required = false, nullable = false)]
    code: Option<String>,
    #[schema(required = false, nullable = false)]
    message: Option<String>,
}

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = |description: &str| {
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build(),
            )
        };
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("ticket", bearer("A ticket: a JWT for the orders of one page"));
        components.add_security_scheme("api_key", bearer("tickets.api_key, for back ends"));
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "payment-notifier",
        description = "Delivers payment results from RabbitMQ to the pages waiting for them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(poll::get, poll::ack, sse::get, ws::upgrade, mint::post, callbacks::post),
    components(schemas(PaymentSchema, error::ProblemDocument, wire::AckBody, wire::TicketBody, wire::TicketAnswer)),
    modifiers(&Schemes)
)]
struct Document;

/// The description, with the bounds that the settings of this node give.
pub(super) async fn get(State(context): State<Context>) -> Json<Value> {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    let parameters = document.pointer_mut("/paths/~1v1~1payments~1{order_id}/get/parameters");
    for parameter in parameters.and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["name"] == "wait" {
            parameter["schema"]["maximum"] = context.http.wait_s_max.into();
        }
    }
    if let Some(minter) = &context.minter
        && let Some(ttl_s) = document.pointer_mut("/components/schemas/TicketBody/properties/ttl_s")
    {
        ttl_s["maximum"] = minter.lifetime_s_max().into();
    }
    add_refusals(&mut document);
    Json(document)
}

/// What any call may be answered, whatever it is.
fn add_refusals(document: &mut Value) {
    let paths =
        document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(|paths| paths.values_mut());
    for (method, operation) in paths.filter_map(Value::as_object_mut).flatten() {
        let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        let all = [
            ("408", "The body did not arrive in time"),
            ("429", "The client address sends requests too fast or holds too many connections"),
            ("503", "The node is overloaded or stopping"),
        ];
        for (status, description) in all.into_iter().filter(|(status, _)| *status != "408" || method == "post") {
            let schema = json!({ "$ref": "#/components/schemas/ProblemDocument" });
            let content = json!({ "application/problem+json": { "schema": schema } });
            let response = json!({ "description": description, "content": content });
            responses.entry(status).or_insert(response);
        }
    }
}
