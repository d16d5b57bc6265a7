//! What PostgreSQL's errors mean to those who asked.

use std::error::Error as _;

use deadpool::managed::PoolError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::connections::Refusal;
use super::pooler;
use crate::store::Error;

/// Why one attempt came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database, or the way to it.
    Database(tokio_postgres::Error),
    /// No connection was to be had.
    Pool(PoolError<Refusal>),
    /// A pooler on the way gave this connection a session of another.
    Pooler,
    /// Another has changed in between what this attempt had seen.
    Overtaken,
    /// COMMIT was sent, and whether it was done is not known.
    Unanswered(Box<Self>),
    /// Anything else.
    Store(Error),
}

impl Fault {
    /// Whether the same attempt may do better at once: another transaction was in the way, or the connection was one that
    /// had ended while it lay idle.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Overtaken => true,
            Self::Database(error) => match error.code() {
                Some(code) => is_collision(code) || is_ending(code),
                None => error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()),
            },
            // Ended while it was being made.
            Self::Pool(PoolError::Backend(Refusal::Database(error))) => {
                error.is_closed() || error.code().is_some_and(is_ending)
            }
            Self::Unanswered(fault) => fault.is_passing(),
            Self::Pool(_) | Self::Pooler | Self::Store(_) => false,
        }
    }

    /// Whether a pooler was found that keeps no sessions.
    pub(super) fn is_of_pooler(&self) -> bool {
        match self {
            Self::Pooler | Self::Pool(PoolError::Backend(Refusal::Pooler)) => true,
            Self::Unanswered(fault) => fault.is_of_pooler(),
            _ => false,
        }
    }

    /// Over a pooled connection: a statement that was prepared is gone only with its session.
    pub(super) fn behind_pooler(self) -> Self {
        match &self {
            Self::Database(error)
                if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME)
                    || error.code() == Some(&SqlState::DUPLICATE_PSTATEMENT) =>
            {
                Self::Pooler
            }
            _ => self,
        }
    }

    /// Whether what was to be done may have been done.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unanswered(_))
    }

    /// Of a transaction whose COMMIT was sent. Who ends a session ends it after a commit as well as before one; only a
    /// statement that the server refuses was not followed by one.
    pub(super) fn of_commit(self) -> Self {
        if self.is_refusal() { self } else { Self::Unanswered(Box::new(self)) }
    }

    /// Whether the server has refused a statement, and with it the transaction.
    pub(super) fn is_refusal(&self) -> bool {
        let Self::Database(error) = self else { return false };
        error.as_db_error().and_then(DbError::parsed_severity) == Some(Severity::Error)
    }
}

fn is_collision(code: &SqlState) -> bool {
    *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE
}

/// The server ends this connection, or has become one that takes no writes.
fn is_ending(code: &SqlState) -> bool {
    *code == SqlState::ADMIN_SHUTDOWN
        || *code == SqlState::CRASH_SHUTDOWN
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Database(error) => Self::Database(error),
            Refusal::Pooler => Self::Pooler,
        }
    }
}

impl From<PoolError<Refusal>> for Fault {
    fn from(error: PoolError<Refusal>) -> Self {
        Self::Pool(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Unanswered(fault) => Self::from(*fault),
            Fault::Overtaken => Self::Unavailable("another node is changing the same rows".to_owned()),
            Fault::Pooler | Fault::Pool(PoolError::Backend(Refusal::Pooler)) => Self::Unfit(pooler::REFUSED.to_owned()),
            Fault::Database(error) | Fault::Pool(PoolError::Backend(Refusal::Database(error))) => of_database(&error),
            Fault::Pool(PoolError::Closed) => Self::Closed,
            Fault::Pool(error) => Self::Unavailable(format!("PostgreSQL: {error}")),
        }
    }
}

/// The server's message without its details, which repeat what is stored.
fn of_database(error: &tokio_postgres::Error) -> Error {
    let Some(answer) = error.as_db_error() else {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        return Error::Unavailable(format!("PostgreSQL: {error}{cause}"));
    };
    let text = format!("PostgreSQL: {} ({})", answer.message(), answer.code().code());
    match answer.code().code() {
        // Data or index corrupted, and how else the server says that it cannot read a place: internal error, no such file,
        // I/O error.
        "XX001" | "XX002" | "XX000" | "58P01" | "58030" => Error::Corrupt(text),
        // The program's own statements break no rule of its own tables.
        code if REFUSALS.iter().any(|class| code.starts_with(class)) => Error::Refused(text),
        _ => Error::Unavailable(text),
    }
}

/// Classes of errors that tell of a row: data exception, integrity constraint, trigger, check of a view.
const REFUSALS: [&str; 4] = ["22", "23", "P0", "44"];
