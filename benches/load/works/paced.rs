//! Events at a steady rate, spread over waiting pages: how long from publish to page.

use std::time::{Duration, Instant};

use super::losses::Losses;
use super::{Figures, scattered, stored};
use crate::engine::Happened;
use crate::measure::{Cpu, Latencies, resident_kib};
use crate::target::{Kind, Rig, Start};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Pages that wait, one order each
    #[arg(long, default_value_t = 15_000)]
    pub(crate) pages: u32,
    /// Events a second
    #[arg(long, default_value_t = 2_000)]
    pub(crate) rate: u32,
    /// How long, after the warm-up
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// How long before that
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup_s: f64,
    /// Orders that the store holds already (this service alone); those of the pages lie all over them
    #[arg(long, default_value_t = 0)]
    pub(crate) stored: u32,
}

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    assert!(args.stored == 0 || args.stored >= args.pages, "fewer stored orders than pages");
    let database = (args.stored > 0).then(|| stored::database(&rig.folder, args.stored));
    let stride = (args.stored / args.pages).max(1);
    let order_of = |page: u32| page * stride + page.wrapping_mul(7_919) % stride;
    let orders = (0..args.pages).map(order_of).collect();
    // A database that is used again has seen the events of the times before.
    let first = rig.unused_events();
    let mut running = rig.start(kind, &Start { orders, database, ..Start::default() });
    let mut engine = running.engine(kind);
    let before_kib = resident_kib(&running.pids);
    if engine.has_pages() {
        engine.connect_all(args.pages as usize, |page| order_of(u32::try_from(page).unwrap()));
    }
    let kib_a_page = resident_kib(&running.pids).saturating_sub(before_kib) as f64 / f64::from(args.pages);
    let warmup = (f64::from(args.rate) * args.warmup_s) as u32;
    let total = warmup + (f64::from(args.rate) * args.seconds) as u32;
    let mut course = Course {
        first,
        warmup: warmup as usize,
        pages: args.pages,
        sent: Vec::with_capacity(total as usize),
        has: vec![false; total as usize],
        arrived: 0,
        confirmed: 0,
        took: Latencies::new(),
        losses: Losses::of(kind),
    };
    let began = Instant::now();
    let (mut cpu, mut late, mut heard) = (None, Duration::ZERO, began);
    while course.arrived < total || course.confirmed < total {
        let due = ((began.elapsed().as_secs_f64() * f64::from(args.rate)) as u32).min(total);
        while course.sent.len() < due as usize {
            let n = u32::try_from(course.sent.len()).unwrap();
            if n == warmup {
                cpu = Some(Cpu::start(&running.pids, rig.broker.pid));
            }
            let now = Instant::now();
            late = late.max((now - began).saturating_sub(Duration::from_secs_f64(f64::from(n) / f64::from(args.rate))));
            engine.publish(first + n, order_of(scattered(n, args.pages)));
            course.sent.push(now);
        }
        let wait = if course.sent.len() < total as usize { 1 } else { 100 };
        for happened in engine.turn(Duration::from_millis(wait)) {
            heard = Instant::now();
            course.on(&happened, heard);
        }
        if course.losses.gives_up(heard) {
            break;
        }
    }
    let Course { arrived, confirmed, took, mut losses, .. } = course;
    assert_eq!(confirmed, total, "of so many events the rest is not confirmed, and nothing more comes");
    losses.published(total);
    losses.lost(total - arrived, || format!("{arrived} of {total} events arrived, then nothing"));
    let counted = f64::from(total - warmup);
    let [target, broker, load] = cpu.map_or([f64::NAN; 3], |cpu| cpu.us().map(|us| us / counted));
    let mut figures = Figures::from([
        ("p50_ms", took.ms(0.5)),
        ("p99_ms", took.ms(0.99)),
        ("p999_ms", took.ms(0.999)),
        ("kib_a_page", kib_a_page),
        ("publisher_late_max_ms", late.as_secs_f64() * 1e3),
        ("target_cpu_us", target),
        ("broker_cpu_us", broker),
        ("load_cpu_us", load),
    ]);
    losses.report(&mut figures);
    figures
}

/// What has been sent and has come.
struct Course {
    /// The number of the first event, and how many of them are warm-up.
    first: u32,
    warmup: usize,
    pages: u32,
    /// By event, counted from the first: when it was published, and whether it has come.
    sent: Vec<Instant>,
    has: Vec<bool>,
    arrived: u32,
    confirmed: u32,
    took: Latencies,
    losses: Losses,
}

impl Course {
    fn on(&mut self, happened: &Happened, at: Instant) {
        let n = match *happened {
            Happened::Confirmed(_) => {
                self.confirmed += 1;
                return;
            }
            Happened::Got { page, n } => {
                if scattered(n - self.first, self.pages) as usize != page {
                    return self.losses.misdirected(n);
                }
                n
            }
            Happened::Arrived(n) => n,
            // Its events will be missing.
            Happened::Cut(_) => return,
            ref other => panic!("{other:?} in the middle of it"),
        };
        let index = (n - self.first) as usize;
        if std::mem::replace(&mut self.has[index], true) {
            return self.losses.repeated(n);
        }
        self.arrived += 1;
        if index >= self.warmup {
            self.took.record(at - self.sent[index]);
        }
    }
}
