//! What merchants are told of results and of pages that wait.

use serde_json::{Map, Value, json};

use crate::support::ticket::changed;
use crate::support::{MERCHANT, Page, Proxy, Publisher, Service, Setup, Told, event, ticket, wait_for};

const DELIVERED: &str = "payment.delivered";
const UNDELIVERED: &str = "payment.undelivered";
const INQUIRY: &str = "payment.inquiry";

/// Escalates after a second.
async fn soon(orders: &str) -> Setup {
    Setup::new().await.set("ESCALATION__AFTER", "1s").set("ESCALATION__ORDERS", orders)
}

async fn start(setup: Setup) -> (Service, Publisher, Told) {
    // A confirm that is given up is published again, and what was told twice is not what these tests count.
    let service = setup.set("AMQP__CONFIRM_TIMEOUT_S", 25).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let told = Told::of(service.vhost(), "payment.#").await;
    (service, publisher, told)
}

/// Publishes a final result and waits until it is stored.
async fn paid(service: &Service, publisher: &Publisher, order_id: &str) {
    publisher.publish(&event(order_id, "succeeded")).await;
    service.payment_with_status(order_id, &ticket(order_id), "succeeded").await;
}

/// The same without a look at the payment: who polls is a page that has waited.
async fn paid_unseen(service: &Service, publisher: &Publisher, order_id: &str) {
    let applied = async || service.metric("payment_notifier_events_total", "applied").await;
    let before = applied().await;
    publisher.publish(&event(order_id, "succeeded")).await;
    wait_for("the result is stored", async || (applied().await > before).then_some(())).await;
}

async fn acknowledge(service: &Service, order_id: &str, version: u64) {
    let target = format!("/v1/payments/{order_id}/ack");
    let answer = service.post(&target, &ticket(order_id), &json!({ "version": version })).await;
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// A page that waits for an order until it is dropped.
async fn page(service: &Service, order_id: &str) -> Page {
    Page::subscribed(service, &ticket(order_id)).await.0
}

#[tokio::test]
async fn a_result_that_a_page_has_shown_is_delivered_by_its_transport_and_told_once() {
    let (service, publisher, mut told) = start(Setup::new().await).await;
    let mut socket = page(&service, "d-ws").await;
    publisher.publish(&event("d-ws", "processing")).await;
    socket.payment_with_status("processing").await;
    let ack = |version: u64| json!({ "type": "ack", "order_id": "d-ws", "version": version });
    socket.send(&ack(1)).await;
    publisher.publish(&event("d-ws", "succeeded")).await;
    socket.payment_with_status("succeeded").await;
    socket.send(&ack(2)).await;
    socket.send(&ack(2)).await;
    socket.ping_pong().await;
    let delivered = told.next_of(DELIVERED, "d-ws").await;
    let data = &delivered["data"];
    let expected = json!({
        "merchant_id": "shop", "order_id": "d-ws", "version": 2, "status": "succeeded", "transport": "websocket",
        "ms_since_arrival": data["ms_since_arrival"], "acknowledged_at": data["acknowledged_at"],
    });
    assert_eq!(*data, expected);
    assert!(data["ms_since_arrival"].is_u64() && data["acknowledged_at"].is_string(), "{data}");

    paid(&service, &publisher, "d-http").await;
    acknowledge(&service, "d-http", 1).await;
    let delivered = told.next_of(DELIVERED, "d-http").await;
    assert_eq!(delivered["data"]["transport"], "poll");
    assert_eq!(told.types_of("d-ws"), [DELIVERED], "the open state is no result, and twice is once");
    wait_for("both are counted", async || {
        let confirmed = service.metric("payment_notifier_outbox_published_total", "result=\"confirmed\"").await;
        (confirmed == 2.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_result_that_nobody_has_shown_is_undelivered_where_a_page_had_waited() {
    let (service, publisher, mut told) = start(soon("watched").await).await;
    paid_unseen(&service, &publisher, "u-nobody").await;
    let _stays = page(&service, "u-stays").await;
    drop(page(&service, "u-left").await);
    wait_for("the page has left", async || {
        (service.metric("payment_notifier_pages_waiting", "").await == 1.0).then_some(())
    })
    .await;
    paid_unseen(&service, &publisher, "u-left").await;
    let left = told.next_of(UNDELIVERED, "u-left").await;
    paid_unseen(&service, &publisher, "u-stays").await;
    told.next_of(UNDELIVERED, "u-stays").await;
    let data = &left["data"];
    assert_eq!((&data["version"], &data["status"], &data["final"]), (&json!(1), &json!("succeeded"), &json!(true)));
    assert_eq!(told.types_of("u-nobody"), Vec::<&str>::new());
    assert_eq!(told.types_of("u-left"), [UNDELIVERED]);
    wait_for("both are counted", async || {
        (service.metric("payment_notifier_escalations_total", "").await == 2.0).then_some(())
    })
    .await;
    // Late, but shown after all.
    acknowledge(&service, "u-left", 1).await;
    told.next_of(DELIVERED, "u-left").await;
}

#[tokio::test]
async fn a_plain_poll_is_a_page_that_has_waited() {
    let (service, publisher, mut told) = start(soon("watched").await).await;
    service.payment("u-poll", &ticket("u-poll"), "").await;
    publisher.publish(&event("u-poll", "succeeded")).await;
    told.next_of(UNDELIVERED, "u-poll").await;
}

#[tokio::test]
async fn an_acknowledgement_that_comes_first_ends_the_escalation() {
    let (service, publisher, mut told) = start(soon("all").await.set("ESCALATION__AFTER", "12s")).await;
    paid(&service, &publisher, "e-first").await;
    acknowledge(&service, "e-first", 1).await;
    told.next_of(DELIVERED, "e-first").await;
    paid_unseen(&service, &publisher, "e-nobody").await;
    told.next_of(UNDELIVERED, "e-nobody").await;
    assert_eq!(told.types_of("e-first"), [DELIVERED]);
}

#[tokio::test]
async fn where_escalation_is_off_nothing_is_undelivered() {
    let setup = soon("off").await.set("INQUIRY__AFTER", "4s");
    let (service, publisher, mut told) = start(setup).await;
    let _waits = page(&service, "o-paid").await;
    paid(&service, &publisher, "o-paid").await;
    // Told four times as late as an escalation would be.
    let _waits_too = page(&service, "o-open").await;
    told.next_of(INQUIRY, "o-open").await;
    assert_eq!(told.types_of("o-paid"), Vec::<&str>::new());
}

#[tokio::test]
async fn events_that_contradict_each_other_are_told() {
    let (_service, publisher, mut told) = start(Setup::new().await).await;
    let (early, late) = (event("c-1", "succeeded"), event("c-1", "failed"));
    publisher.publish(&early).await;
    publisher.publish(&late).await;
    let conflict = told.next_of("payment.conflict", "c-1").await;
    let claim = |event: &Value| json!({ "event_id": event["event_id"], "status": event["status"], "occurred_at": event["occurred_at"] });
    let expected = json!({
        "merchant_id": "shop", "order_id": "c-1", "kinds": ["failed_after_succeeded"], "version": 1,
        "status": "succeeded", "event_id": late["event_id"], "claims": [claim(&early), claim(&late)],
    });
    assert_eq!(conflict["data"], expected);
}

/// An event of one attempt to pay.
fn attempt(order: &str, status: &str, provider: &str, transaction: &str) -> Value {
    let amount = json!({ "value": 1999, "currency": "CNY" });
    let changes = json!({ "provider": provider, "provider_transaction_id": transaction, "amount": amount });
    changed(event(order, status), changes)
}

#[tokio::test]
async fn an_order_that_is_paid_twice_is_told_and_one_that_is_paid_at_the_second_attempt_is_not() {
    let (service, publisher, mut told) = start(Setup::new().await).await;
    // Declined, paid by a second intent, the first called off; and declined, then abandoned.
    for (order, status, transaction) in [
        ("s-1", "failed", "pi_A"),
        ("s-1", "succeeded", "pi_B"),
        ("s-1", "canceled", "pi_C"),
        ("s-1", "failed", "pi_A"),
        ("s-2", "pending", "pi_1"),
        ("s-2", "canceled", "pi_1"),
    ] {
        publisher.publish(&attempt(order, status, "stripe", transaction)).await;
    }
    let wechat = attempt("p-1", "succeeded", "wechat_pay", "4200A");
    let alipay = attempt("p-1", "succeeded", "alipay", "2026ALI");
    for paid in [&wechat, &alipay, &alipay] {
        publisher.publish(paid).await;
    }
    let conflict = told.next_of("payment.conflict", "p-1").await;
    let claim = |event: &Value| {
        let fields = ["event_id", "status", "occurred_at", "amount", "provider", "provider_transaction_id"].into_iter();
        fields.map(|name| (name.to_owned(), event[name].clone())).collect::<Map<_, _>>()
    };
    let expected = json!({
        "merchant_id": "shop", "order_id": "p-1", "kinds": ["paid_twice"], "version": 1, "status": "succeeded",
        "event_id": alipay["event_id"], "claims": [claim(&wechat), claim(&alipay)],
    });
    assert_eq!(conflict["data"], expected);
    // A third charge is told too, of the same version.
    let stripe = attempt("p-1", "succeeded", "stripe", "pi_3");
    publisher.publish(&stripe).await;
    let again = told.next_of("payment.conflict", "p-1").await;
    assert_eq!(again["data"]["claims"], json!([claim(&wechat), claim(&alipay), claim(&stripe)]));
    assert_ne!(again["id"], conflict["id"]);

    let page = service.payment("p-1", &ticket("p-1"), "").await.json;
    assert_eq!(
        (&page["status"], &page["provider"], &page["version"]),
        (&json!("succeeded"), &json!("wechat_pay"), &json!(1))
    );
    let timeline = service.admin_get("/v1/orders/shop/p-1").await.json;
    let entries = timeline["entries"].as_array().unwrap().iter();
    let conflicts: Vec<_> = entries.filter(|entry| entry["type"] == "conflict").map(|entry| &entry["claims"]).collect();
    assert_eq!(conflicts, [&conflict["data"]["claims"], &again["data"]["claims"]]);
    let counted = async |labels: &str| service.metric("payment_notifier_conflicts_total", labels).await;
    wait_for("both are counted", async || (counted("kind=\"paid_twice\"").await == 2.0).then_some(())).await;
    assert_eq!(counted("").await, 2.0, "no other kind");
    let page = service.admin_get("/orders/shop/p-1").await.text;
    for part in
        ["Paid twice.", "A second charge: refund it.", "<li>succeeded 4200A (wechat_pay, 19.99 CNY, ", "PAID TWICE"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!service.admin_get("/orders/shop/s-1").await.text.contains("Paid twice."));
    assert_eq!([told.types_of("s-1"), told.types_of("s-2")], [Vec::<&str>::new(), vec![]]);
}

#[tokio::test]
async fn a_page_that_waits_is_told_of_at_each_span_until_there_is_a_result() {
    let spans: Vec<String> = (1..=16).map(|seconds| format!("{seconds}s")).collect();
    let setup = Setup::new().await.set("INQUIRY__AFTER", spans.join(","));
    let (service, publisher, mut told) = start(setup).await;
    let _two = (page(&service, "i-1").await, page(&service, "i-1").await);
    let data = async |told: &mut Told| told.next_of(INQUIRY, "i-1").await["data"].clone();
    let first = data(&mut told).await;
    let expected = json!({
        "merchant_id": "shop", "order_id": "i-1", "waited_s": first["waited_s"], "step": first["step"],
        "status": "unknown", "version": 0,
    });
    assert_eq!(first, expected);
    assert!(first["waited_s"].as_u64() >= Some(1) && first["step"].as_u64() >= Some(1), "{first}");
    publisher.publish(&event("i-1", "processing")).await;
    service.payment_with_status("i-1", &ticket("i-1"), "processing").await;
    let second = wait_for("the state is in a later one", async || {
        let next = data(&mut told).await;
        assert!(next["step"].as_u64() > first["step"].as_u64(), "{next} after {first}");
        (next["status"] == "processing").then_some(next)
    })
    .await;
    paid(&service, &publisher, "i-1").await;
    let of_paid = |told: &Told| told.types_of("i-1").iter().filter(|kind| **kind == INQUIRY).count();
    let _other = page(&service, "i-2").await;
    // What was on its way before is read with it.
    told.next_of(INQUIRY, "i-2").await;
    let before = of_paid(&told);
    // Later than the next two spans of the first would have been.
    wait_for("the other has waited for some seconds", async || {
        let next = told.next_of(INQUIRY, "i-2").await;
        (next["data"]["step"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    // One may have been on its way while the result came.
    assert!(of_paid(&told) <= before + 1, "{second}: {:?}", told.types_of("i-1"));
    assert!(told.times().values().all(|times| *times == 1), "each step once: {:?}", told.times());
}

#[tokio::test]
async fn a_page_that_comes_back_goes_on_waiting() {
    let setup = Setup::new().await.set("INQUIRY__AFTER", "3s");
    let (service, _publisher, mut told) = start(setup).await;
    let waiting = async { told.next_of(INQUIRY, "l-1").await };
    // A long poll of one second and another: none of them waits for three.
    let polling = async {
        loop {
            service.payment("l-1", &ticket("l-1"), "?after=0&wait=1").await;
        }
    };
    let inquiry = tokio::select! {
        inquiry = waiting => inquiry,
        () = polling => unreachable!("it polls for ever"),
    };
    assert!(inquiry["data"]["waited_s"].as_u64() >= Some(3), "{inquiry}");
}

#[tokio::test]
async fn where_nobody_listens_nothing_piles_up_and_nothing_is_wrong() {
    let service = Service::start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    for n in 0..100 {
        let order = format!("n-{n}");
        publisher.publish(&event(&order, "succeeded")).await;
        service.payment_with_status(&order, &ticket(order.as_str()), "succeeded").await;
        acknowledge(&service, &order, 1).await;
    }
    wait_for("all are done", async || {
        let done = service.metric("payment_notifier_outbox_published_total", "result=\"unroutable\"").await;
        (done >= 100.0).then_some(())
    })
    .await;
    assert_eq!(service.admin_get("/readyz").await.status, 200);
}

#[tokio::test]
async fn what_is_to_be_told_waits_for_a_broker_that_is_away() {
    let proxy = Proxy::start();
    let (service, publisher, mut told) = start(Setup::new().await.through(&proxy)).await;
    for order in ["b-1", "b-2"] {
        paid(&service, &publisher, order).await;
    }
    proxy.refuse();
    acknowledge(&service, "b-1", 1).await;
    wait_for("it was tried", async || {
        let failed = service.metric("payment_notifier_outbox_published_total", "result=\"failed\"").await;
        (failed >= 1.0).then_some(())
    })
    .await;
    acknowledge(&service, "b-2", 1).await;
    let told_of = "outbox cannot be published, retrying";
    wait_for("it is in the logs", async || service.logs().text().contains(told_of).then_some(())).await;
    proxy.cut_and_pass();
    told.next_of(DELIVERED, "b-1").await;
    if told.types_of("b-2").is_empty() {
        told.next_of(DELIVERED, "b-2").await;
    }
    service.wait_ready().await;
}

#[tokio::test]
async fn a_type_that_may_not_be_published_holds_up_no_other() {
    let setup = Setup::new().await;
    let vhost = std::sync::Arc::clone(setup.vhost());
    let user = vhost.user(&json!({ "configure": ".*", "write": ".*", "read": ".*" })).await;
    let topics = json!({ "exchange": "payment-notifier.events", "write": "^payment[.]delivered$", "read": ".*" });
    vhost.put("topic-permissions", user.name(), &topics).await;
    let (service, publisher, mut told) = start(setup.set("AMQP__URL", user.amqp_url())).await;
    for status in ["failed", "canceled"] {
        publisher.publish(&event("t-conflict", status)).await;
    }
    let failed = "type=\"payment.conflict\",result=\"failed\"";
    wait_for("the conflict is refused", async || {
        (service.metric("payment_notifier_outbox_published_total", failed).await > 0.0).then_some(())
    })
    .await;
    for n in 0..3 {
        let order = format!("t-paid-{n}");
        paid(&service, &publisher, &order).await;
        acknowledge(&service, &order, 1).await;
        told.next_of(DELIVERED, &order).await;
    }
    assert_eq!(told.types_of("t-conflict"), Vec::<&str>::new());
    wait_for("it stays", async || (service.metric("payment_notifier_outbox_messages", "").await == 1.0).then_some(()))
        .await;
    assert_eq!(service.admin_get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_headers_exchange_gives_a_merchant_its_own_events_alone() {
    let (service, publisher, mut told) = start(soon("all").await).await;
    let mut others = Told::of_merchant(service.vhost(), "other-shop").await;
    let mut own = Told::of_merchant(service.vhost(), MERCHANT).await;
    let of_other = |order_id: &str| {
        let mut result = event(order_id, "succeeded");
        result["merchant_id"] = "other-shop".into();
        result
    };
    for result in [of_other("h-1"), event("h-2", "succeeded"), of_other("h-3")] {
        publisher.publish(&result).await;
    }
    hear(&mut told, 3).await;
    // What has gone astray before is in front of these.
    for result in [event("h-4", "succeeded"), of_other("h-5")] {
        publisher.publish(&result).await;
    }
    assert_eq!(hear(&mut own, 2).await, ["h-2", "h-4"]);
    assert_eq!(hear(&mut others, 3).await, ["h-1", "h-3", "h-5"]);
}

/// The orders of the first so many events, sorted.
async fn hear(told: &mut Told, events: usize) -> Vec<String> {
    while told.heard.len() < events {
        told.next().await;
    }
    let mut orders: Vec<_> =
        told.heard.iter().filter_map(|event| event["subject"].as_str()).map(str::to_owned).collect();
    orders.sort();
    orders
}
