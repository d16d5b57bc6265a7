//! Load on the real program through a real broker: `cargo bench --bench load -- paced --pages 5000 --rate 1000`.
//!
//! Costs little itself, since it shares the machine: one task and a few hundred bytes a page, frames read by hand.

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

mod idle;
mod paced;
mod page;
mod rig;

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    work: Option<Work>,
    /// Given by cargo.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(clap::Subcommand)]
enum Work {
    /// Events at a steady rate, spread over waiting pages: time from publish to page
    Paced(paced::Args),
    /// Pages that wait and get nothing: resident memory a page
    Idle(idle::Args),
}

fn main() {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match cli.work {
            Some(Work::Paced(args)) => paced::run(&args).await,
            Some(Work::Idle(args)) => idle::run(&args).await,
            None => {
                paced::run(&paced::Args::default()).await;
                idle::run(&idle::Args::default()).await;
            }
        }
    });
}
