//! Three nodes, three of RabbitMQ and one PostgreSQL behind nginx, under load: what the loss of each costs, and that nothing
//! is lost.

use std::time::{Duration, Instant};

use crate::fleet::{Common, Fleet};
use crate::ledger::{Ledger, Load, PATIENCE, row};
use crate::nginx::NODES;
use crate::postgres_server::OwnServer;
use crate::servers::Brokers;
use crate::support::wait_for;

/// 600 pages.
const USUAL: Load = Load {
    lanes: 2,
    tick: Duration::from_millis(20),
    orders: 40,
    by_each_transport: 10,
    sockets: 14,
    patience: PATIENCE,
};
/// 15,000 pages.
const LARGE: Load = Load {
    lanes: 4,
    tick: Duration::from_millis(10),
    orders: 1_000,
    by_each_transport: 10,
    sockets: 15,
    patience: Duration::from_secs(300),
};

/// What pages may be told. 499 is nginx's note of a page that went away by itself.
const TOLD: [u16; 4] = [101, 200, 499, 503];

/// All of them in turn; each ends when every page has been shown something that was published after it.
struct Storm {
    name: &'static str,
    fleet: Fleet,
    brokers: Brokers,
    postgres: OwnServer,
    ledger: Ledger,
}

impl Storm {
    async fn begin(name: &'static str, load: &Load, drain_s: u64) -> Self {
        let pages = load.orders * load.sockets + load.by_each_transport * 4;
        let files = u64::try_from(pages).expect("a small number") + 1_000;
        assert!(payment_notifier::runtime::raise_open_files() > files, "the test itself needs {files} files");
        let (brokers, postgres) = tokio::join!(Brokers::start(), OwnServer::start());
        let common = Common {
            vhost: brokers.vhost.clone(),
            amqp_url: brokers.urls.join(","),
            store_url: postgres.url(),
            drain_s,
        };
        let fleet = Fleet::start(&common, NODES).await;
        brokers.leader().await;
        let began = Instant::now();
        let ledger = Ledger::open_with(name, fleet.edge(), brokers.urls.clone(), load).await;
        row(&format!("{name}/calm pages={pages} told_after_ms={}", began.elapsed().as_millis()));
        Self { name, fleet, brokers, postgres, ledger }
    }

    /// Prints the pause since `began`.
    fn tell(&self, fault: &str, began: Instant) {
        let (pause_ms, took_ms) = (self.ledger.pause_ms_since(began), began.elapsed().as_millis());
        row(&format!("{}/{fault} pause_ms={pause_ms} took_ms={took_ms}", self.name));
    }

    async fn all(mut self) {
        let name = self.name;
        let mut runs = 0;
        self.a_node_is_killed().await;
        self.a_broker_node_is_killed().await;
        self.postgres_restarts().await;
        self.postgres_is_killed().await;
        runs += 4;
        for index in 0..self.fleet.nodes.len() {
            let began = Instant::now();
            self.fleet.restart(index).await;
            self.ledger.flows().await;
            self.tell(&format!("node-{}-restarted", index + 1), began);
            runs += 1;
        }
        self.each_node_works_for_the_others(name).await;
        self.ledger.prove(self.fleet.edge(), runs).await;
        let told = self.fleet.nginx.statuses();
        row(&format!("{name}/nginx told={told:?} refused={:?}", self.fleet.nginx.refusals()));
        assert!(told.keys().all(|status| TOLD.contains(status)), "pages are told what docs/PROTOCOL.md says: {told:?}");
    }

    async fn a_node_is_killed(&mut self) {
        let began = Instant::now();
        self.fleet.kill9(1).await;
        self.ledger.flows().await;
        self.tell("node-killed", began);
        self.fleet.start_again(1).await;
        self.ledger.flows().await;
    }

    async fn a_broker_node_is_killed(&self) {
        let leader = self.brokers.leader().await;
        let began = Instant::now();
        self.brokers.kill(leader).await;
        self.ledger.flows().await;
        self.tell("broker-node-killed", began);
        self.brokers.up(leader).await;
        self.brokers.leader().await;
        self.ledger.flows().await;
    }

    async fn postgres_restarts(&self) {
        let began = Instant::now();
        self.postgres.script("restart").await;
        self.ledger.flows().await;
        self.tell("postgres-restarted", began);
    }

    async fn postgres_is_killed(&self) {
        let began = Instant::now();
        self.postgres.script("kill").await;
        self.postgres.script("up").await;
        self.ledger.flows().await;
        self.tell("postgres-killed", began);
    }

    /// Each has stored events of its own since its start, and was told of others'.
    async fn each_node_works_for_the_others(&self, name: &str) {
        for (index, node) in self.fleet.nodes.iter().enumerate() {
            let own = wait_for(&format!("{name}: node {} consumes", index + 1), async || {
                let own = node.metric("payment_notifier_events_total", "applied").await;
                (own > 0.0).then_some(own)
            })
            .await;
            let pages = node.metric("payment_notifier_pages_waiting", "").await;
            row(&format!("{name}/node-{} applied={own} pages={pages}", index + 1));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_lose_one_of_everything_in_turn_and_no_event_and_no_page_is_lost() {
    Storm::begin("three-nodes", &USUAL, 2).await.all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and most of a machine's open files"]
async fn fifteen_thousand_pages_lose_one_of_everything_in_turn() {
    Storm::begin("fifteen-thousand", &LARGE, 10).await.all().await;
}
