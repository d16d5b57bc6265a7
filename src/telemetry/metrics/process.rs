//! The process itself, under the names that every Prometheus client library gives them
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>), so that stock dashboards and alerts
//! know them.
//!
//! Written by hand and not through the recorder, whose counters are whole numbers: seconds of CPU are not.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::super::names::{self, Kind};
use crate::runtime::unix_ms;

/// When this process began, as near as it can know. Computed once: a clock that is set right later must not look
/// like a restart.
#[derive(Clone, Copy)]
pub(super) struct Started {
    at_ms: i64,
}

impl Started {
    pub(super) fn now() -> Self {
        Self { at_ms: unix_ms() }
    }

    /// Everything that this system reports; the rest is left out.
    pub(super) fn render(self, text: &mut String) {
        let usage = Usage::read();
        let usage = usage.as_ref();
        for (name, kind, help) in names::PROCESS {
            let value = match *name {
                names::PROCESS_CPU => usage.map(|usage| usage.cpu_s),
                names::PROCESS_RESIDENT => usage.map(|usage| usage.resident_bytes),
                names::PROCESS_VIRTUAL => usage.map(|usage| usage.virtual_bytes),
                names::PROCESS_THREADS => usage.map(|usage| usage.threads),
                names::PROCESS_OPEN_FILES => open_files(),
                names::PROCESS_OPEN_FILES_MAX => getrlimit(Resource::Nofile).current.map(as_f64),
                #[allow(clippy::cast_precision_loss, reason = "a date in milliseconds is far below 2^53")]
                _ => Some(self.at_ms as f64 / 1000.0),
            };
            if let Some(value) = value {
                let kind = if matches!(kind, Kind::Counter) { "counter" } else { "gauge" };
                text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n"));
            }
        }
    }
}

/// `/proc/self/stat`, which costs one read however many files are open.
struct Usage {
    cpu_s: f64,
    threads: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Usage {
    fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// proc_pid_stat(5). The second field is the program's name and may hold anything, so counting begins behind it.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok().map(as_f64);
        let ticks_per_s = as_f64(rustix::param::clock_ticks_per_second());
        #[allow(clippy::cast_precision_loss, reason = "a page has some thousand bytes")]
        let page_bytes = rustix::param::page_size() as f64;
        Some(Self {
            cpu_s: (field(14)? + field(15)?) / ticks_per_s,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page_bytes,
        })
    }
}

/// Linux reports it as the folder's size since 6.2. Before that the folder has to be read: a few milliseconds with 20,000
/// files, at each scrape.
fn open_files() -> Option<f64> {
    let folder = Path::new("/proc/self/fd");
    match std::fs::metadata(folder).ok()?.len() {
        0 => u64::try_from(std::fs::read_dir(folder).ok()?.count()).ok().map(as_f64),
        count => Some(as_f64(count)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "bytes, files and seconds are far below 2^53")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_any_name_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 8 9 20 0 12 0 99 1048576 256 18446744073709551615 1";
        let usage = Usage::parse(stat).unwrap();
        assert!((usage.cpu_s - 3.0).abs() < 2.1, "by the ticks of this system: {}", usage.cpu_s);
        assert_eq!((usage.threads, usage.virtual_bytes), (12.0, 1_048_576.0));
        assert!(usage.resident_bytes >= 256.0 * 4096.0);
        for broken in ["", "7 (a", "7 (a) S 1", "7 (a) S x x x x x x x x x x x x x x x x x x x x x x x"] {
            assert!(Usage::parse(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn more_files_are_open_where_more_are_opened() {
        let before = open_files().unwrap();
        // Far more than other tests of this process open and close meanwhile.
        let held: Vec<_> = (0..300).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(before >= 3.0 && open_files().unwrap() > before + 100.0, "{before}");
        drop(held);
    }
}
