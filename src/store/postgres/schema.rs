//! The tables, and how a database of an older version is brought up to date while older programs still work on it.

use tokio_postgres::Row;

use super::fault::Fault;
use super::session::Session;
use crate::store::Error;

/// One change to the tables.
struct Step {
    sql: &'static str,
    /// The number of steps that a program must know to work on the tables as they are after this one.
    compatible_from: i32,
}

/// Each step once, in this order. A step is never edited after a release: databases exist that were made by it.
const STEPS: [Step; 2] = [
    Step { sql: include_str!("schema/001_payments.sql"), compatible_from: 1 },
    Step { sql: include_str!("schema/002_transactions.sql"), compatible_from: 1 },
];

/// Whoever changes the tables holds this advisory lock: "PNpd" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1347317860)";

/// By a look at the rows themselves: what a session remembers of names that were not there outlives the wait for a lock.
const KNOWS: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_tables
        WHERE tablename = 'schema_steps' AND schemaname = ANY (current_schemas(false)))";

const DONE: &str = "SELECT coalesce(max(step), 0), coalesce(max(compatible_from), 0) FROM schema_steps";

const SERVER: &str = "SELECT current_setting('fsync') = 'on', current_setting('data_checksums') = 'on'";

/// Does the steps that are missing. Of several nodes that come at once one does them, and the others wait.
///
/// # Errors
/// [`Error::Corrupt`] where a newer program has made tables that this one cannot work on.
pub(super) async fn migrate(session: &Session) -> Result<(), Fault> {
    warn_of_server(session).await?;
    if steps_done(session).await? < STEPS.len() {
        let client = session.client()?;
        client.batch_execute("BEGIN").await?;
        client.batch_execute(LOCK).await?;
        let done = steps_done(session).await?;
        for (number, step) in (1i32..).zip(&STEPS).skip(done) {
            client.batch_execute(step.sql).await?;
            let insert = "INSERT INTO schema_steps (step, compatible_from) VALUES ($1, $2)";
            client.execute(insert, &[&number, &step.compatible_from]).await?;
            tracing::info!(step = number, "changed the tables of the store");
        }
        client.batch_execute("COMMIT").await?;
    }
    Ok(())
}

/// How many of [`STEPS`] are done.
async fn steps_done(session: &Session) -> Result<usize, Fault> {
    let client = session.client()?;
    if !client.query_one(KNOWS, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row: Row = client.query_one(DONE, &[]).await?;
    let (done, compatible_from): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
    understood(done, compatible_from, STEPS.len())
}

/// `known` steps of `done`, unless one of those that are not known changed what is relied upon.
fn understood(done: i32, compatible_from: i32, known: usize) -> Result<usize, Fault> {
    let (steps, needed) = (usize::try_from(done).unwrap_or(0), usize::try_from(compatible_from).unwrap_or(0));
    if needed > known {
        return Err(Fault::Store(Error::Corrupt(format!(
            "its tables are of version {steps} and need a program that supports version {needed}, \
             but this one supports versions up to {known}: a newer one has changed them"
        ))));
    }
    if steps > known {
        tracing::info!(
            tables = steps,
            known,
            "a newer program has changed the store's tables; this one can still use them"
        );
    }
    Ok(steps.min(known))
}

async fn warn_of_server(session: &Session) -> Result<(), Fault> {
    let row = session.client()?.query_one(SERVER, &[]).await?;
    if !row.try_get::<_, bool>(0)? {
        tracing::warn!("PostgreSQL has fsync off: a power failure can lose acknowledged payments");
    }
    if !row.try_get::<_, bool>(1)? {
        tracing::warn!("PostgreSQL has data checksums off: disk corruption goes unnoticed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_databases_were_made_by_stays_as_it_was() {
        use sha2::{Digest, Sha256};
        let digest = |sql: &str| Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let digests = STEPS.each_ref().map(|step| digest(step.sql));
        let released = [
            "8459758e3c0ab6ae7c82c53cf9db882a2be9abb0489f262cb2c9e7028b0a3cbd",
            "c2425bdba394fb03ce9dff9ef2a9532c5274d14c14323da251fd1bc4eab17730",
        ];
        assert_eq!(digests, released);
    }

    #[test]
    fn newer_tables_are_used_if_they_are_compatible_and_refused_if_not() {
        assert_eq!(understood(3, 1, 3).unwrap(), 3);
        assert_eq!(understood(5, 3, 3).unwrap(), 3);
        let refused = Error::from(understood(5, 4, 3).unwrap_err());
        assert!(matches!(&refused, Error::Corrupt(text) if text.contains("supports versions up to 3")), "{refused}");
    }
}
