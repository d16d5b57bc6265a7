//! Files of older versions, opened by this one.

use super::fixtures::Fixture;
use super::go_on::{self, Upgraded};

/// Tables with rows of payments that are still there, and what SQLite finds wrong with the file.
async fn left(upgraded: &mut Upgraded) -> (Vec<&'static str>, String) {
    upgraded.ends().await;
    let file = rusqlite::Connection::open(upgraded.service.database()).unwrap();
    let rows = |table: &str| file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
    let tables = ["payments", "entries", "transactions", "outbox"];
    let left = tables.into_iter().filter(|table| rows(table).unwrap() > 0).collect();
    (left, file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap())
}

async fn works_on(fixture: &Fixture) {
    let setup = go_on::setup().await;
    fixture.put_into(&setup);
    let mut upgraded = Upgraded::start(setup).await;
    // Both files are of one history.
    upgraded.works_on(&Fixture::named("sqlite-4").said()).await;
    assert_eq!(left(&mut upgraded).await, (Vec::new(), "ok".to_owned()));
}

#[tokio::test]
async fn a_file_that_was_closed_is_answered_from_worked_on_and_emptied() {
    works_on(&Fixture::named("sqlite-4")).await;
}

#[tokio::test]
async fn a_file_of_a_killed_program_is_answered_from_with_what_is_in_its_log_alone() {
    let killed = Fixture::named("sqlite-4-killed");
    let log = killed.path().join("payments.db-wal");
    assert!(std::fs::metadata(log).unwrap().len() > 0, "what was stored last is in the log");
    works_on(&killed).await;
}
