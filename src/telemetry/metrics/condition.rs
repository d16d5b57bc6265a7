//! What is looked at when the metrics are read: the components' health and the process.

use metrics::Label;

use super::Metrics;
use super::registry::gauge;
use crate::runtime::{Component, Health};
use crate::telemetry::names;

impl Metrics {
    /// Whose health is reported. Once: another is not looked at.
    pub fn watch_health(&self, health: &Health) {
        self.inner.health.get_or_init(|| health.clone());
    }

    /// Room on the disk of the database file: what is free to the service and all of it, in blocks of so many bytes.
    pub fn set_store_disk(&self, free: u64, size: u64, block_bytes: u64) {
        #[allow(clippy::cast_precision_loss, reason = "no disk has 2^53 blocks")]
        for (name, blocks) in [(names::STORE_DISK_FREE, free), (names::STORE_DISK_SIZE, size)] {
            gauge(&self.inner.recorder, name, vec![]).set(blocks as f64 * block_bytes as f64);
        }
    }

    /// Before the text is made.
    pub(super) fn look(&self) {
        if let Some(health) = self.inner.health.get() {
            let faults = health.faults();
            for component in Component::ALL {
                let labels = vec![Label::new("part", component.as_str())];
                let ready = f64::from(u8::from(!faults.contains_key(&component)));
                gauge(&self.inner.recorder, names::READY, labels).set(ready);
            }
        }
        if let Some(bytes) = resident_memory_bytes() {
            gauge(&self.inner.recorder, names::RESIDENT_MEMORY, vec![]).set(bytes);
        }
    }
}

/// Nothing where the system does not report it as Linux does.
fn resident_memory_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kib) * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_and_the_memory_are_reported() {
        let (metrics, health) = (Metrics::new().unwrap(), Health::starting());
        health.ok(Component::Store);
        metrics.watch_health(&health);
        let text = metrics.render();
        assert!(text.contains(r#"payment_notifier_ready{part="store"} 1"#), "{text}");
        assert!(text.contains(r#"payment_notifier_ready{part="consumer"} 0"#), "{text}");
        let memory = text.lines().find_map(|line| line.strip_prefix("payment_notifier_resident_memory_bytes "));
        assert!(memory.is_none_or(|bytes| bytes.parse::<f64>().unwrap() > 1e6), "{text}");
    }
}
