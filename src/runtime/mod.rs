//! Tasks, shutdown, backoff and the clock. A leaf: it knows nothing of payments.

mod backoff;
mod clock;
mod health;
mod tasks;

pub use backoff::Backoff;
pub use clock::{unix_ms, unix_s};
pub use health::{Health, Part};
pub use tasks::Tasks;
