//! One event for each waiting page, as fast as the broker takes them.

use std::time::{Duration, Instant};

use super::{Figures, scattered};
use crate::engine::{Engine, Happened, SILENCE};
use crate::measure::{Cpu, median};
use crate::target::{Kind, Rig, Start};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Pages that wait, one order each
    #[arg(long, default_value_t = 15_000)]
    pub(crate) pages: u32,
    /// Floods over the same pages, after one that is not counted
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: u32,
}

const UNCONFIRMED_MAX: u32 = 2_000;
const SETTLE: Duration = Duration::from_millis(300);

struct Pass {
    per_s: f64,
    cpu_us: [f64; 3],
}

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    let mut running = rig.start(kind, &Start { orders: (0..args.pages).collect(), ..Start::default() });
    let mut engine = running.engine();
    if engine.has_pages() {
        engine.connect_all(args.pages as usize, |page| u32::try_from(page).unwrap());
    }
    let mut passes = Vec::new();
    for pass in 0..=args.passes {
        let cpu = Cpu::start(&running.pids, rig.broker.pid);
        let per_s = flood(&mut engine, args.pages, pass * args.pages);
        // What is left to do after the last page has its event, acknowledging for one, is part of the cost.
        engine.quiet(SETTLE);
        passes.push(Pass { per_s, cpu_us: cpu.us().map(|us| us / f64::from(args.pages)) });
    }
    let counted = &passes[1..];
    let of = |figure: fn(&Pass) -> f64| median(counted.iter().map(figure).collect());
    Figures::from([
        ("events_per_s", of(|pass| pass.per_s)),
        ("target_cpu_us", of(|pass| pass.cpu_us[0])),
        ("broker_cpu_us", of(|pass| pass.cpu_us[1])),
        ("load_cpu_us", of(|pass| pass.cpu_us[2])),
    ])
}

/// Events `first..first + pages`; events a second from the first publish to the last page.
pub(crate) fn flood(engine: &mut Engine, pages: u32, first: u32) -> f64 {
    let (mut published, mut confirmed, mut arrived) = (0, 0, 0);
    let mut has = vec![false; pages as usize];
    let began = Instant::now();
    let (mut heard, mut last_arrival) = (began, began);
    while arrived < pages || confirmed < pages {
        while published < pages && published - confirmed < UNCONFIRMED_MAX {
            let page = scattered(published, pages);
            engine.publish(first + page, page);
            published += 1;
        }
        for happened in engine.turn(Duration::from_millis(100)) {
            heard = Instant::now();
            let n = match happened {
                Happened::Confirmed(_) => {
                    confirmed += 1;
                    continue;
                }
                Happened::Got { page, n } => {
                    assert_eq!(n, first + u32::try_from(page).unwrap(), "a page got another's event");
                    n
                }
                Happened::Arrived(n) => n,
                other => panic!("{other:?} in the middle of a flood"),
            };
            let page = (n - first) as usize;
            assert!(!std::mem::replace(&mut has[page], true), "event {n} came twice");
            arrived += 1;
            last_arrival = heard;
        }
        assert!(
            heard.elapsed() < SILENCE,
            "{arrived} of {pages} events arrived, {confirmed} are confirmed, then nothing"
        );
    }
    f64::from(pages) / (last_arrival - began).as_secs_f64()
}
