//! A broker that stops in good order, and one that is killed.

use super::node::Node;
use crate::ledger::Ledger;

const STOPS: usize = 10;
/// As many of them end the whole Erlang VM, which takes far longer to start.
const WHOLE_STOPS: usize = 1;
const KILLS: usize = 2;

#[tokio::test]
async fn broker_stopped_ten_times_under_load() {
    let node = Node::start("").await;
    let service = node.setup().await.start().await;
    let ledger = Ledger::open("broker-stopped", &service).await;
    for stop in 0..STOPS {
        if stop < WHOLE_STOPS {
            node.restart().await;
        } else {
            // What rabbitmqctl stop_app and start_app do, by one start of that tool.
            node.ctl(&["eval", "rabbit:stop(), rabbit:start()."]).await;
        }
        ledger.flows().await;
    }
    ledger.prove(&service, STOPS).await;
}

#[tokio::test]
async fn broker_killed_under_load() {
    let node = Node::start("").await;
    let service = node.setup().await.start().await;
    let ledger = Ledger::open("broker-killed", &service).await;
    for _ in 0..KILLS {
        node.kill().await;
        node.up().await;
        ledger.flows().await;
    }
    ledger.prove(&service, KILLS).await;
}
