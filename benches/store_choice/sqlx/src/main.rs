//! sqlx as its documentation has it: a pool of one connection that writes, a pool of those that read, and every
//! statement awaited.

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use store_choice_workload::{CACHE_KIB, CREATE, Candidate, MERCHANT, READERS, Row, SELECT, UPSERT, measure};

struct Pools {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Pools {
    async fn apply(&self, rows: Vec<Row>) -> sqlx::Result<()> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for row in rows {
            let before: Option<String> =
                sqlx::query_scalar(SELECT).bind(MERCHANT).bind(&row.order_id).fetch_optional(&mut *transaction).await?;
            std::hint::black_box(before);
            sqlx::query(UPSERT)
                .bind(MERCHANT)
                .bind(row.order_id)
                .bind(row.version)
                .bind(1_700_000_000_000_i64)
                .bind(row.state)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

impl Candidate for Pools {
    async fn apply(&self, rows: Vec<Row>) {
        self.apply(rows).await.expect("a commit");
    }

    async fn read(&self, order_id: String) -> String {
        let read = sqlx::query_scalar(SELECT).bind(MERCHANT).bind(order_id).fetch_one(&self.readers);
        read.await.expect("a read")
    }
}

#[tokio::main]
async fn main() {
    let path = std::env::args().nth(1).expect("a path");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", (-CACHE_KIB).to_string());
    let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.expect("a writer");
    sqlx::query(CREATE).execute(&writer).await.expect("the table");
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&writer).await.expect("a version");
    eprintln!("sqlx over SQLite {version}");
    let readers = SqlitePoolOptions::new().min_connections(READERS).max_connections(READERS);
    let readers = readers.connect_with(options.read_only(true)).await.expect("readers");
    measure(Pools { writer, readers }).await;
}
