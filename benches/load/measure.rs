//! What the kernel says of a process, and what numbers say of each other.

use std::time::Duration;

use hdrhistogram::Histogram;

const LATENCY_NS_MIN: u64 = 1_000;
const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// CPU time of these processes so far, all their threads together. Threads that ended are not in it, so it is asked of
/// programs whose threads stay.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    pids.iter().map(|&pid| cpu_of_process(pid).unwrap_or_else(|| panic!("process {pid} has ended"))).sum()
}

/// [`cpu`] of one process. Not set where it has ended.
pub(crate) fn cpu_of_process(pid: u32) -> Option<Duration> {
    let of_thread = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0_u64)
    };
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(Duration::from_nanos(threads.flatten().map(|thread| of_thread(thread.path())).sum()))
}

/// Resident memory in KiB. What several processes share is counted once.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    match pids {
        [pid] => field(&format!("/proc/{pid}/status"), "VmRSS:"),
        several => several.iter().map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum(),
    }
}

fn field(path: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Durations, each within a thousandth of what it was, however many there are.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).unwrap())
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LATENCY_NS_MAX));
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Milliseconds that `share` of them took at most. Not a number if there are none.
    pub(crate) fn ms(&self, share: f64) -> f64 {
        if self.0.is_empty() { f64::NAN } else { self.0.value_at_quantile(share) as f64 / 1e6 }
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(values[even / 2 - 1], values[even / 2]),
        odd => values[odd / 2],
    }
}

/// CPU of the target, the broker and the load program over a stretch of time.
pub(crate) struct Cpu {
    target: Vec<u32>,
    broker: Vec<u32>,
    before: [Duration; 3],
}

impl Cpu {
    pub(crate) fn start(target: &[u32], broker: u32) -> Self {
        let mut cpu = Self { target: target.to_vec(), broker: vec![broker], before: [Duration::ZERO; 3] };
        cpu.before = cpu.read();
        cpu
    }

    /// Microseconds since the start: target, broker, load program.
    pub(crate) fn us(&self) -> [f64; 3] {
        let after = self.read();
        std::array::from_fn(|i| after[i].saturating_sub(self.before[i]).as_secs_f64() * 1e6)
    }

    fn read(&self) -> [Duration; 3] {
        [cpu(&self.target), cpu(&self.broker), cpu(&[std::process::id()])]
    }
}
