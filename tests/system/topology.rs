//! Who makes the topology: the service, or the operators with the definitions that this repository ships.

use serde_json::{Value, json};

use crate::support::{DeadLetters, Page, Publisher, Service, Setup, event, repository, ticket};

pub(crate) fn shipped_definitions() -> Value {
    let text = std::fs::read_to_string(repository().join("config/rabbitmq/definitions.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The shipped permissions of one of its users.
pub(crate) fn permissions_of(user: &str) -> Value {
    let definitions = shipped_definitions();
    let all = definitions["permissions"].as_array().unwrap();
    all.iter().find(|permission| permission["user"] == user).expect("the user has permissions").clone()
}

#[tokio::test]
async fn the_shipped_definitions_and_permissions_suffice_for_a_service_that_makes_nothing() {
    let setup = Setup::new().await;
    setup.vhost().import(&shipped_definitions()).await;
    let notifier = setup.vhost().user(&permissions_of("notifier")).await;
    let publisher = setup.vhost().user(&permissions_of("publisher")).await;
    let publisher = Publisher::connect_to(&publisher.amqp_url()).await;
    let service = setup.set("AMQP__URL", notifier.amqp_url()).set("AMQP__DECLARE", false).start().await;

    let (mut page, _) = Page::subscribed(&service, &ticket("least-1")).await;
    publisher.publish(&event("least-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    publisher.publish_bytes(b"hunter2", lapin::BasicProperties::default()).await;
    assert_eq!(DeadLetters::of(service.vhost()).await.next().await.reason, "invalid_json");
    service.wait_ready().await;
}

#[tokio::test]
async fn what_the_service_makes_itself_is_what_the_shipped_definitions_hold() {
    let service = Service::start().await;
    let definitions = shipped_definitions();
    for exchange in definitions["exchanges"].as_array().unwrap() {
        let made = service.vhost().get("exchanges", exchange["name"].as_str().unwrap()).await;
        for property in ["type", "durable", "auto_delete", "internal"] {
            assert_eq!(made[property], exchange[property], "{property} of {}", exchange["name"]);
        }
    }
    for queue in definitions["queues"].as_array().unwrap() {
        let made = service.vhost().get("queues", queue["name"].as_str().unwrap()).await;
        assert_eq!(made["arguments"]["x-queue-type"], "quorum", "{}", queue["name"]);
        assert_eq!((&made["durable"], &made["auto_delete"]), (&json!(true), &json!(false)));
    }
    let made = service.vhost().get("bindings", "").await;
    for binding in definitions["bindings"].as_array().unwrap() {
        let same = |made: &&Value| {
            ["source", "destination", "routing_key"].iter().all(|property| made[*property] == binding[*property])
        };
        assert!(made.as_array().unwrap().iter().any(|made| same(&made)), "{binding}");
    }
    // A service that finds all of it changes nothing, and is as ready.
    let again = Setup::beside(&service).set("AMQP__DECLARE", false).start().await;
    again.wait_ready().await;
}

#[tokio::test]
async fn a_queue_of_another_type_is_used_and_named() {
    let setup = Setup::new().await;
    setup.vhost().put("queues", "payment-notifier.results", &json!({ "durable": true })).await;
    let service = setup.start().await;
    let complaints = service.logs().complaints();
    let named = complaints.iter().any(|line| line.contains("payment-notifier.results") && line.contains("quorum"));
    assert!(named && complaints.len() == 1, "{complaints:?}");
    Publisher::connect(service.vhost()).await.publish(&event("classic-1", "succeeded")).await;
    service.payment_with_status("classic-1", &ticket("classic-1"), "succeeded").await;
}

#[tokio::test]
async fn an_exchange_of_another_type_is_named_in_readiness() {
    let setup = Setup::new().await;
    setup.vhost().put("exchanges", "payments", &json!({ "type": "headers", "durable": true })).await;
    let service = setup.start_unready().await;
    service.wait_unready_for(&["payments", "topic"]).await;
    service.vhost().remove("exchanges", "payments").await;
    service.wait_ready().await;
}
