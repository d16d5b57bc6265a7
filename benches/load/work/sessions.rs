//! Whole sessions: connect, subscribe, an event published with a confirm, its result received, close.

use std::time::{Duration, Instant};

use super::Figures;
use crate::engine::{Engine, Happened, SILENCE};
use crate::measure::{Cpu, quantile};
use crate::target::{Kind, Rig, Start};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Sessions at once
    #[arg(long, default_value_t = 50)]
    pub(crate) at_once: usize,
    /// How long, after the warm-up
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// How long before that
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup_s: f64,
}

/// Tickets are made before the measurement: enough for any target.
const SESSIONS_PER_S_MAX: f64 = 15_000.0;

struct Slot {
    began: Instant,
    n: u32,
    got: bool,
    confirmed: bool,
}

struct Work {
    slots: Vec<Slot>,
    slot_of: Vec<u32>,
    began: Instant,
    warmup: Duration,
    end: Duration,
    took_ms: Vec<f64>,
    open: usize,
}

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    let most = ((args.seconds + args.warmup_s) * SESSIONS_PER_S_MAX) as u32;
    let orders = if kind == Kind::Ours { (0..most).collect() } else { Vec::new() };
    let mut running = rig.start(kind, &Start { orders, ..Start::default() });
    let mut engine = running.engine();
    let slot = || Slot { began: Instant::now(), n: 0, got: false, confirmed: false };
    let mut work = Work {
        slots: (0..args.at_once).map(|_| slot()).collect(),
        slot_of: Vec::new(),
        began: Instant::now(),
        warmup: Duration::from_secs_f64(args.warmup_s),
        end: Duration::from_secs_f64(args.warmup_s + args.seconds),
        took_ms: Vec::new(),
        open: 0,
    };
    for slot in 0..args.at_once {
        work.start(&mut engine, slot);
    }
    let (mut cpu, mut heard) = (None, Instant::now());
    while work.open > 0 {
        for happened in engine.turn(Duration::from_millis(100)) {
            heard = Instant::now();
            work.on(&mut engine, &happened);
        }
        if cpu.is_none() && work.began.elapsed() >= work.warmup {
            cpu = Some(Cpu::start(&running.pids, rig.broker.pid));
        }
        assert!(heard.elapsed() < SILENCE, "{} sessions got nothing for {} s", work.open, SILENCE.as_secs());
    }
    let [target, broker, load] = cpu.map_or([f64::NAN; 3], |cpu| cpu.us());
    let count = work.took_ms.len() as f64;
    work.took_ms.sort_by(f64::total_cmp);
    Figures::from([
        ("sessions_per_s", count / args.seconds),
        ("p50_ms", quantile(&work.took_ms, 0.5)),
        ("p99_ms", quantile(&work.took_ms, 0.99)),
        ("target_cpu_us", target / count),
        ("broker_cpu_us", broker / count),
        ("load_cpu_us", load / count),
    ])
}

impl Work {
    fn start(&mut self, engine: &mut Engine, index: usize) {
        let n = u32::try_from(self.slot_of.len()).unwrap();
        self.slot_of.push(u32::try_from(index).unwrap());
        self.slots[index] = Slot { began: Instant::now(), n, got: false, confirmed: false };
        self.open += 1;
        if engine.has_pages() {
            engine.connect(index, n);
        } else {
            engine.publish(n, n);
        }
    }

    fn on(&mut self, engine: &mut Engine, happened: &Happened) {
        match *happened {
            Happened::Subscribed(slot) => engine.publish(self.slots[slot].n, self.slots[slot].n),
            Happened::Got { page, n } => {
                assert_eq!(self.slots[page].n, n, "a page got another's event");
                self.slots[page].got = true;
                self.after(engine, page);
            }
            Happened::Arrived(n) => {
                let slot = self.slot_of[n as usize] as usize;
                self.slots[slot].got = true;
                self.after(engine, slot);
            }
            Happened::Confirmed(n) => {
                let slot = self.slot_of[n as usize] as usize;
                self.slots[slot].confirmed = true;
                self.after(engine, slot);
            }
            Happened::Closed(slot) => self.closed(engine, slot),
        }
    }

    /// The page goes once it has its result, and the publisher the confirm.
    fn after(&mut self, engine: &mut Engine, index: usize) {
        if !(self.slots[index].got && self.slots[index].confirmed) {
            return;
        }
        if engine.has_pages() {
            engine.close(index);
        } else {
            self.closed(engine, index);
        }
    }

    fn closed(&mut self, engine: &mut Engine, index: usize) {
        self.open -= 1;
        let elapsed = self.began.elapsed();
        if (self.warmup..self.end).contains(&elapsed) {
            self.took_ms.push(self.slots[index].began.elapsed().as_secs_f64() * 1e3);
        }
        if elapsed < self.end {
            self.start(engine, index);
        }
    }
}
