//! Contract section 1: the three forms of a body, with whatever properties real publishers set or leave out.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::support::events::second;
use crate::support::publisher::headers;
use crate::support::{DeadLetters, MERCHANT, Publisher, Service, Setup, event, ticket, tools};

fn none() -> BasicProperties {
    BasicProperties::default()
}

/// The event without the fields that an envelope carries instead.
fn without(mut event: Value, fields: &[&str]) -> Value {
    for field in fields {
        event.as_object_mut().unwrap().remove(*field);
    }
    event
}

async fn assert_succeeded(service: &Service, order_id: &str) -> Value {
    service.payment_with_status(order_id, &ticket(order_id), "succeeded").await
}

#[tokio::test]
async fn the_plain_form_is_found_whatever_the_properties_say() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let spring = headers(&[("__TypeId__", "com.example.PaymentResult"), ("__ContentTypeId__", "java.lang.Object")]);
    let odd_headers = {
        let mut table = headers(&[("traceparent", "not a traceparent"), ("cloudEvents", "no prefix"), ("", "no name")]);
        table.insert("x-table".into(), AMQPValue::FieldTable(headers(&[("a", "b")])));
        table.insert("x-void".into(), AMQPValue::Void);
        table.insert("timestamp_in_ms".into(), AMQPValue::LongString("not a number".into()));
        table
    };
    let empty = none()
        .with_content_type("".into())
        .with_content_encoding("".into())
        .with_message_id("".into())
        .with_correlation_id("".into())
        .with_app_id("".into())
        .with_type("".into());
    let cases = [
        ("none", none()),
        ("text", none().with_content_type("text/plain".into()).with_content_encoding("UTF-8".into())),
        ("octets", none().with_content_type("application/octet-stream".into())),
        ("json", none().with_content_type("application/json; charset=utf-8".into()).with_delivery_mode(2)),
        ("java", none().with_content_type("application/x-java-serialized-object".into())),
        ("nonsense", none().with_content_type("///;;;".into())),
        ("spring", none().with_content_type("application/json".into()).with_headers(spring)),
        ("odd-headers", none().with_headers(odd_headers)),
        ("empty-strings", empty),
        ("priority", none().with_priority(9).with_expiration("600000".into()).with_delivery_mode(1)),
    ];
    for (name, properties) in &cases {
        publisher.publish_bytes(event(name, "succeeded").to_string().as_bytes(), properties.clone()).await;
    }
    for (name, _) in &cases {
        assert_succeeded(&service, name).await;
    }
}

#[tokio::test]
async fn the_bytes_of_a_body_may_be_odd_as_long_as_they_are_json() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let with_bom = format!("\u{feff}{}", event("bom", "succeeded"));
    let pretty = format!("\r\n{}\n\n", serde_json::to_string_pretty(&event("pretty", "succeeded")).unwrap());
    let escaped = event("escaped", "succeeded").to_string().replace("succeeded", "succe\\u0065ded");
    let mut unknown_fields = event("unknown-fields", "succeeded");
    unknown_fields["schema"] = json!({ "version": [1, 2, 3] });
    unknown_fields["openid"] = json!("a payer");
    let mut empty_strings = event("empty-strings", "succeeded");
    for field in ["provider", "provider_transaction_id", "provider_status"] {
        empty_strings[field] = json!("");
    }
    empty_strings["reason"] = json!({ "code": "", "message": "" });
    let mut nulls = event("nulls", "succeeded");
    for field in ["amount", "provider", "refund", "reason", "display"] {
        nulls[field] = Value::Null;
    }
    let bodies = [with_bom, pretty, escaped, unknown_fields.to_string(), empty_strings.to_string(), nulls.to_string()];
    for body in &bodies {
        publisher.publish_bytes(body.as_bytes(), none()).await;
    }
    for order_id in ["bom", "pretty", "escaped", "unknown-fields"] {
        assert_succeeded(&service, order_id).await;
    }
    for order_id in ["empty-strings", "nulls"] {
        let payment = assert_succeeded(&service, order_id).await;
        let names: Vec<_> = payment.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["final", "occurred_at", "order_id", "status", "version"], "{order_id}");
    }
}

#[tokio::test]
async fn what_the_body_leaves_out_the_properties_give() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;

    let body = without(event("by-property", "succeeded"), &["event_id", "occurred_at"]);
    let properties = none().with_message_id("m-1".into()).with_timestamp(1_767_225_600);
    publisher.publish_bytes(body.to_string().as_bytes(), properties.clone()).await;
    assert_eq!(assert_succeeded(&service, "by-property").await["occurred_at"], "2026-01-01T00:00:00Z");

    // The same message-id is the same event; with no id at all, the same body is.
    publisher.publish_bytes(body.to_string().as_bytes(), properties).await;
    let anonymous = without(event("by-hash", "succeeded"), &["event_id"]);
    publisher.publish(&anonymous).await;
    publisher.publish(&anonymous).await;
    let mut empty_id = event("by-empty-id", "succeeded");
    empty_id["event_id"] = json!("");
    publisher.publish(&empty_id).await;
    publisher.publish(&event("last", "succeeded")).await;
    for order_id in ["last", "by-property", "by-hash", "by-empty-id"] {
        assert_eq!(assert_succeeded(&service, order_id).await["version"], 1, "{order_id}");
    }
    service.metric_is("payment_notifier_events_total", "duplicate", 2.0).await;
}

#[tokio::test]
async fn cloud_events_are_read_in_both_modes_and_by_both_prefixes() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let data = |order_id: &str| without(event(order_id, "succeeded"), &["event_id", "occurred_at"]);
    let structured = |order_id: &str| {
        json!({
            "specversion": "1.0", "id": format!("ce-{order_id}"), "source": "/test", "type": "payment.result",
            "time": second(7), "datacontenttype": "application/json", "data": data(order_id), "extension": "ignored",
        })
    };
    let content_types = [
        ("structured", "application/cloudevents+json"),
        ("structured-charset", "application/cloudevents+json; charset=utf-8"),
        ("structured-bare", "application/cloudevents"),
        ("structured-case", "Application/CloudEvents+JSON"),
    ];
    for (order_id, content_type) in content_types {
        let properties = none().with_content_type(content_type.into());
        publisher.publish_bytes(structured(order_id).to_string().as_bytes(), properties).await;
    }
    // Found by looking, not by trusting content-type.
    publisher.publish(&structured("structured-untyped")).await;
    let text = none().with_content_type("text/plain".into());
    publisher.publish_bytes(structured("structured-text").to_string().as_bytes(), text).await;

    for (order_id, prefix) in [("binary-underscore", "cloudEvents_"), ("binary-colon", "cloudEvents:")] {
        let mut table = FieldTable::default();
        let attributes =
            [("specversion", "1.0"), ("id", order_id), ("source", "/test"), ("type", "t"), ("time", &second(7))];
        for (name, value) in attributes {
            table.insert(format!("{prefix}{name}").into(), AMQPValue::LongString(value.into()));
        }
        let properties = none().with_content_type("application/json".into()).with_headers(table);
        publisher.publish_bytes(data(order_id).to_string().as_bytes(), properties).await;
    }
    // Clients that know AMQP's own timestamp type send that.
    let mut table = headers(&[("cloudEvents:specversion", "1.0"), ("cloudEvents:id", "x"), ("cloudEvents:type", "t")]);
    table.insert("cloudEvents:time".into(), AMQPValue::Timestamp(1_767_225_607));
    let properties = none().with_headers(table);
    publisher.publish_bytes(data("binary-timestamp").to_string().as_bytes(), properties).await;

    let more = ["structured-untyped", "structured-text", "binary-underscore", "binary-colon", "binary-timestamp"];
    for order_id in content_types.into_iter().map(|(order_id, _)| order_id).chain(more) {
        assert_eq!(assert_succeeded(&service, order_id).await["occurred_at"], "2026-01-01T00:00:07Z", "{order_id}");
    }
}

#[tokio::test]
async fn the_payments_own_fields_win_over_the_envelope() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let own = event("own-fields", "succeeded");
    let envelope = json!({
        "specversion": "1.0", "id": "of-the-envelope", "source": "/test", "type": "t",
        "time": "2020-01-01T00:00:00Z", "data": own,
    });
    let properties = none()
        .with_content_type("application/cloudevents+json".into())
        .with_message_id("of-amqp".into())
        .with_timestamp(1_577_836_800);
    publisher.publish_bytes(envelope.to_string().as_bytes(), properties).await;
    publisher.publish(&own).await;
    publisher.publish(&event("last", "succeeded")).await;
    assert_succeeded(&service, "last").await;
    let payment = assert_succeeded(&service, "own-fields").await;
    assert_eq!((&payment["occurred_at"], &payment["version"]), (&own["occurred_at"], &json!(1)));
    service.metric_is("payment_notifier_events_total", "duplicate", 1.0).await;
}

#[tokio::test]
async fn settings_let_publishers_wrap_the_body_and_leave_the_merchant_out() {
    let setup = Setup::new().await;
    let service =
        setup.set("PAYMENTS__BODY_POINTER", "/data").set("PAYMENTS__DEFAULT_MERCHANT", MERCHANT).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let nest = json!({ "pattern": "payment", "data": without(event("nest", "succeeded"), &["merchant_id"]) });
    publisher.publish(&nest).await;
    assert_succeeded(&service, "nest").await;
}

/// Each line: one way to send, with the order that must succeed by it. The scripts say how each library sends.
/// The structured CloudEvent is what examples/publishers send.
const CLIENT_FORMS: [&str; 3] = ["plain", "plain-typed", "cloudevents-binary"];

#[tokio::test]
async fn pika_publishes_every_form() {
    let service = Service::start().await;
    let mut script = std::process::Command::new(tools::python());
    script.arg(crate::support::repository().join("tests/clients/python/publish.py"));
    client_publishes_every_form(&service, script, "pika").await;
}

#[tokio::test]
async fn amqplib_publishes_every_form() {
    let service = Service::start().await;
    client_publishes_every_form(&service, tools::node_script("publish.js"), "amqplib").await;
}

async fn client_publishes_every_form(service: &Service, script: std::process::Command, client: &str) {
    let messages = CLIENT_FORMS.map(|form| {
        let order_id = format!("{client}-{form}");
        json!({ "form": form, "event": event(&order_id, "succeeded") })
    });
    let input = json!({
        "url": service.vhost().amqp_url(), "exchange": "payments", "routing_key": "payment.result.test",
        "messages": messages,
    });
    tools::run(script, input.to_string()).await;
    for form in CLIENT_FORMS {
        let order_id = format!("{client}-{form}");
        let payment = assert_succeeded(service, &order_id).await;
        assert_eq!(payment["version"], 1, "{order_id}");
    }
    let mut dead_letters = DeadLetters::of(service.vhost()).await;
    Publisher::connect(service.vhost()).await.publish_bytes(b"the only one", none()).await;
    assert_eq!(dead_letters.next().await.body, b"the only one");
}
