//! Publishes one payment result and ends well only when RabbitMQ has it in a queue.
//!
//! usage: cargo run --example publish MERCHANT ORDER STATUS
//! `AMQP_URL`, `EXCHANGE` and `ROUTING_KEY` in the environment say where to.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const DEADLINE: Duration = Duration::from_secs(10);
const PERSISTENT: u8 = 2;

/// A CloudEvent in the structured form: everything is in the body.
fn cloud_event(id: &str, merchant: &str, order: &str, status: &str) -> Result<Value, Box<dyn Error>> {
    Ok(json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/merchants/{merchant}"),
        "type": "payment.result",
        // When it happened at the payment provider.
        "time": OffsetDateTime::now_utc().format(&Rfc3339)?,
        "datacontenttype": "application/json",
        "data": {
            "merchant_id": merchant,
            "order_id": order,
            "status": status,
            "amount": { "value": 1999, "currency": "CNY" }, // minor units: 19.99 yuan
            "provider": "example",
        },
    }))
}

async fn publish(id: &str, merchant: &str, order: &str, status: &str) -> Result<(), Box<dyn Error>> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_absent| default.to_owned());
    let event = cloud_event(id, merchant, order, status)?;
    let url = setting("AMQP_URL", "amqp://127.0.0.1/%2f");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let exchange = setting("EXCHANGE", "payments");
    let routing_key = setting("ROUTING_KEY", "payment.result.example");
    let properties = BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(id.into());
    // That no queue takes it is an error.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let body = event.to_string();
    let sent = channel.basic_publish(exchange.into(), routing_key.into(), options, body.as_bytes(), properties).await?;
    match sent.await? {
        // What comes back is confirmed all the same.
        Confirmation::Ack(None) => Ok(connection.close(200, "published".into()).await?),
        Confirmation::Ack(Some(_returned)) => Err("no queue is bound for it".into()),
        Confirmation::Nack(_) | Confirmation::NotRequested => Err("RabbitMQ did not confirm it".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stderr, clippy::print_stdout, reason = "what a program says to whoever runs it")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [merchant, order, status] = arguments.as_slice() else {
        eprintln!("usage: publish MERCHANT ORDER STATUS");
        return ExitCode::FAILURE;
    };
    // Of this event. Whoever sends it again, after a crash, say, sends the same id, and it counts once.
    let id = format!("{:032x}", rand::random::<u128>());
    match tokio::time::timeout(DEADLINE, publish(&id, merchant, order, status)).await {
        Ok(Ok(())) => {
            println!("published {id}; look: scripts/pn order show {merchant} {order}");
            return ExitCode::SUCCESS;
        }
        Ok(Err(error)) => eprintln!("not published: {error}"),
        Err(_elapsed) => eprintln!("not published: no confirm in {} s", DEADLINE.as_secs()),
    }
    ExitCode::FAILURE
}
