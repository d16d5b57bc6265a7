//! The contract, and what only a server can suffer.

mod cost;
mod faults;
mod interleaved;
mod lost;
mod nodes;
#[path = "../../../tests/support/postgres_proxy.rs"]
mod proxy;
#[path = "../../../tests/support/postgres.rs"]
mod server;
mod upgrade;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;

use super::*;
use crate::payment::{Event, EventId, MerchantId, OrderId, Status, Timestamp};
use crate::store::contract::{self, Place, READS_WAITING_MAX, contract_tests};
use crate::store::{EscalatedOrders, Escalation};
use server::{Database, OwnServer};

pub(super) static OPTIONS: LazyLock<Options> = LazyLock::new(|| Options {
    instance: "node-1".to_owned(),
    connections_max: 4,
    timeout_s: 30,
    reads_waiting_max: READS_WAITING_MAX,
    timeline: true,
    escalation: Escalation { after_ms: 60_000, orders: EscalatedOrders::Watched },
});

#[async_trait]
impl Place for Database {
    async fn open(&self, settings: contract::Settings) -> Arc<dyn PaymentStore> {
        let contract::Settings { reads_waiting_max, instance, timeline, escalation } = settings;
        let options = Options { reads_waiting_max, instance, timeline, escalation, ..OPTIONS.clone() };
        Arc::new(Postgres::open(&self.url(), &options).unwrap())
    }

    async fn execute(&self, sql: &str) {
        Database::execute(self, sql).await;
    }

    async fn refuse(&self, orders: &[&str]) {
        let orders = orders.join("', '");
        self.execute(&format!(
            "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF old.order_id IN ('{orders}') THEN RAISE EXCEPTION 'a rule of its own'; END IF;
                 RETURN coalesce(new, old);
             END $$;
             CREATE TRIGGER refused BEFORE UPDATE OR DELETE ON payments FOR EACH ROW EXECUTE FUNCTION refused()"
        ))
        .await;
    }

    async fn refuse_nothing(&self) {
        self.execute("DROP TRIGGER refused ON payments; DROP FUNCTION refused").await;
    }
}

mod rules {
    use super::*;
    contract_tests!(Database::create().await);
}

/// One of several nodes on one database.
fn node(database: &Database, n: usize) -> Arc<Postgres> {
    let options = Options { instance: format!("node-{n}"), ..OPTIONS.clone() };
    Arc::new(Postgres::open(&database.url(), &options).unwrap())
}

fn key(order: &str) -> Key {
    Key::new(MerchantId::new("shop").unwrap(), OrderId::new(order).unwrap())
}

/// An event of order `order`, `second` seconds into an hour.
fn event(order: &str, id: &str, status: Status, second: u32) -> Event {
    let at = format!("2026-01-31T08:{:02}:{:02}Z", second / 60, second % 60);
    Event::new(key(order), EventId::new(id).unwrap(), status, Timestamp::parse(&at).unwrap())
}
