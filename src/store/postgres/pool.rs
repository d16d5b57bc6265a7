//! Connections, and how a piece of work is done over one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, RecyclingMethod, Runtime};
use tokio::sync::OnceCell;
use tokio_postgres::Statement;

use super::Options;
use super::address::Address;
use super::fault::Fault;
use super::schema;
use crate::runtime::Backoff;
use crate::store::Error;

/// How often one piece of work is begun, where what was in the way passes by itself.
const ATTEMPTS_MAX: usize = 5;
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_LONGEST: Duration = Duration::from_millis(100);

/// A commit that is answered before it is on the disk would be acknowledged to RabbitMQ and lost.
const DURABLE: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// What is done over one connection, as one transaction. It may be begun more than once.
pub(super) trait Work: Sync {
    /// What comes of it.
    type Answer: Send;

    /// One attempt. Where it fails, or is dropped, the connection is closed, and with it whatever transaction was open.
    fn attempt(&self, session: &Session) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// A few connections, made when they are needed.
pub(super) struct Pool {
    pool: deadpool_postgres::Pool,
    limit: Duration,
    shown: String,
    migrated: OnceCell<()>,
    closed: AtomicBool,
}

impl Pool {
    pub(super) fn new(address: Address, options: &Options) -> Result<Self, Error> {
        let limit = Duration::from_secs(options.timeout_s);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config, address.tls, recycling);
        let durable = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move { client.simple_query(DURABLE).await.map(drop).map_err(HookError::Backend) })
        });
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(options.connections_max)
            .wait_timeout(Some(limit))
            .create_timeout(Some(limit))
            .recycle_timeout(Some(limit))
            .runtime(Runtime::Tokio1)
            .post_create(durable)
            .build()
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(Self { pool, limit, shown: address.shown, migrated: OnceCell::new(), closed: AtomicBool::new(false) })
    }

    /// # Errors
    /// [`Error::Closed`] after [`Pool::close`].
    pub(super) fn open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// No call is taken from here on.
    pub(super) fn refuse(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Ends the connections that are idle, and the others when their work is done.
    pub(super) fn close(&self) {
        self.refuse();
        self.pool.close();
    }

    /// Does `work`, once more where what was in the way passes by itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the database is away or does not answer in time. Whether the work was committed is not
    /// known then.
    pub(super) async fn run<W: Work>(&self, work: &W) -> Result<W::Answer, Error> {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
        for _ in 1..ATTEMPTS_MAX {
            match self.attempt(work).await {
                Err(fault) if fault.is_passing() => tokio::time::sleep(backoff.wait()).await,
                answer => return self.named(answer),
            }
        }
        self.named(self.attempt(work).await)
    }

    async fn attempt<W: Work>(&self, work: &W) -> Result<W::Answer, Fault> {
        let migrate = async {
            let session = Session::new(self.pool.get().await?);
            schema::migrate(&session).await?;
            session.keep();
            Ok::<(), Fault>(())
        };
        let attempt = async {
            self.migrated.get_or_try_init(|| migrate).await?;
            let session = Session::new(self.pool.get().await?);
            let answer = work.attempt(&session).await?;
            session.keep();
            Ok(answer)
        };
        match tokio::time::timeout(self.limit, attempt).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let seconds = self.limit.as_secs();
                Err(Fault::Store(Error::Unavailable(format!("PostgreSQL: no answer in {seconds} s"))))
            }
        }
    }

    /// Says which database an error is about.
    fn named<T>(&self, answer: Result<T, Fault>) -> Result<T, Error> {
        answer.map_err(|fault| match Error::from(fault) {
            Error::Unavailable(text) => Error::Unavailable(format!("{}: {text}", self.shown)),
            Error::Corrupt(text) => Error::Corrupt(format!("{}: {text}", self.shown)),
            Error::Refused(text) => Error::Refused(format!("{}: {text}", self.shown)),
            other => other,
        })
    }
}

/// A connection that goes back to the others only when it is said to be sound.
pub(super) struct Session(Option<Object>);

impl Session {
    fn new(object: Object) -> Self {
        Self(Some(object))
    }

    fn keep(mut self) {
        drop(self.0.take());
    }

    /// The connection.
    ///
    /// # Errors
    /// None: it is there for as long as this is.
    pub(super) fn client(&self) -> Result<&Object, Fault> {
        self.0.as_ref().ok_or(Fault::Store(Error::Closed))
    }

    /// A statement that this connection knows from its first use on.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Fault> {
        Ok(self.client()?.prepare_cached(sql).await?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
