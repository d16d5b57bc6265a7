//! Whole sessions: connect, subscribe, an event published with a confirm, its result received, close.

use std::time::{Duration, Instant};

use super::Figures;
use super::losses::{LOST_AFTER, Losses};
use crate::engine::{Engine, Happened, SILENCE};
use crate::measure::{Cpu, Latencies};
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
const SESSIONS_PER_S_MAX: f64 = 25_000.0;

struct Slot {
    began: Instant,
    n: u32,
    is_open: bool,
    got: bool,
    confirmed: bool,
}

struct Work {
    slots: Vec<Slot>,
    slot_of: Vec<u32>,
    began: Instant,
    warmup: Duration,
    end: Duration,
    took: Latencies,
    losses: Losses,
    open: usize,
}

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    let most = ((args.seconds + args.warmup_s) * SESSIONS_PER_S_MAX) as u32;
    let orders = if kind.has_tickets() { (0..most).collect() } else { Vec::new() };
    let mut running = rig.start(kind, &Start { orders, ..Start::default() });
    let mut engine = running.engine(kind);
    let slot = || Slot { began: Instant::now(), n: 0, is_open: false, got: false, confirmed: false };
    let mut work = Work {
        slots: (0..args.at_once).map(|_| slot()).collect(),
        slot_of: Vec::new(),
        began: Instant::now(),
        warmup: Duration::from_secs_f64(args.warmup_s),
        end: Duration::from_secs_f64(args.warmup_s + args.seconds),
        took: Latencies::new(),
        losses: Losses::of(kind),
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
        if work.losses.forgives() {
            work.give_up_old(&mut engine);
        }
        assert!(heard.elapsed() < SILENCE, "{} sessions got nothing for {} s", work.open, SILENCE.as_secs());
    }
    let [target, broker, load] = cpu.map_or([f64::NAN; 3], |cpu| cpu.us());
    let count = work.took.count() as f64;
    assert!(count > 0.0, "no session ended in time");
    let mut figures = Figures::from([
        ("sessions_per_s", count / args.seconds),
        ("p50_ms", work.took.ms(0.5)),
        ("p99_ms", work.took.ms(0.99)),
        ("target_cpu_us", target / count),
        ("broker_cpu_us", broker / count),
        ("load_cpu_us", load / count),
    ]);
    work.losses.published(u32::try_from(work.slot_of.len()).unwrap());
    work.losses.report(&mut figures);
    figures
}

impl Work {
    fn start(&mut self, engine: &mut Engine, index: usize) {
        let n = u32::try_from(self.slot_of.len()).unwrap();
        self.slot_of.push(u32::try_from(index).unwrap());
        self.slots[index] = Slot { began: Instant::now(), n, is_open: true, got: false, confirmed: false };
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
                if self.slots[page].n != n {
                    return self.losses.misdirected(n);
                }
                if std::mem::replace(&mut self.slots[page].got, true) {
                    return self.losses.repeated(n);
                }
                self.after(engine, page);
            }
            Happened::Arrived(n) => {
                let slot = self.slot_of[n as usize] as usize;
                self.slots[slot].got = true;
                self.after(engine, slot);
            }
            Happened::Confirmed(n) => {
                let slot = self.slot_of[n as usize] as usize;
                // That of a session that was given up.
                if self.slots[slot].n != n {
                    return;
                }
                self.slots[slot].confirmed = true;
                self.after(engine, slot);
            }
            Happened::Closed(slot) => self.closed(engine, slot),
            Happened::Cut(slot) => self.give_up(engine, slot),
        }
    }

    fn give_up_old(&mut self, engine: &mut Engine) {
        for index in 0..self.slots.len() {
            let Slot { began, is_open, .. } = self.slots[index];
            if is_open && began.elapsed() > LOST_AFTER {
                engine.abandon(index);
                self.give_up(engine, index);
            }
        }
    }

    /// A session that does not count but as lost.
    fn give_up(&mut self, engine: &mut Engine, index: usize) {
        let n = self.slots[index].n;
        self.losses.lost(1, || format!("session {n} got nothing"));
        self.next(engine, index);
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
        if (self.warmup..self.end).contains(&self.began.elapsed()) {
            self.took.record(self.slots[index].began.elapsed());
        }
        self.next(engine, index);
    }

    /// The place of a session that is over is taken by the next, while there is time.
    fn next(&mut self, engine: &mut Engine, index: usize) {
        self.open -= 1;
        self.slots[index].is_open = false;
        if self.began.elapsed() < self.end {
            self.start(engine, index);
        }
    }
}
