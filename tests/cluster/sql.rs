//! Statements that a test runs by itself.

use tokio_postgres::{NoTls, SimpleQueryMessage, SimpleQueryRow};

/// The rows that a statement answers.
#[allow(clippy::disallowed_methods, reason = "a connection of the test's own, which ends with it")]
pub(crate) async fn rows(url: &str, sql: &str) -> Vec<SimpleQueryRow> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL accepts us");
    let serving = tokio::spawn(connection);
    let answers = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    drop(client);
    serving.await.expect("no panic").expect("a connection that ends well");
    let rows = answers.into_iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.collect()
}
