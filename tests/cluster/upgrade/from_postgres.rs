//! A database of an older version, which this one brings up to date.

use super::fixtures::Fixture;
use super::go_on::{self, Upgraded};
use crate::postgres_server::Database;
use crate::sql;

#[tokio::test]
async fn a_database_is_answered_from_worked_on_and_emptied() {
    let fixture = Fixture::named("postgres-1");
    let database = Database::create().await;
    database.execute(&fixture.text("database.sql")).await;
    let mut upgraded = Upgraded::start(go_on::setup().await.set("STORE__URL", database.url())).await;
    upgraded.works_on(&fixture.said()).await;
    for table in ["payments", "entries", "inquired", "transactions", "outbox"] {
        let count = sql::rows(&database.url(), &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(count[0].get(0), Some("0"), "{table}");
    }
}
