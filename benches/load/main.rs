//! Load on the real program and on what a user would pick instead, through one broker: `make bench`, or a part of it,
//! `make bench ARGS="flood --targets ours,bare,node --rounds 3"`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::large_futures,
    reason = "a bench ends at the first thing that goes wrong, and speaks to people"
)]

mod dialect;
mod engine;
mod event;
mod frames;
mod measure;
mod publish;
mod socket;
mod target;
mod ticket;
mod work;

use std::path::PathBuf;

use clap::Parser;

use target::{Broker, Kind, Rig};
use work::{Figures, backlog, flood, idle, paced, polls, sessions};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    work: Work,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    /// What is measured, one after the other in each round
    #[arg(long, global = true, value_delimiter = ',', default_value = "ours,bare,node")]
    targets: Vec<Kind>,
    /// How often; medians are shown
    #[arg(long, global = true, default_value_t = 1)]
    rounds: u32,
    /// The service, if not the one just built
    #[arg(long, global = true, default_value = env!("CARGO_BIN_EXE_payment-notifier"))]
    program: PathBuf,
    /// A setting of the service: AMQP__PREFETCH=300
    #[arg(long = "set", global = true, value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Where databases and logs are made; on the disk in question, not in memory
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.run/bench/work"))]
    folder: PathBuf,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(clap::Subcommand)]
enum Work {
    /// Connect, subscribe, event published with a confirm, result received, close
    Sessions(sessions::Args),
    /// Waiting pages, one event each, as fast as the broker takes them
    Flood(flood::Args),
    /// Events at a steady rate, spread over waiting pages: time from publish to page
    Paced(paced::Args),
    /// Pages that wait and get nothing: resident memory of a page
    Idle(idle::Args),
    /// Events that wait in the queue at start, until it is empty
    Backlog(backlog::Args),
    /// GET with wrk
    Polls(polls::Args),
    /// The bare consumer's own process
    #[command(hide = true)]
    Bare { answers_to: String },
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "KEY=VALUE".to_owned())
}

fn main() {
    let Cli { work, common } = Cli::parse();
    if let Work::Bare { answers_to } = &work {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(target::bare_consume(answers_to));
    }
    std::fs::create_dir_all(&common.folder).unwrap();
    let (program, settings, folder) = (common.program, common.settings, common.folder);
    let rig = Rig { broker: Broker::from_env(), program, settings, folder };
    let mut samples: Vec<(Kind, Figures)> = Vec::new();
    for round in 1..=common.rounds {
        for &kind in &common.targets {
            let figures = run(&work, &rig, kind);
            println!("{} round {round}: {}", kind.name(), line(&figures));
            samples.push((kind, figures));
        }
    }
    if common.rounds > 1 {
        for &kind in &common.targets {
            println!("{} median of {}: {}", kind.name(), common.rounds, line(&medians(&samples, kind)));
        }
    }
}

fn run(work: &Work, rig: &Rig, kind: Kind) -> Figures {
    match work {
        Work::Sessions(args) => sessions::run(rig, kind, args),
        Work::Flood(args) => flood::run(rig, kind, args),
        Work::Paced(args) => paced::run(rig, kind, args),
        Work::Idle(args) => idle::run(rig, kind, args),
        Work::Backlog(args) => backlog::run(rig, kind, args),
        Work::Polls(args) => polls::run(rig, kind, args),
        Work::Bare { .. } => unreachable!("it is a process of its own"),
    }
}

fn medians(samples: &[(Kind, Figures)], kind: Kind) -> Figures {
    let of_kind = || samples.iter().filter(|(other, _)| *other == kind).map(|(_, figures)| figures);
    let names = of_kind().flat_map(Figures::keys);
    let median = |name| measure::median(of_kind().filter_map(|figures| figures.get(name)).copied().collect());
    names.map(|&name| (name, median(name))).collect()
}

fn line(figures: &Figures) -> String {
    let number = |value: f64| if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    figures.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect::<Vec<_>>().join(", ")
}
