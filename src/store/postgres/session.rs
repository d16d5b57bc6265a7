//! One connection for the time of one piece of work.

use std::sync::Arc;

use deadpool::managed::Object;
use deadpool_postgres::ClientWrapper;
use futures_util::future::join;
use tokio_postgres::Statement;

use super::connections::{Connection, Connections};
use super::fault::Fault;
use crate::store::Error;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const COMMIT: &str = "COMMIT";

/// A connection that goes back to the others only when it is said to be sound. Clones are one connection.
#[derive(Clone)]
pub(super) struct Session(Arc<Held>);

struct Held(Option<Object<Connections>>);

impl Session {
    pub(super) fn new(object: Object<Connections>) -> Self {
        Self(Arc::new(Held(Some(object))))
    }

    /// Gives the connection back, if nobody else has it.
    pub(super) fn keep(self) {
        if let Some(mut held) = Arc::into_inner(self.0) {
            drop(held.0.take());
        }
    }

    /// The connection.
    ///
    /// # Errors
    /// None: it is there for as long as this is.
    pub(super) fn connection(&self) -> Result<&Connection, Fault> {
        self.0.0.as_deref().ok_or(Fault::Store(Error::Closed))
    }

    /// What statements are sent by.
    ///
    /// # Errors
    /// As for [`Session::connection`].
    pub(super) fn client(&self) -> Result<&ClientWrapper, Fault> {
        Ok(self.connection()?)
    }

    /// # Errors
    /// [`Fault::Pooler`] where a pooler has given this connection a session of another.
    pub(super) async fn is_kept(&self) -> Result<(), Fault> {
        Ok(self.connection()?.verify_after("").await?)
    }

    /// Begins a transaction, in this connection's own session.
    ///
    /// # Errors
    /// As for [`Session::is_kept`], besides the database's own.
    pub(super) async fn begin(&self) -> Result<(), Fault> {
        Ok(self.connection()?.verify_after(BEGIN).await?)
    }

    /// Sends what `last` sends and COMMIT behind it, and waits for both.
    ///
    /// # Errors
    /// [`Fault::Unanswered`] where nothing tells whether it was done.
    pub(super) async fn commit(&self, last: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
        let (done, committed) = join(last, self.client()?.batch_execute(COMMIT)).await;
        done.and(committed.map_err(Fault::from)).map_err(Fault::of_commit)
    }

    /// After the server has refused a statement: waits until it has let go of the locks of that transaction, since it refuses
    /// first and lets go then. Who asks again at once would come upon them.
    pub(super) async fn let_go(&self) -> Result<(), Fault> {
        Ok(self.client()?.batch_execute("").await?)
    }

    /// A statement that this connection knows from its first use on.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Fault> {
        Ok(self.client()?.prepare_cached(sql).await?)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
