//! Connections to publish on, by the first address that answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_lapin::{Connection, Manager, Pool, PoolConfig, PoolError, QueueMode, Runtime, TimeoutType, Timeouts};

use super::address::Address;
use super::connect::{self, Purpose, reason};
use super::error::Error;
use super::options::Options;
use super::transport;

/// One pool an address, of which one is in use.
pub(super) struct Pools {
    pools: Vec<(Address, Pool)>,
    limit: Duration,
    in_use: AtomicUsize,
}

impl Pools {
    /// Connects when a connection is asked for, not before. Has to be called within a tokio runtime. lapin keeps 64 frames'
    /// room a connection: 8 MiB, where `frame_max` is not set.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub(super) fn new(
        options: &Options,
        purpose: Purpose,
        connections_max: usize,
        frame_max: Option<u32>,
    ) -> Result<Self, Error> {
        let amqp = &options.amqp;
        let addresses = Address::all(amqp)?;
        let confirm_timeout = Duration::from_secs(amqp.confirm_timeout_s);
        // All of them are tried within one publish.
        let share = confirm_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let limit = Duration::from_secs(amqp.connect_timeout_s).min(share);
        let timeouts = Timeouts { wait: Some(confirm_timeout), create: Some(limit), recycle: Some(confirm_timeout) };
        let in_use = AtomicUsize::new(rand::random_range(0..addresses.len().max(1)));
        let pool = |address: Address| {
            let pool = PoolConfig { max_size: connections_max, timeouts, queue_mode: QueueMode::Fifo };
            let mut uri = address.uri.clone();
            uri.query.frame_max = frame_max;
            let (uri, runtime, _witness) = transport::under(&uri);
            let instance = options.instance.clone();
            let properties = move || connect::properties(purpose, &instance);
            let manager = Manager::new(uri.to_string(), properties, runtime);
            let built = Pool::builder(manager).config(pool).runtime(Runtime::Tokio1).build();
            // Fails only where a pool with limits in time has no runtime.
            built.map(|pool| (address, pool)).map_err(|_no_runtime| Error::Address)
        };
        let pools = addresses.into_iter().map(pool).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { pools, limit, in_use })
    }

    /// A connection by the address that is in use, else by the next that answers.
    ///
    /// # Errors
    /// What each address answered, for operators and without a secret.
    pub(super) async fn get(&self) -> Result<Connection, String> {
        let first = self.in_use.load(Ordering::Relaxed);
        let mut failed = Vec::with_capacity(self.pools.len());
        for turn in 0..self.pools.len() {
            let at = (first + turn) % self.pools.len();
            let (address, pool) = &self.pools[at];
            let why = match address.attempt(self.limit, pool.get()).await {
                Some(Ok(connection)) => {
                    self.in_use.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Some(Err(PoolError::Backend(error))) => reason(&error),
                Some(Err(PoolError::Timeout(TimeoutType::Create))) => {
                    address.gave_no_answer();
                    "no answer".to_owned()
                }
                Some(Err(PoolError::Timeout(_))) | None => "no answer".to_owned(),
                Some(Err(PoolError::Closed)) => return Err("the publisher is closed".to_owned()),
                Some(Err(PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_))) => "no connection".to_owned(),
            };
            failed.push((address.shown.clone(), why));
        }
        Err(Error::Connect(failed).to_string())
    }

    /// Whether the broker has blocked one of the connections.
    pub(super) fn is_blocked(&self) -> bool {
        let mut is_blocked = false;
        for (_, pool) in &self.pools {
            // The only way to look at a connection without taking it out.
            pool.retain(|connection, _| {
                is_blocked |= connection.status().blocked();
                true
            });
        }
        is_blocked
    }

    pub(super) fn close(&self) {
        self.pools.iter().for_each(|(_, pool)| pool.close());
    }

    /// For `Debug`: the addresses, without their passwords.
    pub(super) fn shown(&self) -> Vec<&str> {
        self.pools.iter().map(|(address, _)| address.shown.as_str()).collect()
    }
}
