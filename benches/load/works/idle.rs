//! Pages that wait and get nothing: resident memory of a page in a fresh process.

use std::time::Duration;

use super::Figures;
use crate::measure::{Cpu, resident_kib};
use crate::target::{Kind, Rig, Start};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Pages that wait, one order each
    #[arg(long, default_value_t = 18_000)]
    pub(crate) pages: u32,
    /// Over TLS (this service alone)
    #[arg(long)]
    pub(crate) tls: bool,
    /// How long they wait before the memory is read
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
}

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    let start = Start { orders: (0..args.pages).collect(), tls: args.tls, ..Start::default() };
    let mut running = rig.start(kind, &start);
    let mut engine = running.engine(kind);
    assert!(engine.has_pages(), "{} has no pages", kind.name());
    let before_kib = resident_kib(&running.pids);
    let cpu = Cpu::start(&running.pids, rig.broker.pid);
    engine.connect_all(args.pages as usize, |page| u32::try_from(page).unwrap());
    let [connect_us, ..] = cpu.us();
    engine.quiet(Duration::from_secs_f64(args.seconds));
    let after_kib = resident_kib(&running.pids);
    let mut figures = Figures::from([
        ("mib_before", before_kib as f64 / 1024.0),
        ("mib_after", after_kib as f64 / 1024.0),
        ("connect_cpu_us", connect_us / f64::from(args.pages)),
    ]);
    // A broker may give more back meanwhile than the pages take, which says nothing of a page.
    if after_kib > before_kib {
        figures.insert("kib_a_page", (after_kib - before_kib) as f64 / f64::from(args.pages));
    }
    figures
}
