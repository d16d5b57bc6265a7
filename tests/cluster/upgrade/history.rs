//! What happens to orders before an upgrade: each status, refunds, repetitions, contradictions, and what pages do.

use serde_json::{Value, json};

use crate::support::ticket::{changed, claims, hs256};
use crate::support::{EventStream, MERCHANT, Page, Publisher, Service, wait_for};

/// Has an order of the same number as the first merchant.
pub(super) const OTHER_MERCHANT: &str = "shop.2";

const STATUSES: [&str; 8] =
    ["pending", "requires_action", "processing", "authorized", "succeeded", "failed", "canceled", "expired"];

/// An order, and whose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    pub(super) merchant_id: String,
    pub(super) order_id: String,
}

impl Order {
    pub(super) fn of(event: &Value) -> Self {
        let text = |name: &str| event[name].as_str().expect("a text").to_owned();
        Self { merchant_id: text("merchant_id"), order_id: text("order_id") }
    }

    pub(super) fn named(order_id: &str) -> Self {
        Self { merchant_id: MERCHANT.to_owned(), order_id: order_id.to_owned() }
    }

    pub(super) fn ticket(&self) -> String {
        hs256(&changed(claims(self.order_id.as_str()), json!({ "merchant_id": self.merchant_id })))
    }
}

/// An event of an order of the first merchant, `second` seconds into its minute.
pub(super) fn told(order_id: &str, event_id: &str, status: &str, second: u32) -> Value {
    json!({
        "event_id": format!("{order_id}:{event_id}"),
        "merchant_id": MERCHANT,
        "order_id": order_id,
        "status": status,
        "occurred_at": format!("2026-01-31T08:30:{second:02}+08:00"),
        "amount": { "value": 1999, "currency": "CNY" },
        "provider": "wechat_pay",
        "provider_transaction_id": format!("4200-{order_id}"),
    })
}

fn with(mut event: Value, changes: Value) -> Value {
    let members = event.as_object_mut().expect("an object");
    members.extend(changes.as_object().expect("an object").clone());
    event
}

/// Events of orders for which no page waits, in the order in which they are published. None of them is bad.
pub(super) fn events() -> Vec<Value> {
    let mut events: Vec<Value> =
        STATUSES.iter().map(|status| told(&format!("status-{status}"), "1", status, 1)).collect();
    let refund = |n: u32, status: &str, value: i64| {
        let refund = json!({ "refund": { "status": status, "amount": { "value": value, "currency": "CNY" } } });
        with(told("refunded-in-part", &n.to_string(), "succeeded", n), refund)
    };
    events.extend([
        told("refunded-in-part", "1", "succeeded", 1),
        refund(2, "processing", 500),
        refund(3, "partial", 500),
    ]);
    let full = json!({ "refund": { "status": "full" }, "provider": "alipay", "provider_status": "TRADE_CLOSED" });
    events.push(with(told("refunded", "1", "succeeded", 1), full));

    events.extend([told("late-success", "1", "failed", 1), told("late-success", "2", "succeeded", 2)]);
    events.extend([told("failed-after", "1", "succeeded", 1), told("failed-after", "2", "failed", 2)]);
    events.extend([told("closed-twice", "1", "failed", 5), told("closed-twice", "2", "canceled", 7)]);
    events.extend([told("repeated", "1", "succeeded", 1), told("repeated", "1", "succeeded", 1)]);
    events.extend([told("out-of-order", "2", "processing", 5), told("out-of-order", "1", "pending", 1)]);

    // What a page is shown, and numbers of orders at their bounds.
    let reason = json!({ "reason": { "code": "NOTENOUGH", "message": "余额不足 <b>\"&'\u{2028}" } });
    events.push(with(told("with-a-reason", "1", "failed", 1), reason));
    let display = json!({ "display": { "text": "€".repeat(60), "list": [1, 2.5, null, true, { "a": [] }] } });
    events.push(with(told("with-a-display", "1", "succeeded", 1), display));
    let longest = format!("L{}.-_z", "0123456789".repeat(6)).chars().take(64).collect::<String>();
    events.push(told(&longest, "1", "succeeded", 1));
    events.extend([".", "-", "A", "a"].map(|order_id| told(order_id, "1", "pending", 1)));
    events.push(with(told("a", "2", "succeeded", 2), json!({ "merchant_id": OTHER_MERCHANT })));
    let bare = json!({ "event_id": "事件 1", "merchant_id": MERCHANT, "order_id": "bare", "status": "processing",
        "occurred_at": "2026-01-31T00:30:01.123456789Z" });
    events.push(bare);
    let largest = json!({ "amount": { "value": i64::MAX, "currency": "JPY" } });
    events.push(with(told("largest-amount", "1", "succeeded", 1), largest));
    events.push(with(told("no-number", "1", "succeeded", 1), json!({ "provider_transaction_id": "" })));
    events
}

/// Publishes [`events`], and waits until the service has stored them.
pub(super) async fn publish_events(service: &Service, publisher: &Publisher) {
    let events = events();
    for event in &events {
        publisher.publish(event).await;
    }
    let count = f64::from(u32::try_from(events.len()).expect("few"));
    service.metric_is("payment_notifier_events_total", "", count).await;
}

/// What became of each event of an order, in the order of its timeline. A note of a page is written later than it is of, and
/// then stands between what was there.
pub(super) async fn outcomes(service: &Service, order: &Order) -> Vec<String> {
    let entries = entries(service, order).await;
    let arrived = entries.iter().filter(|entry| entry["type"] == "arrived");
    arrived.map(|entry| entry["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn entries(service: &Service, order: &Order) -> Vec<Value> {
    let Order { merchant_id, order_id } = order;
    let timeline = service.admin_get(&format!("/v1/orders/{merchant_id}/{order_id}")).await.json;
    timeline["entries"].as_array().cloned().unwrap_or_default()
}

/// Waits until an order's timeline has an entry of this type, or an event of this outcome.
pub(super) async fn has_entry(service: &Service, order_id: &str, kind: &str) {
    let order = Order::named(order_id);
    wait_for(&format!("{order_id} has an entry {kind}"), async || {
        let entries = entries(service, &order).await;
        entries.iter().any(|entry| entry["type"] == kind || entry["outcome"] == kind).then_some(())
    })
    .await;
}

async fn page(service: &Service, order_id: &str) -> Page {
    Page::subscribed(service, &Order::named(order_id).ticket()).await.0
}

/// What pages and operators do. The service escalates after a second, and asks after another.
pub(super) async fn pages_of_the_past(service: &Service, publisher: &Publisher) {
    let mut shown = page(service, "shown").await;
    for (n, status) in ["pending", "requires_action", "processing", "authorized", "succeeded"].iter().enumerate() {
        let second = u32::try_from(n).expect("few") + 1;
        publisher.publish(&told("shown", &second.to_string(), status, second)).await;
        shown.payment_with_status(status).await;
    }
    shown.send(&json!({ "type": "ack", "order_id": "shown", "version": 5 })).await;
    has_entry(service, "shown", "acknowledged").await;

    let mut stream = EventStream::open(service, "streamed", &Order::named("streamed").ticket()).await;
    stream.payment().await;
    publisher.publish(&told("streamed", "1", "failed", 1)).await;
    stream.payment().await;
    let ticket = Order::named("streamed").ticket();
    let ack = service.post("/v1/payments/streamed/ack", &ticket, &json!({ "version": 1 })).await;
    assert_eq!(ack.status, 204, "{}", ack.text);
    let mut early = page(service, "shown-early").await;
    publisher.publish(&told("shown-early", "1", "processing", 1)).await;
    early.payment_with_status("processing").await;
    early.send(&json!({ "type": "ack", "order_id": "shown-early", "version": 1 })).await;
    has_entry(service, "shown-early", "acknowledged").await;
    early.close().await;

    page(service, "undelivered").await.close().await;
    publisher.publish(&told("undelivered", "1", "succeeded", 1)).await;
    has_entry(service, "undelivered", "undelivered").await;

    let asked = [page(service, "asked").await, page(service, "asked-while-open").await];
    publisher.publish(&told("asked-while-open", "1", "processing", 1)).await;
    has_entry(service, "asked", "inquired").await;
    has_entry(service, "asked-while-open", "inquired").await;
    drop(asked);

    publisher.publish(&with(told("bad", "1", "succeeded", 1), json!({ "status": "paid" }))).await;
    has_entry(service, "bad", "dead_lettered").await;
    publisher.publish(&told("repeated", "1", "failed", 1)).await;
    has_entry(service, "repeated", "dead_lettered").await;

    publisher.publish(&told("revoked", "1", "succeeded", 1)).await;
    has_entry(service, "revoked", "applied").await;
    for what in revoked() {
        let answer = service.admin_post("/v1/revocations", &what).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

/// What is revoked: an order, and a ticket whose bytes are always the same.
pub(super) fn revoked() -> [Value; 2] {
    let ticket = hs256(&changed(claims("revoked-ticket"), json!({ "exp": 4_000_000_000_i64 })));
    [json!({ "merchant_id": MERCHANT, "order_id": "revoked" }), json!({ "ticket": ticket })]
}

/// What is under way when the service ends: a page that waits, and a result that no page has acknowledged.
pub(super) async fn pages_of_the_end(service: &Service, publisher: &Publisher) -> Page {
    page(service, "due").await.close().await;
    publisher.publish(&told("due", "1", "succeeded", 1)).await;
    has_entry(service, "due", "applied").await;
    publisher.publish(&told("shown-early", "2", "succeeded", 2)).await;
    has_entry(service, "shown-early", "applied").await;
    let waiting = page(service, "waiting").await;
    publisher.publish(&told("waiting", "1", "processing", 1)).await;
    has_entry(service, "waiting", "pushed").await;
    waiting
}

/// All orders, those too of which only pages or bad messages tell. One is left out, which no path of a URL can name.
pub(super) fn orders() -> Vec<Order> {
    let mut orders: Vec<Order> = events().iter().map(Order::of).collect();
    let of_pages = [
        "shown",
        "streamed",
        "shown-early",
        "undelivered",
        "asked",
        "asked-while-open",
        "bad",
        "revoked",
        "due",
        "waiting",
    ];
    orders.extend(of_pages.map(Order::named));
    orders.retain(|order| order.order_id != ".");
    orders.sort();
    orders.dedup();
    orders
}
