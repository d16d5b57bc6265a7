//! The ledger where nothing fails: what all other rows are compared with.

use crate::ledger::Ledger;
use crate::support::Service;

#[tokio::test]
async fn calm_loses_nothing() {
    let service = Service::start().await;
    let ledger = Ledger::open("calm", &service).await;
    for _ in 0..3 {
        ledger.flows().await;
    }
    assert!(ledger.confirmed() > 0);
    ledger.prove(&service, 1).await;
}
