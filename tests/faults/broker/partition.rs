//! The way to the broker swallows every packet: no reset, no refusal, nothing.

use super::namespace::Namespace;
use crate::ledger::{Ledger, row};
use crate::support::{Proxy, Setup};

const RUNS: usize = 2;

#[tokio::test]
async fn partition_is_noticed_by_heartbeat_and_nothing_is_lost() {
    let namespace = match Namespace::create() {
        Ok(namespace) => namespace,
        Err(why) => {
            row(&format!("partition left-out: needs root, ip netns and nft ({why})"));
            return;
        }
    };
    // Joins the namespace to a broker that listens on loopback alone.
    let proxy = Proxy::start_at(&format!("{}:0", namespace.outside));
    let service = Setup::new()
        .await
        .through(&proxy)
        .wrapped_by(&namespace.wrapper())
        .set("AMQP__HEARTBEAT_S", 1)
        .set("AMQP__CONNECT_TIMEOUT_S", 2)
        .set("HTTP__LISTEN", format!("{}:0", namespace.inside))
        .set("ADMIN__LISTEN", format!("{}:0", namespace.inside))
        .set("ADMIN__TOKEN", "for-an-address-off-loopback")
        .start()
        .await;
    let ledger = Ledger::open("partition", &service).await;
    for _ in 0..RUNS {
        namespace.cut(proxy.address.port());
        service.wait_unready_for(&["broker"]).await;
        namespace.heal();
        ledger.flows().await;
    }
    ledger.prove(&service, RUNS).await;
}
