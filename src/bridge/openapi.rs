//! `GET /openapi.json`, made from the handlers themselves.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::context::Context;
use super::{callbacks, mint, poll, sse, wire, ws};
use crate::http::ProblemDocument;

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
    components(schemas(wire::PaymentSchema, ProblemDocument, wire::AckBody, wire::TicketBody, wire::TicketAnswer)),
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
