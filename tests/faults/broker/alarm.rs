//! A memory alarm: RabbitMQ takes nothing more from anybody who publishes, this service's dead letters among them.

use std::time::Duration;

use lapin::BasicProperties;

use super::node::Node;
use crate::ledger::Ledger;
use crate::support::{Publisher, event, ticket, wait_up_to};

/// Deliveries in flight: far fewer than wait in the queue when the alarm comes, and more than the bad ones among those.
const PREFETCH: usize = 50;
/// For twice as many confirms, one after the other.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn memory_alarm_consuming_goes_on_and_dead_letters_wait() {
    let node = Node::start("").await;
    let service = node.setup().await.set("AMQP__PREFETCH", PREFETCH).start().await;
    let ledger = Ledger::open("memory-alarm", &service).await;
    let publisher = Publisher::connect(service.vhost()).await;
    // Held back until the alarm is there.
    let lock = rusqlite::Connection::open(service.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let enough = ledger.confirmed() + 2 * PREFETCH;
    wait_up_to(PATIENCE, "events wait in the queue", async || (ledger.confirmed() > enough).then_some(())).await;
    publisher.publish_bytes(b"bad", BasicProperties::default()).await;
    publisher.publish(&event("alarm-1", "succeeded")).await;
    node.ctl(&["set_vm_memory_high_watermark", "0.00001"]).await;
    lock.execute_batch("ROLLBACK").unwrap();

    service.payment_with_status("alarm-1", &ticket("alarm-1"), "succeeded").await;
    // Dead letters wait for the end of the alarm.
    service.wait_unready_for(&["blocks publishers"]).await;
    node.ctl(&["set_vm_memory_high_watermark", "0.6"]).await;
    ledger.flows().await;
    ledger.prove(&service, 1).await;
}
