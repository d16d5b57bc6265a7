//! Logs, metrics and traces. A leaf: it knows nothing of payments.

pub mod logs;
mod metrics;
mod names;
pub mod trace;

pub use metrics::{Held, Metrics, Published, Transport};
