//! A cluster of three nodes that loses one, the queue's leader first.

use super::node::{Node, WRITE_ALL, run};
use crate::ledger::{Ledger, PATIENCE};
use crate::support::broker::Broker;
use crate::support::{Setup, Vhost, wait_up_to};

const NODES: usize = 3;
const QUEUE: &str = "payment-notifier.results";

fn name_of(cluster: &Node, number: usize) -> String {
    let env = std::fs::read_to_string(cluster.member(number).join("env")).expect("it is up");
    env.lines().find_map(|line| line.strip_prefix("RABBITMQ_NODENAME=")).expect("its name").to_owned()
}

/// The number of the queue's leader, once each of its members is there.
async fn leader(vhost: &Vhost, names: &[String]) -> usize {
    wait_up_to(PATIENCE, "the queue has all its members", async || {
        let queue = vhost.get("queues", QUEUE).await;
        let all_online = queue["online"].as_array().is_some_and(|online| online.len() == NODES);
        let leader = names.iter().position(|name| queue["leader"] == name.as_str())?;
        all_online.then_some(leader + 1)
    })
    .await
}

#[tokio::test]
async fn one_of_three_nodes_lost_the_leader_included() {
    let cluster = Node::start_cluster().await;
    let members: Vec<Broker> = (1..=NODES).map(|number| Broker::of_folder(&cluster.member(number))).collect();
    let names: Vec<String> = (1..=NODES).map(|number| name_of(&cluster, number)).collect();
    let vhost = std::sync::Arc::new(Vhost::create_on(members[0].clone()).await);
    let urls: Vec<String> = members.iter().map(|member| vhost.amqp_url_at(member.amqp_authority())).collect();
    let service = Setup::on(vhost.clone()).set("AMQP__URL", urls.join(",")).start().await;
    let ledger = Ledger::open_by("one-of-three-lost", &service, urls).await;

    let first = leader(&vhost, &names).await;
    lose(&cluster, first, &ledger).await;
    let second = leader(&vhost, &names).await;
    assert_ne!(second, first, "another member leads since");
    lose(&cluster, second, &ledger).await;
    let third = leader(&vhost, &names).await;
    let follower = (1..=NODES).find(|number| *number != third).expect("three nodes");
    lose(&cluster, follower, &ledger).await;
    leader(&vhost, &names).await;
    ledger.prove(&service, NODES).await;
}

/// Events flow while it is away, and when it is back.
async fn lose(cluster: &Node, number: usize, ledger: &Ledger) {
    run("ctl", &cluster.member(number), &["eval", WRITE_ALL]).await;
    run("kill", &cluster.member(number), &[]).await;
    ledger.flows().await;
    run("up", &cluster.member(number), &[]).await;
    ledger.flows().await;
}
