//! What merchants are told, while RabbitMQ takes nothing from anybody who publishes.

use serde_json::json;

use super::node::Node;
use crate::ledger::row;
use crate::support::{Publisher, Service, Told, event, ticket, wait_for};

const ORDERS: usize = 100;

async fn failed(service: &Service) -> f64 {
    service.metric("payment_notifier_outbox_published_total", "result=\"failed\"").await
}

#[tokio::test]
async fn memory_alarm_the_outbox_waits_and_nothing_else_does() {
    let node = Node::start("").await;
    let setup = node.setup().await.set("AMQP__CONFIRM_TIMEOUT_S", 1).set("AMQP__RETRY_LONGEST_MS", 500);
    let service = setup.start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let mut told = Told::of(service.vhost(), "payment.delivered").await;
    let orders: Vec<_> = (0..ORDERS).map(|n| format!("alarm-{n}")).collect();
    for order in &orders {
        publisher.publish(&event(order, "succeeded")).await;
    }
    for order in &orders {
        service.payment_with_status(order, &ticket(order.as_str()), "succeeded").await;
    }
    node.ctl(&["set_vm_memory_high_watermark", "0.00001"]).await;
    for order in &orders {
        let body = json!({ "version": 1 });
        let answer = service.post(&format!("/v1/payments/{order}/ack"), &ticket(order.as_str()), &body).await;
        assert_eq!(answer.status, 204, "{}", answer.text);
    }
    wait_for("it was tried more than once", async || (failed(&service).await > 20.0).then_some(())).await;
    let why = "the broker blocks publishers";
    wait_for("the reason is in the logs", async || service.logs().text().contains(why).then_some(())).await;
    assert_eq!(service.admin_get("/readyz").await.status, 200, "pages and results are not concerned");
    let told_of = service.logs().text().matches("outbox cannot be published").count();
    node.ctl(&["set_vm_memory_high_watermark", "0.6"]).await;
    let id = |order: &String| format!("payment.delivered:shop:{order}:1");
    while !orders.iter().all(|order| told.times().contains_key(&id(order))) {
        told.next().await;
    }
    row(&format!("outbox-alarm runs=1 lost=0 told={} repeated={}", told.times().len(), told.heard.len() - ORDERS));
    assert_eq!(told.times().len(), ORDERS);
    assert!(told_of <= 8, "each reason once, not each attempt: {told_of}");
}
