//! The way from the exchange to the queue is gone, while everything else stands: the connection lives, the queue is consumed,
//! and what publishers send cannot be routed.

use std::time::Instant;

use serde_json::json;

use crate::ledger::{Publishing, row};
use crate::support::{Service, Setup, event, ticket, wait_for, within};

const EXCHANGE: &str = "payments";
const QUEUE: &str = "payment-notifier.results";
const DEAD_LETTERS: &str = "payment-notifier.dead-letters";

async fn flows(service: &Service, publishing: &mut Publishing, order: &str) {
    // Returned as unroutable, it is published again.
    within("it is routed", publishing.publish(event(order, "succeeded").to_string().as_bytes())).await;
    service.payment_with_status(order, &ticket(order), "succeeded").await;
}

async fn make_exchange_anew(service: &Service) {
    service.vhost().remove("exchanges", EXCHANGE).await;
    service.vhost().put("exchanges", EXCHANGE, &json!({ "type": "topic", "durable": true })).await;
}

#[tokio::test]
async fn a_binding_that_is_gone_is_made_again() {
    let service = Setup::new().await.set("AMQP__LAG_INTERVAL_S", 1).start().await;
    let mut publishing = Publishing::new(vec![service.vhost().amqp_url()]);
    let began = Instant::now();
    service.vhost().unbind(EXCHANGE, QUEUE).await;
    flows(&service, &mut publishing, "unbound").await;
    let pause = began.elapsed();
    make_exchange_anew(&service).await;
    flows(&service, &mut publishing, "made-anew").await;
    service.vhost().remove("exchanges", EXCHANGE).await;
    flows(&service, &mut publishing, "removed").await;
    // Bad messages find their way again as well.
    service.vhost().unbind(DEAD_LETTERS, DEAD_LETTERS).await;
    publishing.publish(b"bad").await;
    wait_for("it is put aside", async || (service.vhost().ready(DEAD_LETTERS).await == 1).then_some(())).await;
    service.wait_ready().await;
    row(&format!("binding-gone runs=4 lost=0 pause_ms={}", pause.as_millis()));
}

#[tokio::test]
async fn a_binding_that_is_gone_and_is_not_ours_to_make_is_told() {
    let first = Setup::new().await.start().await;
    let setup = Setup::beside(&first).set("AMQP__DECLARE", false).set("AMQP__LAG_INTERVAL_S", 1);
    drop(first);
    let service = setup.set("AMQP__PROBE_INTERVAL_S", 1).start().await;
    let vhost = service.vhost();
    let mut publishing = Publishing::new(vec![vhost.amqp_url()]);
    flows(&service, &mut publishing, "bound").await;
    let told = format!("no binding of queue {QUEUE:?} to exchange {EXCHANGE:?} by \"payment.#\"").replace('"', "\\\"");
    let is_told = async || drop(service.wait_unready_for(&[&told]).await);
    let began = Instant::now();
    vhost.unbind(EXCHANGE, QUEUE).await;
    is_told().await;
    let noticed = began.elapsed();
    vhost.bind_by(EXCHANGE, QUEUE, "payment.#").await;
    service.wait_ready().await;
    flows(&service, &mut publishing, "bound-again").await;

    // Where others are bound, nothing comes back as unroutable, and it is missed.
    vhost.put("queues", "accounting", &json!({ "durable": true })).await;
    vhost.bind_by(EXCHANGE, "accounting", "#").await;
    vhost.unbind(EXCHANGE, QUEUE).await;
    is_told().await;
    vhost.bind_by(EXCHANGE, QUEUE, "payment.#").await;
    service.wait_ready().await;

    // Bound by a pattern of the operators' own.
    vhost.bind_by(EXCHANGE, QUEUE, "payment.result.*").await;
    vhost.remove("queues", "accounting").await;
    let probes = async || service.metric("payment_notifier_deliveries_total", "").await;
    let before = probes().await;
    wait_for("probes come", async || (probes().await > before + 3.0).then_some(())).await;
    service.wait_ready().await;
    assert_eq!(vhost.ready(DEAD_LETTERS).await, 0);
    assert_eq!(service.metric("payment_notifier_dead_letters_total", "").await, 0.0);
    row(&format!("binding-gone-not-ours runs=2 lost=0 noticed_ms={}", noticed.as_millis()));
}

#[tokio::test]
async fn a_user_who_may_not_publish_results_is_told_once_what_is_not_seen() {
    let first = Setup::new().await.start().await;
    let rights = json!({
        "configure": "^$", "write": "^payment-notifier\\.(events|dead-letters|live)$", "read": "^payment-notifier\\..*$",
    });
    let user = first.vhost().user(&rights).await;
    let setup = Setup::beside(&first).set("AMQP__URL", user.amqp_url()).set("AMQP__DECLARE", false);
    drop(first);
    let service = setup.set("AMQP__LAG_INTERVAL_S", 1).set("AMQP__PROBE_INTERVAL_S", 1).start().await;
    let said = "whether the queue is bound to it is not checked";
    wait_for("it is said", async || service.logs().text().contains(said).then_some(())).await;
    let mut publishing = Publishing::new(vec![service.vhost().amqp_url()]);
    for n in 0..3 {
        flows(&service, &mut publishing, &format!("without-probes-{n}")).await;
    }
    service.wait_ready().await;
    assert_eq!(service.logs().text().matches(said).count(), 1);
}
