//! `kill -9` at each point of the outbox: between commit and publish, between publish and confirm, between confirm and
//! removal, and at any moment. Nothing is lost, and no kill repeats more than one batch.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt;
use serde_json::json;

use crate::ledger::row;
use crate::support::{Proxy, Publisher, Service, Setup, Told, event, ticket, wait_for};

const BATCH_MAX: usize = 8;
/// Results that are acknowledged before each kill: more than one batch.
const ORDERS: usize = 20;
const ROUNDS: usize = 8;
const KILLS_AT_RANDOM: usize = 30;

/// One service that is killed again and again, and the merchant that listens.
struct Victim {
    name: &'static str,
    service: Service,
    publisher: Publisher,
    proxy: Proxy,
    told: Told,
    /// The ids of what has to be told.
    expected: BTreeSet<String>,
    kills: usize,
}

impl Victim {
    async fn start(name: &'static str) -> Self {
        let proxy = Proxy::start();
        // Long enough that no confirm that is held back is given up before the kill.
        let setup = Setup::new().await.through(&proxy).set("AMQP__CONFIRM_TIMEOUT_S", 20);
        let setup = setup.set("OUTBOX__BATCH_MAX", BATCH_MAX);
        let service = setup.start().await;
        let publisher = Publisher::connect(service.vhost()).await;
        let told = Told::of(service.vhost(), "payment.delivered").await;
        let mut victim = Self { name, service, publisher, proxy, told, expected: BTreeSet::new(), kills: 0 };
        // Its publisher has connections and channels from here on.
        let orders = victim.results("first").await;
        victim.acknowledge(&orders).await;
        victim.hear_all().await;
        victim
    }

    /// Final results that no page has acknowledged yet.
    async fn results(&self, round: &str) -> Vec<String> {
        let orders: Vec<_> = (0..ORDERS).map(|n| format!("{}-{round}-{n}", self.name)).collect();
        for order in &orders {
            self.publisher.publish(&event(order, "succeeded")).await;
        }
        for order in &orders {
            self.service.payment_with_status(order, &ticket(order.as_str()), "succeeded").await;
        }
        orders
    }

    /// Pages have shown them, all at once: from the answer on, each has to be told.
    async fn acknowledge(&mut self, orders: &[String]) {
        let service = &self.service;
        let each = orders.iter().map(|order| async move {
            let target = format!("/v1/payments/{order}/ack");
            let answer = service.post(&target, &ticket(order.as_str()), &json!({ "version": 1 })).await;
            assert_eq!(answer.status, 204, "{}", answer.text);
        });
        join_all(each).await;
        self.expected.extend(orders.iter().map(|order| format!("payment.delivered:shop:{order}:1")));
    }

    /// Messages of the outbox that the process knows to be published.
    async fn confirmed(&self) -> f64 {
        self.service.metric("payment_notifier_outbox_published_total", "result=\"confirmed\"").await
    }

    /// Ends it, starts it again, and waits until all is told that was to be.
    async fn die_and_tell(&mut self) {
        self.service.kill9().await;
        self.kills += 1;
        self.proxy.cut_and_pass();
        self.service.start_again().await;
        self.hear_all().await;
    }

    /// Until all is told and removed: what the service has yet to remove would be repeated by the next kill.
    async fn hear_all(&mut self) {
        while !self.expected.iter().all(|id| self.told.times().contains_key(id)) {
            self.told.next().await;
        }
        wait_for("the outbox is empty", async || (waiting(&self.service) == 0).then_some(())).await;
    }

    /// Nothing is lost, nothing is made up, and each kill has repeated at most one batch.
    async fn prove(mut self) {
        self.hear_all().await;
        // Whatever comes after this came before it.
        let last = self.results("last").await;
        self.acknowledge(&last).await;
        self.hear_all().await;
        let times = self.told.times();
        assert_eq!(times.keys().cloned().collect::<BTreeSet<_>>(), self.expected);
        let repeated: usize = times.values().map(|times| times - 1).sum();
        row(&format!(
            "outbox-{} runs={} lost=0 told={} repeated={repeated} batch_max={BATCH_MAX}",
            self.name,
            self.kills,
            self.expected.len()
        ));
        assert!(repeated <= self.kills * BATCH_MAX, "{repeated} of {} kills", self.kills);
    }
}

/// Messages in the outbox of a service that is at rest.
fn waiting(service: &Service) -> i64 {
    let connection = rusqlite::Connection::open(service.database()).unwrap();
    connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_between_commit_and_publish_loses_nothing_and_repeats_nothing() {
    let mut victim = Victim::start("before-publish").await;
    for round in 0..ROUNDS {
        let orders = victim.results(&round.to_string()).await;
        let heard = victim.told.heard.len();
        victim.proxy.deafen_broker();
        victim.acknowledge(&orders).await;
        victim.die_and_tell().await;
        assert_eq!(victim.told.heard.len(), heard + ORDERS, "none was published before");
    }
    victim.prove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_between_publish_and_confirm_loses_nothing_and_repeats_one_batch() {
    let mut victim = Victim::start("before-confirm").await;
    for round in 0..ROUNDS {
        let orders = victim.results(&round.to_string()).await;
        let before = victim.confirmed().await;
        victim.proxy.hold_broker();
        victim.acknowledge(&orders).await;
        victim.told.next().await;
        assert_eq!(victim.confirmed().await, before, "no confirm has come through");
        victim.die_and_tell().await;
    }
    victim.prove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_between_confirm_and_removal_loses_nothing_and_repeats_one_batch() {
    let mut victim = Victim::start("before-removal").await;
    for round in 0..ROUNDS {
        let orders = victim.results(&round.to_string()).await;
        let before = victim.confirmed().await;
        victim.proxy.hold_broker();
        victim.acknowledge(&orders).await;
        victim.told.next().await;
        let lock = rusqlite::Connection::open(victim.service.database()).unwrap();
        lock.busy_timeout(Duration::from_secs(20)).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        victim.proxy.pass();
        wait_for("a confirm has come through", async || (victim.confirmed().await > before).then_some(())).await;
        victim.service.kill9().await;
        lock.execute_batch("ROLLBACK").unwrap();
        victim.die_and_tell().await;
    }
    assert!(victim.told.heard.len() > victim.expected.len(), "what was confirmed and not removed is repeated");
    victim.prove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_moment_of_the_outbox_loses_nothing() {
    let mut victim = Victim::start("anywhere").await;
    for round in 0..KILLS_AT_RANDOM {
        let orders = victim.results(&round.to_string()).await;
        victim.acknowledge(&orders).await;
        let micros = rand::rng().random_range(0..60_000);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        victim.die_and_tell().await;
    }
    victim.prove().await;
}
