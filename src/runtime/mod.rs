//! Tasks, shutdown, health, backoff, limits, the clock and JSON from outside. A leaf: it knows nothing of payments.

mod backoff;
mod cause;
mod clock;
mod files;
mod health;
mod object;
mod service_manager;
mod tasks;
mod thread;
mod watched;

pub use backoff::Backoff;
pub use cause::last_cause;
pub use clock::{rfc3339, rfc3339_ms, unix_ms, unix_s, unix_us};
pub use files::raise_open_files;
pub use health::{Component, Health};
pub use object::Object;
pub use service_manager::ServiceManager;
pub use tasks::{Stopping, Tasks};
pub use thread::on_a_thread;
pub use watched::{Contents, WatchedFiles};
