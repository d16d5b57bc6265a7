//! Logs, metrics and traces. A leaf: it knows nothing of payments.

mod metrics;
mod names;

pub use metrics::{Metrics, Transport};
