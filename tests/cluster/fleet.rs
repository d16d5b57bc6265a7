//! Some nodes on one vhost and one database, and nginx before them.

use std::sync::Arc;

use crate::net::Net;
use crate::nginx::Nginx;
use crate::support::{Service, Setup, Vhost};

/// What all nodes are started with.
pub(crate) struct Common {
    pub(crate) vhost: Arc<Vhost>,
    /// One address or several, with commas.
    pub(crate) amqp_url: String,
    pub(crate) store_url: String,
    pub(crate) drain_s: u64,
}

impl Common {
    /// The settings of node `number`. It serves pages at its address of the net.
    pub(crate) fn setup(&self, net: Net, number: u8) -> Setup {
        Setup::on(Arc::clone(&self.vhost))
            .set("INSTANCE", format!("node-{number}"))
            .set("AMQP__URL", &self.amqp_url)
            .set("STORE__URL", &self.store_url)
            .set("HTTP__LISTEN", net.node(number))
            .set("HTTP__TRUSTED_PROXIES", "127.0.0.1")
            .set("HTTP__DRAIN_S", self.drain_s)
    }
}

/// Nodes, from 1 on, and what stands before them.
pub(crate) struct Fleet {
    pub(crate) nodes: Vec<Service>,
    pub(crate) nginx: Nginx,
}

impl Fleet {
    pub(crate) async fn start(common: &Common, count: u8) -> Self {
        let net = Net::new();
        let numbers: Vec<u8> = (1..=count).collect();
        let nginx = Nginx::start(net, &numbers).await;
        let mut nodes = Vec::new();
        for number in numbers {
            nodes.push(common.setup(net, number).start().await);
        }
        let mut fleet = Self { nodes, nginx };
        fleet.behind_nginx();
        fleet
    }

    /// Through which the first node stands for all.
    pub(crate) fn edge(&self) -> &Service {
        &self.nodes[0]
    }

    /// `kill -9`, to be started again.
    pub(crate) async fn kill9(&mut self, index: usize) {
        self.nodes[index].kill9().await;
    }

    pub(crate) async fn start_again(&mut self, index: usize) {
        self.nodes[index].start_again().await;
        self.behind_nginx();
    }

    /// `SIGTERM`, until it has drained and ended; then it is started again.
    pub(crate) async fn restart(&mut self, index: usize) {
        self.nodes[index].terminate();
        let ended = self.nodes[index].wait_end().await;
        assert!(ended.success(), "{}", self.nodes[index].logs().tail());
        self.start_again(index).await;
    }

    fn behind_nginx(&mut self) {
        for node in &mut self.nodes {
            node.http = self.nginx.address;
        }
    }
}
