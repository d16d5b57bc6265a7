//! What a service does with what an older one left: the same for a file and for a database.

use std::sync::Arc;

use serde_json::{Value, json};

use super::history::{Order, events, has_entry, orders, outcomes, revoked, told};
use super::merchants::Merchants;
use super::said;
use crate::support::{MERCHANT, Publisher, Service, Setup, Vhost, tools, wait_for};

/// Far beyond the age of any fixture.
const KEEP: &str = "36500d";

const REVOCATIONS: &str = "payment_notifier_revocations_in_force";

/// The settings of a service that keeps what is old.
pub(super) async fn setup() -> Setup {
    setup_on(Arc::new(Vhost::create().await))
}

pub(super) fn setup_on(vhost: Arc<Vhost>) -> Setup {
    let setup = Setup::on(vhost).set("STORE__KEEP", KEEP).set("TIMELINE__KEEP", KEEP);
    setup.set("INSTANCE", "node-2").set("INQUIRY__AFTER", "1h")
}

/// A service on what an older one left.
pub(super) struct Upgraded {
    pub(super) service: Service,
    merchants: Merchants,
    publisher: Publisher,
}

impl Upgraded {
    pub(super) async fn start(setup: Setup) -> Self {
        let merchants = Merchants::of(setup.vhost()).await;
        let service = setup.start().await;
        let publisher = Publisher::connect(service.vhost()).await;
        Self { service, merchants, publisher }
    }

    /// Checks everything, and empties the store.
    pub(super) async fn works_on(&mut self, was: &Value) {
        said::assert_same(&was["orders"], &said::of_all(&self.service).await);
        self.publishes_what_waited(&was["outbox"]).await;
        self.events_go_on().await;
        self.a_second_charge_is_told().await;
        self.pages_go_on().await;
        self.operators_go_on().await;
        self.service.metric_is("payment_notifier_outbox_messages", "", 0.0).await;
        self.merchants.are_told_all().await;
        self.merchants.were_told_once();
        self.is_removed_when_old().await;
    }

    pub(super) async fn ends(&mut self) {
        self.service.terminate();
        assert!(self.service.wait_end().await.success());
    }

    async fn publishes_what_waited(&mut self, outbox: &Value) {
        let outbox = outbox.as_array().expect("a list");
        assert!(outbox.len() > 5, "messages waited");
        for was in outbox {
            let (kind, order_id) = (was["type"].as_str().unwrap(), was["data"]["order_id"].as_str().unwrap());
            self.merchants.is_told(kind, order_id).await;
            let is = self.merchants.heard.iter().find(|message| was["id"] == message.id);
            let is = is.unwrap_or_else(|| panic!("{was} is not published"));
            assert_eq!(*was, is.event);
            let header = |name: &str| is.headers.get(name).map(String::as_str);
            assert_eq!(header("type"), Some(kind), "{was}");
            assert_eq!(header("merchant_id"), was["data"]["merchant_id"].as_str(), "{was}");
            assert_eq!(header("order_id"), Some(order_id), "{was}");
        }
    }

    async fn version(&self, order_id: &str) -> Value {
        self.service.payment(order_id, &Order::named(order_id).ticket(), "").await.json["version"].clone()
    }

    /// Publishes an event, and answers what became of it.
    async fn outcome(&self, event: Value) -> String {
        let order = Order::of(&event);
        let before = outcomes(&self.service, &order).await.len();
        self.publisher.publish(&event).await;
        wait_for(&format!("{order:?} has one more event"), async || {
            outcomes(&self.service, &order).await.into_iter().nth(before)
        })
        .await
    }

    async fn events_go_on(&self) {
        let known = |order_id: &str, nth: usize| {
            events().into_iter().filter(|event| event["order_id"] == order_id).nth(nth).expect("of the history")
        };
        assert_eq!(self.outcome(known("late-success", 1)).await, "duplicate");
        assert_eq!(self.outcome(known("out-of-order", 1)).await, "duplicate", "a stale one is remembered, too");
        assert_eq!(self.outcome(told("late-success", "3", "processing", 9)).await, "stale");
        assert_eq!(self.version("late-success").await, 2);
        assert_eq!(self.outcome(told("status-processing", "2", "succeeded", 2)).await, "applied");
        assert_eq!(self.version("status-processing").await, 2);
        let mut refund = told("refunded-in-part", "4", "succeeded", 4);
        refund["refund"] = json!({ "status": "full" });
        assert_eq!(self.outcome(refund).await, "applied");
        let order = Order::named("refunded-in-part");
        let payment = self.service.payment(&order.order_id, &order.ticket(), "").await.json;
        assert_eq!((&payment["version"], &payment["refund"]["status"]), (&json!(4), &json!("full")));
        assert_eq!(self.outcome(told("repeated", "1", "expired", 1)).await, "id_reused");
        assert_eq!(self.outcome(told("not-known", "1", "pending", 1)).await, "applied");
        assert_eq!(self.version("not-known").await, 1);
    }

    /// The number of the first charge is known from the older version's row.
    async fn a_second_charge_is_told(&mut self) {
        let mut second = told("status-succeeded", "2", "succeeded", 2);
        second["provider_transaction_id"] = "4200-another".into();
        self.publisher.publish(&second).await;
        let data = self.merchants.is_told("payment.conflict", "status-succeeded").await;
        assert_eq!(data["kinds"], json!(["paid_twice"]), "{data}");
        let claims = data["claims"].as_array().unwrap().iter();
        let numbers: Vec<_> = claims.map(|claim| &claim["provider_transaction_id"]).collect();
        assert_eq!(numbers, ["4200-status-succeeded", "4200-another"]);
    }

    /// A result that no page has acknowledged, and one that a page does.
    async fn pages_go_on(&mut self) {
        has_entry(&self.service, "due", "undelivered").await;
        self.merchants.is_told("payment.undelivered", "due").await;
        let ticket = Order::named("shown-early").ticket();
        let ack = self.service.post("/v1/payments/shown-early/ack", &ticket, &json!({ "version": 2 })).await;
        assert_eq!(ack.status, 204, "{}", ack.text);
        let data = self.merchants.is_told("payment.delivered", "shown-early").await;
        assert_eq!((&data["version"], &data["status"]), (&json!(2), &json!("succeeded")));
    }

    async fn operators_go_on(&self) {
        for (mut what, left) in revoked().into_iter().zip([1.0, 0.0]) {
            self.service.metric_is(REVOCATIONS, "", left + 1.0).await;
            what["ttl_s"] = 0.into();
            assert_eq!(self.service.admin_post("/v1/revocations", &what).await.status, 200);
            self.service.metric_is(REVOCATIONS, "", left).await;
        }
        assert_eq!(self.version("revoked").await, 1);

        let found = wait_for("an order is found by the provider's number", async || {
            let answer = self.service.admin_get("/v1/orders?transaction=4200-shown").await;
            answer.json["orders"][0].is_object().then_some(answer.json)
        })
        .await;
        assert_eq!(found["orders"][0]["order_id"], "shown", "{found}");
        let admin = format!("http://{}", self.service.admin);
        let command = self.service.setup.command(&["order", "show", MERCHANT, "shown", "--admin", &admin]);
        let (status, out, err) = tools::end_of(command, String::new()).await;
        let header =
            "order shown of shop: succeeded, final, version 5, 19.99 CNY, by wechat_pay; acknowledged by a page";
        assert!(status.success() && out.starts_with(header), "{out}{err}");
    }

    /// Removes everything, by a start that keeps nothing for longer than a second.
    async fn is_removed_when_old(&mut self) {
        self.ends().await;
        for key in ["STORE__KEEP", "TIMELINE__KEEP"] {
            self.service.setup.change(key, "1s");
        }
        self.service.start_again().await;
        for order in orders() {
            wait_for(&format!("{order:?} is removed"), async || {
                let path = format!("/v1/orders/{}/{}", order.merchant_id, order.order_id);
                (self.service.admin_get(&path).await.status == 404).then_some(())
            })
            .await;
        }
    }
}
