//! Logs, metrics and traces. A leaf: it knows nothing of payments.

pub mod logs;
mod metrics;
mod names;
mod recent;
pub mod trace;

pub use metrics::{DamagedDuring, GaugeGuard, Metrics, Published, Transport};
pub use recent::{Quantiles, Recent, RecentStats};
