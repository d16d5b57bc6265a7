//! Where and with what it was measured.

use std::path::Path;
use std::process::Command;

use crate::target::go_program;

pub(crate) struct Machine {
    pub(crate) cores: f64,
    pub(crate) date: String,
    pub(crate) command: String,
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Machine {
    pub(crate) fn look(command: &str, program: &Path) -> Self {
        let cpu = field("/proc/cpuinfo", "model name");
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let memory_kib: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        let gib = memory_kib as f64 / f64::from(1 << 20);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let root = env!("CARGO_MANIFEST_DIR");
        let no = || "not installed".to_owned();
        let facts = vec![
            (
                "machine",
                format!("{cpu}, {cores} cores for all of it together, {gib:.0} GiB, Linux {}", first("uname", &["-r"])),
            ),
            ("load average before", load),
            ("source", first("git", &["-C", root, "describe", "--always", "--dirty", "--abbrev=12"])),
            ("service", first(&program.display().to_string(), &["--version"])),
            ("Rust", first("rustc", &["--version"])),
            ("RabbitMQ", std::env::var("RABBITMQ_VERSION").unwrap_or_else(|_| "unknown".to_owned())),
            ("Node", first("node", &["--version"])),
            ("npm packages", npm()),
            ("Go", first("go", &["version"])),
            (
                "Centrifugo",
                go_program("centrifugo").map_or_else(no, |path| first(&path.display().to_string(), &["version"])),
            ),
            ("Mercure", go_program("mercure").map_or_else(no, |_| module("mercure", "github.com/dunglas/mercure"))),
            (
                "consumer of both",
                go_program("consumer").map_or_else(no, |_| module("consumer", "github.com/rabbitmq/amqp091-go")),
            ),
            ("nginx and Nchan", format!("{}, {}", package("nginx"), package("libnginx-mod-nchan"))),
            ("wrk", package("wrk")),
        ];
        Self {
            cores: cores as f64,
            date: first("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            command: command.to_owned(),
            facts,
        }
    }
}

fn first(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().filter(|line| !line.is_empty()).unwrap_or("unknown").to_owned()
}

fn package(name: &str) -> String {
    format!("{name} {}", first("dpkg-query", &["-W", "-f", "${Version}", name]))
}

/// A module and its version in the go.mod of `benches/peers/FOLDER`.
fn module(folder: &str, name: &str) -> String {
    let path = format!("{}/benches/peers/{folder}/go.mod", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.split_once(name)).map_or("unknown", |(_, version)| version.trim());
    format!("{} {line}", name.rsplit('/').next().unwrap_or(name))
}

fn npm() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/node/package.json"));
    let package: serde_json::Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let wanted = package["dependencies"].as_object().cloned().unwrap_or_default();
    wanted
        .iter()
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
    line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}
