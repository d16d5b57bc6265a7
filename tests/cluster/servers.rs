//! A cluster of three RabbitMQ nodes of the test's own.

use std::path::Path;
use std::sync::Arc;

use crate::broker_node::{Node, WRITE_ALL, run};
use crate::ledger::PATIENCE;
use crate::support::broker::Broker;
use crate::support::{Vhost, wait_up_to};

/// Three nodes of RabbitMQ, and a vhost of them.
pub(crate) struct Brokers {
    cluster: Node,
    names: Vec<String>,
    pub(crate) vhost: Arc<Vhost>,
    /// Of each node.
    pub(crate) urls: Vec<String>,
}

const NODES: usize = 3;

impl Brokers {
    pub(crate) async fn start() -> Self {
        let cluster = Node::start_cluster().await;
        let members: Vec<Broker> = (1..=NODES).map(|number| Broker::of_folder(&cluster.member(number))).collect();
        let names = (1..=NODES).map(|number| of_env(&cluster.member(number), "RABBITMQ_NODENAME=")).collect();
        let vhost = Arc::new(Vhost::create_on(members[0].clone()).await);
        let urls = members.iter().map(|member| vhost.amqp_url_at(member.amqp_authority())).collect();
        Self { cluster, names, vhost, urls }
    }

    /// The number of the node that leads the queue, once each has a member of it.
    pub(crate) async fn leader(&self) -> usize {
        wait_up_to(PATIENCE, "the queue has all its members", async || {
            let queue = self.vhost.get("queues", "payment-notifier.results").await;
            let all_online = queue["online"].as_array().is_some_and(|online| online.len() == NODES);
            let leader = self.names.iter().position(|name| queue["leader"] == name.as_str())?;
            all_online.then_some(leader + 1)
        })
        .await
    }

    /// `kill -9`
    pub(crate) async fn kill(&self, number: usize) {
        run("ctl", &self.cluster.member(number), &["eval", WRITE_ALL]).await;
        run("kill", &self.cluster.member(number), &[]).await;
    }

    pub(crate) async fn up(&self, number: usize) {
        run("up", &self.cluster.member(number), &[]).await;
    }
}

fn of_env(folder: &Path, prefix: &str) -> String {
    let text = std::fs::read_to_string(folder.join("env")).expect("it is up");
    text.lines().find_map(|line| line.strip_prefix(prefix)).expect("it is told").to_owned()
}
