//! One event for each waiting page, as fast as the broker takes them.

use std::time::{Duration, Instant};

use super::losses::Losses;
use super::{Figures, scattered};
use crate::engine::{Engine, Happened};
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
/// One pass that counts is enough where they take longer.
const PASSES_WITHIN: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(300);

struct Pass {
    per_s: f64,
    cpu_us: [f64; 3],
}

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    let mut running = rig.start(kind, &Start { orders: (0..args.pages).collect(), ..Start::default() });
    let mut engine = running.engine(kind);
    if engine.has_pages() {
        engine.connect_all(args.pages as usize, |page| u32::try_from(page).unwrap());
    }
    let mut passes = Vec::new();
    let (mut losses, began) = (Losses::of(kind), Instant::now());
    for pass in 0..=args.passes {
        if pass > 1 && began.elapsed() > PASSES_WITHIN {
            break;
        }
        let cpu = Cpu::start(&running.pids, rig.broker.pid);
        losses.begin();
        let per_s = flood(&mut engine, args.pages, pass * args.pages, &mut losses);
        // What is left to do after the last page has its event, acknowledging for one, is part of the cost.
        engine.quiet(SETTLE);
        passes.push(Pass { per_s, cpu_us: cpu.us().map(|us| us / f64::from(args.pages)) });
    }
    let counted = &passes[1..];
    let of = |figure: fn(&Pass) -> f64| median(counted.iter().map(figure).collect());
    let mut figures = Figures::from([
        ("events_per_s", of(|pass| pass.per_s)),
        ("target_cpu_us", of(|pass| pass.cpu_us[0])),
        ("broker_cpu_us", of(|pass| pass.cpu_us[1])),
        ("load_cpu_us", of(|pass| pass.cpu_us[2])),
    ]);
    losses.report(&mut figures);
    figures
}

/// Events `first..first + pages`; events a second from the first publish to the last page.
pub(crate) fn flood(engine: &mut Engine, pages: u32, first: u32, losses: &mut Losses) -> f64 {
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
                    if n % pages != u32::try_from(page).unwrap() {
                        losses.misdirected(n);
                        continue;
                    }
                    n
                }
                Happened::Arrived(n) => n,
                // Its event will be missing.
                Happened::Cut(_) => continue,
                other => panic!("{other:?} in the middle of a flood"),
            };
            // One of an earlier pass was given up.
            let Some(page) = n.checked_sub(first) else { continue };
            if std::mem::replace(&mut has[page as usize], true) {
                losses.repeated(n);
                continue;
            }
            arrived += 1;
            last_arrival = heard;
        }
        if losses.gives_up(heard) {
            break;
        }
    }
    assert_eq!(confirmed, pages, "of so many events the rest is not confirmed, and nothing more comes");
    losses.published(pages);
    losses.lost(pages - arrived, || format!("{arrived} of {pages} events arrived, then nothing"));
    f64::from(arrived) / (last_arrival - began).as_secs_f64()
}
