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

mod arrivals;
mod dialect;
mod engine;
mod event;
mod frames;
mod measure;
mod publish;
mod report;
mod socket;
mod suite;
mod target;
mod ticket;
mod works;

use std::cell::Cell;
use std::path::PathBuf;

use clap::Parser;

use report::{Machine, Report};
use suite::{Failed, ROUNDS, Scale};
use target::{Broker, Kind, Rig};
use works::{Figures, Work};

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = false)]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Common {
    /// What is measured, one after the other in each round (for a single part)
    #[arg(long, global = true, value_delimiter = ',', default_value = "ours,bare,node")]
    targets: Vec<Kind>,
    /// How often; medians are shown. Not set: 5 for all, of which 3 for what takes long, else 1
    #[arg(long, global = true)]
    rounds: Option<u32>,
    /// The service, if not the one just built
    #[arg(long, global = true, default_value = env!("CARGO_BIN_EXE_payment-notifier"))]
    program: PathBuf,
    /// A setting of the service: AMQP__PREFETCH=300
    #[arg(long = "set", global = true, value_parser = setting)]
    settings: Vec<(String, String)>,
    /// A setting of a second service, which is measured after each run of the first, with all settings of the first (for a
    /// single part)
    #[arg(long = "beside", global = true, value_parser = setting)]
    beside: Vec<(String, String)>,
    /// The second service, where that is another program: the one of the commit before (for a single part)
    #[arg(long, global = true)]
    beside_program: Option<PathBuf>,
    /// Where databases and logs are made; on the disk in question, not in memory
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.run/bench/work"))]
    folder: PathBuf,
    /// Where README.md, results.json and plot.svg are written. Not set: docs/benchmarks for all, nowhere for quick
    #[arg(long, global = true)]
    out: Option<PathBuf>,
    /// Leaves out what runs over TLS
    #[arg(long, global = true)]
    no_tls: bool,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(clap::Subcommand)]
enum What {
    /// Everything, with every peer; what happens without a word
    All,
    /// Everything once, smaller
    Quick,
    #[command(flatten)]
    Part(Work),
    /// The bare consumer's own process
    #[command(hide = true)]
    Bare { answers_to: String },
}

/// For a line of RabbitMQ that was asked for, a folder of its own.
fn usual_out() -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks"));
    match broker_line() {
        Some(line) => folder.join(format!("rabbitmq-{line}")),
        None => folder,
    }
}

fn broker_line() -> Option<String> {
    std::env::var("BROKER_LINE").ok().filter(|line| !line.is_empty())
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "KEY=VALUE".to_owned())
}

fn main() {
    let Cli { what, common } = Cli::parse();
    if let Some(What::Bare { answers_to }) = &what {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(target::bare_consume(answers_to));
    }
    std::fs::create_dir_all(common.folder.join("beside")).unwrap();
    let rig = |settings: &[(String, String)], folder: &str, program: Option<&PathBuf>| Rig {
        broker: Broker::from_env(),
        program: program.unwrap_or(&common.program).clone(),
        settings: settings.to_vec(),
        folder: common.folder.join(folder),
        runs: Cell::new(0),
    };
    let beside = [common.settings.as_slice(), &common.beside].concat();
    let has_beside = !common.beside.is_empty() || common.beside_program.is_some();
    let beside = has_beside.then(|| rig(&beside, "beside", common.beside_program.as_ref()));
    let rig = rig(&common.settings, "", None);
    match what {
        Some(What::Part(work)) => part(&rig, beside.as_ref(), &work, &common),
        Some(What::Quick) => all(&rig, &common, Scale::QUICK, 1, common.out.clone()),
        _ => all(&rig, &common, Scale::FULL, ROUNDS, Some(common.out.clone().unwrap_or_else(usual_out))),
    }
}

/// Everything, round by round.
fn all(rig: &Rig, common: &Common, scale: Scale, rounds: u32, out: Option<PathBuf>) {
    let command = if rounds > 1 { "make bench" } else { "make bench ARGS=quick" };
    let with = broker_line().map(|line| format!("BROKER_LINE={line} ")).unwrap_or_default();
    let machine = Machine::look(&format!("{with}{command}"), &rig.program);
    let parts = suite::parts(scale, !common.no_tls);
    let rounds = common.rounds.unwrap_or(rounds);
    let (mut samples, mut failed) = (Vec::new(), Failed::default());
    for round in 1..=rounds {
        suite::round(rig, &parts, round, &mut failed, |sample| {
            let part = &parts[sample.part];
            let text = sample.figures.as_ref().map_or_else(String::clone, line);
            println!("{round}/{rounds} {}: {}: {text}", part.title, part.cases[sample.case].label);
            samples.push(sample);
        });
    }
    let report = Report { parts: &parts, samples: &samples, rounds, machine };
    println!("\n{}", report.text());
    if let Some(folder) = out {
        report.write(&folder);
        println!("written to {}", folder.display());
    }
}

/// One piece of work on some targets.
fn part(rig: &Rig, beside: Option<&Rig>, work: &Work, common: &Common) {
    let rounds = common.rounds.unwrap_or(1);
    let of_kind = |kind| [(kind, rig)].into_iter().chain(beside.map(|beside| (kind, beside)));
    let targets = work.targets(&common.targets);
    let measured: Vec<(Kind, &Rig)> = targets.iter().flat_map(|kind| of_kind(*kind)).collect();
    let name = |of: usize| {
        let (kind, rig) = measured[of];
        let is_beside = beside.is_some_and(|beside| std::ptr::eq(beside, rig));
        format!("{}{}", kind.name(), if is_beside { " beside" } else { "" })
    };
    let mut samples: Vec<(usize, Figures)> = Vec::new();
    for round in 1..=rounds {
        for (of, (kind, rig)) in measured.iter().enumerate() {
            match work.try_run(rig, *kind) {
                Ok(figures) => {
                    println!("{} round {round}: {}", name(of), line(&figures));
                    samples.push((of, figures));
                }
                Err(text) => println!("{} round {round}: {text}", name(of)),
            }
        }
    }
    if rounds > 1 {
        for of in 0..measured.len() {
            println!("{} median of {rounds}: {}", name(of), line(&medians(&samples, of)));
        }
    }
}

fn medians(samples: &[(usize, Figures)], of: usize) -> Figures {
    let of_kind = || samples.iter().filter(|(other, _)| *other == of).map(|(_, figures)| figures);
    let names = of_kind().flat_map(Figures::keys);
    let median = |name| measure::median(of_kind().filter_map(|figures| figures.get(name)).copied().collect());
    names.map(|&name| (name, median(name))).collect()
}

fn line(figures: &Figures) -> String {
    let number = |value: f64| if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    figures.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect::<Vec<_>>().join(", ")
}
