//! The tables, and how a file of an older version is brought up to date.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::Error;

/// In the header of every file of ours: "PNpd" in ASCII.
const APPLICATION_ID: i32 = 0x504e_7064;

/// Each step once, in this order; the header's `user_version` counts the steps done. A step is never edited after a
/// release: files exist that were made by it.
const STEPS: [&str; 6] = [
    "
    CREATE TABLE payments (
        id            INTEGER PRIMARY KEY,
        merchant_id   TEXT    NOT NULL,
        order_id      TEXT    NOT NULL,
        version       INTEGER NOT NULL,
        status        TEXT    NOT NULL,
        final         INTEGER NOT NULL,
        acked_version INTEGER NOT NULL DEFAULT 0,
        created_ms    INTEGER NOT NULL,
        changed_ms    INTEGER NOT NULL,
        state         TEXT    NOT NULL,
        UNIQUE (merchant_id, order_id)
    ) STRICT;
    CREATE TABLE meta (
        name  TEXT    PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    // Of what is read of a row. Not set where the row is older than this step.
    "ALTER TABLE payments ADD COLUMN checksum INTEGER;",
    "
    CREATE TABLE revoked_tickets (
        fingerprint BLOB    PRIMARY KEY,
        until_s     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE revoked_orders (
        merchant_id TEXT    NOT NULL,
        order_id    TEXT    NOT NULL,
        until_s     INTEGER NOT NULL,
        PRIMARY KEY (merchant_id, order_id)
    ) STRICT, WITHOUT ROWID;
",
    // An entry's order is a payment's id, or that of a row of `watches`, negative. The trigger is for payments that an
    // operator deletes: SQLite may give their ids to others.
    "
    ALTER TABLE payments ADD COLUMN final_version INTEGER;
    ALTER TABLE payments ADD COLUMN final_ms INTEGER;
    ALTER TABLE payments ADD COLUMN escalate_ms INTEGER;
    ALTER TABLE payments ADD COLUMN escalated INTEGER;
    CREATE INDEX payments_escalate_ms ON payments (escalate_ms) WHERE escalate_ms IS NOT NULL;
    CREATE TABLE timeline (
        id       INTEGER PRIMARY KEY,
        order_id INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        node     TEXT    NOT NULL,
        entry    TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX timeline_order_id ON timeline (order_id);
    CREATE TRIGGER payments_deleted AFTER DELETE ON payments BEGIN
        DELETE FROM timeline WHERE order_id = old.id;
    END;
    CREATE TABLE watches (
        id            INTEGER PRIMARY KEY,
        merchant_id   TEXT    NOT NULL,
        order_id      TEXT    NOT NULL,
        made_ms       INTEGER NOT NULL,
        first_ms      INTEGER NOT NULL,
        last_ms       INTEGER NOT NULL,
        pages         INTEGER NOT NULL DEFAULT 0,
        transport     TEXT    NOT NULL DEFAULT '',
        connection    INTEGER NOT NULL DEFAULT 0,
        node          TEXT    NOT NULL DEFAULT '',
        inquired_step INTEGER NOT NULL DEFAULT 0,
        UNIQUE (merchant_id, order_id)
    ) STRICT;
    CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        routing_key TEXT    NOT NULL,
        message_id  TEXT    NOT NULL,
        body        TEXT    NOT NULL,
        created_ms  INTEGER NOT NULL
    ) STRICT;
",
    // The names of the store that several nodes share. An entry's order is a number here, so it is not called `order_id`.
    "
    ALTER TABLE payments RENAME COLUMN final_version TO settled_version;
    ALTER TABLE payments RENAME COLUMN final_ms TO settled_ms;
    ALTER TABLE timeline RENAME TO entries;
    ALTER TABLE entries RENAME COLUMN order_id TO payment_id;
    ALTER TABLE entries RENAME COLUMN entry TO what;
    ALTER TABLE watches RENAME TO watched;
",
    // By which an order is found that bore a number of the provider's.
    "
    CREATE TABLE transactions (
        payment_id     INTEGER NOT NULL,
        transaction_id TEXT    NOT NULL,
        PRIMARY KEY (payment_id, transaction_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX transactions_transaction_id ON transactions (transaction_id);
    DROP TRIGGER payments_deleted;
    CREATE TRIGGER payments_deleted AFTER DELETE ON payments BEGIN
        DELETE FROM entries WHERE payment_id = old.id;
        DELETE FROM transactions WHERE payment_id = old.id;
    END;
",
];

/// The step that makes the table `transactions`, which payments from before are put into.
const TRANSACTIONS_STEP: usize = 6;

/// The number of the event that decides the status: all that a row from before knows.
const INDEX_OLD: &str = r#"
    INSERT OR IGNORE INTO transactions (payment_id, transaction_id)
    SELECT id, transaction_id FROM (
        SELECT id, iif(json_valid(state), json_extract(state, '$.head.provider_transaction_id'), NULL) AS transaction_id
        FROM payments WHERE id > ?1 AND id <= ?2 AND instr(state, '"provider_transaction_id":"') > 0)
    WHERE typeof(transaction_id) = 'text' AND length(transaction_id) > 0"#;
/// Payments of one statement: what a damaged page keeps from being found.
const INDEX_OLD_ROWS: i64 = 500;

/// Files up to this size are looked through when they are opened, rows against index. It takes some four milliseconds a
/// mebibyte, so larger ones are only checked as they are read.
const CHECK_BYTES_MAX: i64 = 32 * 1024 * 1024;

/// Reads the header, before anything is written to what may be another program's file.
///
/// # Errors
/// [`Error::Corrupt`] for another program's file, a newer version's or a damaged one.
pub(super) fn recognise(connection: &Connection) -> Result<(), Error> {
    steps_done(connection).map(drop)
}

/// Makes the tables in an empty file, or brings an older file up to date, in one transaction.
///
/// # Errors
/// As for [`recognise`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    migrate_to(connection, STEPS.len())
}

/// [`migrate`], to the first `steps` of [`STEPS`].
pub(super) fn migrate_to(connection: &mut Connection, steps: usize) -> Result<(), Error> {
    if steps_done(connection)? == steps {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = steps_done(&transaction)?;
    for step in STEPS.iter().take(steps).skip(done) {
        transaction.execute_batch(step)?;
    }
    if (1..TRANSACTIONS_STEP).contains(&done) && steps >= TRANSACTIONS_STEP {
        index_old(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", steps.to_string())?;
    transaction.commit()?;
    Ok(())
}

/// Puts the payments that are there into the index of the provider's numbers. What cannot be read is passed over.
fn index_old(connection: &Connection) -> Result<(), Error> {
    let last: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM payments", [], |row| row.get(0))?;
    let mut index = connection.prepare(INDEX_OLD)?;
    let mut after = 0;
    while after < last {
        let next = after.saturating_add(INDEX_OLD_ROWS);
        match index.execute([after, next]).map_err(Error::from) {
            Ok(_) => {}
            Err(error) if error.may_be_of_one_row() => {
                tracing::error!(after_id = after, %error, "payments cannot be read and are not found by the provider's number");
            }
            Err(error) => return Err(error),
        }
        after = next;
    }
    Ok(())
}

/// Looks through the whole file if it is small.
///
/// # Errors
/// [`Error::Corrupt`] with the first damage found.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    let bytes = pragma(connection, "page_count")?.saturating_mul(pragma(connection, "page_size")?);
    if bytes <= CHECK_BYTES_MAX {
        let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Error::Corrupt(found));
        }
    }
    Ok(())
}

fn steps_done(connection: &Connection) -> Result<usize, Error> {
    let (id, version) = (pragma(connection, "application_id")?, pragma(connection, "user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (id, version, tables) == (0, 0, 0) {
        return Ok(0);
    }
    if id != i64::from(APPLICATION_ID) {
        return Err(Error::Corrupt(format!("the file belongs to another program (application id {id:#x})")));
    }
    match usize::try_from(version) {
        Ok(done) if done <= STEPS.len() => Ok(done),
        _ => Err(Error::Corrupt(format!(
            "the file is of version {version}, but this program supports versions up to {}: a newer one wrote it",
            STEPS.len()
        ))),
    }
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_files_were_made_by_stays_as_it_was() {
        use sha2::{Digest, Sha256};
        let digests =
            STEPS.map(|sql| Sha256::digest(sql)[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let released = [
            "341208ee753ef2f4",
            "646937f65f5705a2",
            "0e4500e62aac2d2b",
            "60d49496557f2adb",
            "52d34c26dcf8c736",
            "d9e768d8acc4490c",
        ];
        assert_eq!(digests, released);
    }
}
