//! Tasks, shutdown, health, backoff, limits and the clock. A leaf: it knows nothing of payments.

mod backoff;
mod clock;
mod files;
mod health;
mod tasks;
mod watched;

pub use backoff::Backoff;
pub use clock::{unix_ms, unix_s, unix_us};
pub use files::raise_open_files;
pub use health::{Health, Part};
pub use tasks::{Stopping, Tasks};
pub use watched::{Contents, WatchedFiles};
