//! Connections, and how a piece of work is done over one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed;
use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use futures_util::future::join;
use tokio::sync::OnceCell;

use super::address::Address;
use super::connections::Connections;
use super::fault::Fault;
use super::options::Options;
use super::schema;
use super::session::Session;
use crate::runtime::Backoff;
use crate::store::Error;

/// How often one piece of work is begun, where what was in the way passes by itself.
const ATTEMPTS_MAX: usize = 5;
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_LONGEST: Duration = Duration::from_millis(100);

/// For as long as a pooler that keeps no sessions is not tried again.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// A few connections, made when they are needed.
pub(super) struct Pool {
    pool: managed::Pool<Connections>,
    limit: Duration,
    shown: String,
    migrated: OnceCell<()>,
    closed: AtomicBool,
    /// When a pooler was found that keeps no sessions.
    refused: Mutex<Option<Instant>>,
}

impl Pool {
    pub(super) fn new(address: Address, options: &Options) -> Result<Self, Error> {
        let limit = Duration::from_secs(options.timeout_s);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let Address { config, tls, settings, shown } = address;
        let connections = Connections::new(Manager::from_config(config, tls, recycling), settings);
        let pool = managed::Pool::builder(connections)
            .max_size(options.connections_max)
            .wait_timeout(Some(limit))
            .create_timeout(Some(limit))
            .recycle_timeout(Some(limit))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Error::Unavailable(e.to_string()))?;
        let (migrated, closed) = (OnceCell::new(), AtomicBool::new(false));
        Ok(Self { pool, limit, shown, migrated, closed, refused: Mutex::new(None) })
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

    /// Does `work` over one connection, as one transaction, and once more where what was in the way passes by itself. Where an
    /// attempt fails, or is dropped, the connection is closed, and with it whatever transaction was open.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the database is away or does not answer in time. Whether the work was committed is not
    /// known then. [`Error::Unfit`] where a pooler on the way keeps no sessions.
    pub(super) async fn run<T, F>(&self, work: impl Fn(Session) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
        for _ in 1..ATTEMPTS_MAX {
            match self.attempt_unless_refused(&work).await {
                Err(fault) if fault.is_passing() => tokio::time::sleep(backoff.wait()).await,
                answer => return self.named(answer),
            }
        }
        self.named(self.attempt_unless_refused(&work).await)
    }

    /// What is found of a pooler counts for all that is asked for within [`REFUSED_FOR`]: one connection that comes upon its
    /// own session by chance proves nothing.
    async fn attempt_unless_refused<T, F>(&self, work: &impl Fn(Session) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let refused = *self.refused();
        if let Some(since) = refused {
            if since.elapsed() < REFUSED_FOR {
                return Err(Fault::Pooler);
            }
            self.pool.manager().doubt();
            drop(self.pool.retain(|_, _| false));
            *self.refused() = None;
        }
        let answer = self.attempt(work).await;
        if answer.as_ref().is_err_and(Fault::is_of_pooler) {
            *self.refused() = Some(Instant::now());
        }
        answer
    }

    fn refused(&self) -> MutexGuard<'_, Option<Instant>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt<T, F>(&self, work: &impl Fn(Session) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let migrate = async {
            let session = Session::new(self.pool.get().await?);
            schema::migrate(&session).await?;
            session.keep();
            Ok::<(), Fault>(())
        };
        let attempt = async {
            self.migrated.get_or_try_init(|| migrate).await?;
            let session = Session::new(self.pool.get().await?);
            let is_pooled = session.connection()?.is_pooled();
            let (kept, answer) = join(session.is_kept(), Box::pin(work(session.clone()))).await;
            if answer.as_ref().is_err_and(Fault::is_refusal) {
                drop(session.let_go().await);
            }
            match (kept, answer) {
                (Err(fault), Err(_)) => Err(fault),
                (_, Err(fault)) if is_pooled => {
                    self.pool.manager().doubt();
                    Err(fault.behind_pooler())
                }
                (_, Err(fault)) => Err(fault),
                (kept, Ok(answer)) => {
                    if kept.is_ok() {
                        session.keep();
                    } else {
                        *self.refused() = Some(Instant::now());
                    }
                    Ok(answer)
                }
            }
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
            Error::Unfit(text) => Error::Unfit(format!("{}: {text}", self.shown)),
            other => other,
        })
    }
}
