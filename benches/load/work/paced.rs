//! Events at a steady rate, spread over waiting pages: how long from publish to page.

use std::time::{Duration, Instant};

use super::{Figures, scattered, stored};
use crate::engine::{Happened, SILENCE};
use crate::measure::{Cpu, quantile, resident_kib};
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
    let mut engine = running.engine();
    let before_kib = resident_kib(&running.pids);
    if engine.has_pages() {
        engine.connect_all(args.pages as usize, |page| order_of(u32::try_from(page).unwrap()));
    }
    let kib_a_page = resident_kib(&running.pids).saturating_sub(before_kib) as f64 / f64::from(args.pages);
    let warmup = (f64::from(args.rate) * args.warmup_s) as u32;
    let total = warmup + (f64::from(args.rate) * args.seconds) as u32;
    let began = Instant::now();
    let mut sent: Vec<Instant> = Vec::with_capacity(total as usize);
    let mut took_ms = vec![f64::NAN; total as usize];
    let (mut arrived, mut confirmed, mut heard) = (0, 0, began);
    let (mut cpu, mut late) = (None, Duration::ZERO);
    while arrived < total || confirmed < total {
        let due = ((began.elapsed().as_secs_f64() * f64::from(args.rate)) as u32).min(total);
        while sent.len() < due as usize {
            let n = u32::try_from(sent.len()).unwrap();
            if n == warmup {
                cpu = Some(Cpu::start(&running.pids, rig.broker.pid));
            }
            let now = Instant::now();
            late = late.max((now - began).saturating_sub(Duration::from_secs_f64(f64::from(n) / f64::from(args.rate))));
            engine.publish(first + n, order_of(scattered(n, args.pages)));
            sent.push(now);
        }
        let wait = if sent.len() < total as usize { 1 } else { 100 };
        for happened in engine.turn(Duration::from_millis(wait)) {
            heard = Instant::now();
            let n = match happened {
                Happened::Confirmed(_) => {
                    confirmed += 1;
                    continue;
                }
                Happened::Got { page, n } => {
                    let page = u32::try_from(page).unwrap();
                    assert_eq!(scattered(n - first, args.pages), page, "a page got another's event");
                    n
                }
                Happened::Arrived(n) => n,
                other => panic!("{other:?} in the middle of it"),
            };
            let n = (n - first) as usize;
            assert!(took_ms[n].is_nan(), "event {n} came twice");
            took_ms[n] = (heard - sent[n]).as_secs_f64() * 1e3;
            arrived += 1;
        }
        assert!(
            heard.elapsed() < SILENCE,
            "{arrived} of {total} events arrived, {confirmed} are confirmed, then nothing"
        );
    }
    let counted = f64::from(total - warmup);
    let [target, broker, load] = cpu.map_or([f64::NAN; 3], |cpu| cpu.us().map(|us| us / counted));
    let mut took_ms = took_ms.split_off(warmup as usize);
    took_ms.sort_by(f64::total_cmp);
    Figures::from([
        ("p50_ms", quantile(&took_ms, 0.5)),
        ("p99_ms", quantile(&took_ms, 0.99)),
        ("p999_ms", quantile(&took_ms, 0.999)),
        ("kib_a_page", kib_a_page),
        ("publisher_late_max_ms", late.as_secs_f64() * 1e3),
        ("target_cpu_us", target),
        ("broker_cpu_us", broker),
        ("load_cpu_us", load),
    ])
}
