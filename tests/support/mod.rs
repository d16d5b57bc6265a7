//! What every test of the running program needs: a vhost of its own, the program, publishers, and pages of each kind.
//!
//! Nothing here sleeps and hopes or tries a failed assertion again: what takes time is awaited by its condition, and
//! each wait ends at [`DEADLINE`] with a sentence that says what did not happen.

pub(crate) mod amqp;
pub(crate) mod api;
pub(crate) mod broker;
pub(crate) mod events;
pub(crate) mod examples;
pub(crate) mod http;
pub(crate) mod keys;
pub(crate) mod page;
pub(crate) mod pgbouncer;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod publisher;
pub(crate) mod raw;
pub(crate) mod service;
pub(crate) mod sse;
pub(crate) mod ticket;
pub(crate) mod told;
pub(crate) mod tools;

use std::time::{Duration, Instant};

pub(crate) use api::Answer;
pub(crate) use broker::Vhost;
pub(crate) use events::event;
pub(crate) use page::{Heard, Page};
pub(crate) use proxy::Proxy;
pub(crate) use publisher::{DeadLetters, Publisher};
pub(crate) use service::{Service, Setup};
pub(crate) use sse::EventStream;
pub(crate) use ticket::ticket;
pub(crate) use told::Told;

/// Far beyond what anything here takes, for machines that do other things too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The one merchant of tests that need only one.
pub(crate) const MERCHANT: &str = "shop";

/// Awaits a future, or fails with what was awaited.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("{what}: not within {} s", DEADLINE.as_secs()),
    }
}

/// Asks until there is an answer, or fails with what was awaited.
pub(crate) async fn wait_for<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    wait_up_to(DEADLINE, what, condition).await
}

/// The same with a deadline of the caller's own, for what takes a broker's restart.
pub(crate) async fn wait_up_to<T>(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// A test's fixture file, by its name.
pub(crate) fn fixture(name: &str) -> std::path::PathBuf {
    repository().join("tests/fixtures").join(name)
}

/// The folder that holds Cargo.toml.
pub(crate) fn repository() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
