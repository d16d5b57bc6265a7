//! `GET` on one order and on many, with wrk.

use std::process::Command;

use super::losses::Losses;
use super::{Figures, flood};
use crate::target::{Kind, Rig, Start};
use crate::{event, ticket};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Orders that are asked for in turn; 1 asks for one alone
    #[arg(long, default_value_t = 1)]
    pub(crate) orders: u32,
    /// Connections, each asking for the next when it has the last
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: u32,
    /// How long
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u32,
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/works/polls.lua");

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    assert_eq!(kind, Kind::Ours, "only the service answers polls");
    let mut running = rig.start(kind, &Start { orders: (0..args.orders).collect(), ..Start::default() });
    let address = running.place.as_ref().unwrap().addresses[0];
    let mut engine = running.engine(kind);
    engine.connect_all(args.orders as usize, |page| u32::try_from(page).unwrap());
    flood::flood(&mut engine, args.orders, 0, &mut Losses::of(kind));
    let list: String = (0..args.orders).map(|n| format!("{} {}\n", event::order(n), ticket::mint(n))).collect();
    let file = rig.folder.join("polls.txt");
    std::fs::write(&file, list).unwrap();
    let before = crate::measure::cpu(&running.pids);
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency", "--connections", &args.connections.to_string()])
        .args(["--duration", &format!("{}s", args.seconds), "--script", SCRIPT, &format!("http://{address}")])
        .env("POLLS", &file)
        .output()
        .expect("wrk is installed: scripts/bench does it");
    let spent_us = (crate::measure::cpu(&running.pids) - before).as_secs_f64() * 1e6;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"), "wrk: {text}");
    let per_s: f64 = word_after(&text, "Requests/sec:").parse().unwrap();
    // Further up there are shares that end in the same digits.
    let (_, latencies) = text.split_once("Latency Distribution").expect("wrk was asked for it");
    Figures::from([
        ("requests_per_s", per_s),
        ("p50_ms", ms(word_after(latencies, "50%"))),
        ("p99_ms", ms(word_after(latencies, "99%"))),
        ("target_cpu_us", spent_us / (per_s * f64::from(args.seconds))),
    ])
}

fn word_after<'t>(text: &'t str, what: &str) -> &'t str {
    let (_, rest) = text.split_once(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    rest.split_whitespace().next().unwrap_or_default()
}

/// A duration as wrk writes it: `250.00us`, `1.20ms`, `1.05s`.
fn ms(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap();
    let value: f64 = text[..split].parse().unwrap();
    match &text[split..] {
        "us" => value / 1e3,
        "ms" => value,
        "s" => value * 1e3,
        other => panic!("the unit {other}"),
    }
}
