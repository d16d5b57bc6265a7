//! Connections as they are needed here: with our settings, in a session that is one connection's own.
//!
//! A pooler may stand before the server. One that gives each transaction another session drops settings and prepared
//! statements without a word. So where a pooler is found, each use of a connection looks whether its session is still its
//! own; a direct connection is spared that.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use futures_util::future::join;
use tokio_postgres::SimpleQueryMessage;

use super::pooler;

/// A commit that is answered before it is on the disk would be acknowledged to RabbitMQ and lost.
const DURABLE: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

const LOOK: &str = "SELECT coalesce(current_setting('payment_notifier.session', true), ''), pg_backend_pid()";

/// For as long as one look at a pooler counts for other connections by it.
const PROVED_FOR: Duration = Duration::from_secs(60);
/// For a second connection, which a pooler that is full does not give.
const PROOF_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The database, or the way to it.
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
    /// A pooler that keeps no sessions.
    #[error("{}", pooler::REFUSED)]
    Pooler,
}

/// Makes them.
pub(super) struct Connections {
    manager: deadpool_postgres::Manager,
    /// SQL that makes the settings.
    settings: String,
    proved: Mutex<Option<Instant>>,
}

/// One of them.
pub(super) struct Connection {
    client: ClientWrapper,
    /// By which its session is known, where a pooler gives it.
    session: Option<Mark>,
}

/// What no two sessions have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    /// Set by us.
    name: String,
    /// The server's process.
    pid: String,
}

impl Connections {
    /// `settings` is SQL.
    pub(super) fn new(manager: deadpool_postgres::Manager, settings: String) -> Self {
        Self { manager, settings, proved: Mutex::new(None) }
    }

    /// What is known of a pooler counts no more.
    pub(super) fn doubt(&self) {
        *self.proved.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn set_up(&self, client: &ClientWrapper) -> Result<Mark, tokio_postgres::Error> {
        let name = format!("{:032x}", rand::random::<u128>());
        let Self { settings, .. } = self;
        let name_it = format!("SELECT set_config('payment_notifier.session', '{name}', false)");
        mark(&client.simple_query(&format!("{settings}; {DURABLE}; {name_it}; {LOOK}")).await?)
    }

    /// # Errors
    /// [`Refusal::Pooler`] for one that was seen to give two connections one session, or one connection two.
    async fn prove(&self, client: &ClientWrapper, session: &Mark) -> Result<(), Refusal> {
        let is_proved = |since: &Option<Instant>| since.is_some_and(|since| since.elapsed() < PROVED_FOR);
        if is_proved(&self.proved.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let proof = async {
            let mut other = managed::Manager::create(&self.manager).await?;
            let kept = self.are_apart(client, session, &other).await;
            managed::Manager::detach(&self.manager, &mut other);
            kept
        };
        match tokio::time::timeout(PROOF_LIMIT, proof).await {
            Ok(Ok(false)) => return Err(Refusal::Pooler),
            Ok(Ok(true)) => {}
            // Nothing is shown by that: each use of the connection looks for itself.
            Ok(Err(error)) => tracing::debug!(%error, "no second connection to check for a pooler"),
            Err(_elapsed) => tracing::debug!("no second connection to check for a pooler"),
        }
        *self.proved.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// Two looks of the second connection in a row, then one of the first: seen to be one session where the pooler takes
    /// the session that was used last, and to change where it takes them in turn.
    async fn are_apart(
        &self,
        client: &ClientWrapper,
        session: &Mark,
        other: &ClientWrapper,
    ) -> Result<bool, tokio_postgres::Error> {
        let of_other = self.set_up(other).await?;
        Ok(of_other.pid != session.pid && look(other).await? == of_other && look(client).await? == *session)
    }
}

impl managed::Manager for Connections {
    type Type = Connection;
    type Error = Refusal;

    async fn create(&self) -> Result<Connection, Refusal> {
        let client = managed::Manager::create(&self.manager).await?;
        let (session, told) = join(self.set_up(&client), pooler::told_pid(&client)).await;
        let session = session?;
        if told.is_some_and(|pid| pid.to_string() == session.pid) {
            return Ok(Connection { client, session: None });
        }
        self.prove(&client, &session).await?;
        Ok(Connection { client, session: Some(session) })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Refusal> {
        if connection.client.is_closed() {
            // Its pooler may have been started anew, with other settings.
            self.doubt();
            return Err(RecycleError::message("it has ended"));
        }
        Ok(())
    }

    fn detach(&self, connection: &mut Connection) {
        managed::Manager::detach(&self.manager, &mut connection.client);
    }
}

impl Connection {
    pub(super) fn is_pooled(&self) -> bool {
        self.session.is_some()
    }

    /// Runs `before`, nothing by default, and looks whether the session is this connection's own.
    ///
    /// # Errors
    /// [`Refusal::Pooler`] where it is not.
    pub(super) async fn verify_after(&self, before: &str) -> Result<(), Refusal> {
        match &self.session {
            None if before.is_empty() => Ok(()),
            None => Ok(self.client.batch_execute(before).await?),
            Some(session) => {
                let seen = mark(&self.client.simple_query(&format!("{before}; {LOOK}")).await?)?;
                if seen == *session { Ok(()) } else { Err(Refusal::Pooler) }
            }
        }
    }
}

impl Deref for Connection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

async fn look(client: &ClientWrapper) -> Result<Mark, tokio_postgres::Error> {
    mark(&client.simple_query(LOOK).await?)
}

/// Of the last row of the answer.
fn mark(answer: &[SimpleQueryMessage]) -> Result<Mark, tokio_postgres::Error> {
    let row = answer.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return Ok(Mark { name: String::new(), pid: String::new() }) };
    let text = |at: usize| Ok::<_, tokio_postgres::Error>(row.try_get(at)?.unwrap_or_default().to_owned());
    Ok(Mark { name: text(0)?, pid: text(1)? })
}
