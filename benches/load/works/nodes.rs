//! One, two and three nodes on one PostgreSQL: how many events a second, what an event costs each node, and how much later a
//! page learns of an event that another node has taken.

use std::time::{Duration, Instant};

use super::losses::Losses;
use super::{Figures, flood, scattered};
use crate::engine::{Engine, Happened, SILENCE};
use crate::measure::{Latencies, cpu_of_process, median};
use crate::target::{Fleet, Kind, Rig, Role, postgres_pids};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Pages that wait, one order each, spread over the nodes
    #[arg(long, default_value_t = 6_000)]
    pub(crate) pages: u32,
    /// Floods over the same pages, after one that is not counted
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: u32,
    /// Events a second where latency is measured
    #[arg(long, default_value_t = 500)]
    pub(crate) rate: u32,
    /// How long, after a warm-up of 2 s
    #[arg(long, default_value_t = 8.0)]
    pub(crate) seconds: f64,
}

/// [`Args`] of the one figure that stands in the full run.
#[derive(clap::Args, Clone)]
pub(crate) struct HearingArgs {
    /// Pages that wait at the node that takes the events, one order each
    #[arg(long, default_value_t = 6_000)]
    pub(crate) pages: u32,
    /// Floods over them, after one that is not counted
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: u32,
}

const WARMUP_S: f64 = 2.0;
const SETTLE: Duration = Duration::from_millis(300);
/// Below `live.reads_per_s_max`, so that all are read each second.
const REREADS_PER_S: u32 = 4_000;
const REREAD_S: u64 = 6;
const NODES_MAX: usize = 3;
/// By number of nodes.
const EVENTS_PER_S: [&str; NODES_MAX] = ["flood_1_per_s", "flood_2_per_s", "flood_3_per_s"];
const NODE_CPU: [&str; NODES_MAX] = ["flood_1_node_cpu_us", "flood_2_node_cpu_us", "flood_3_node_cpu_us"];
const POSTGRES_CPU: [&str; NODES_MAX] =
    ["flood_1_postgres_cpu_us", "flood_2_postgres_cpu_us", "flood_3_postgres_cpu_us"];
const BROKER_CPU: [&str; NODES_MAX] = ["flood_1_broker_cpu_us", "flood_2_broker_cpu_us", "flood_3_broker_cpu_us"];

pub(crate) fn run(rig: &Rig, kind: Kind, args: &Args) -> Figures {
    assert_eq!(kind, Kind::Ours, "only the service has several nodes");
    let mut figures = Figures::new();
    for count in 1..=NODES_MAX {
        floods(rig, count, args, &mut figures);
    }
    let alone = paced(rig, &[Role::Consumes], args);
    let beside = paced(rig, &[Role::Consumes, Role::Hears], args);
    let heard_only = hearing(rig, args.pages, args.passes);
    let [reread, reread_postgres] = rereading(rig, args);
    for (names, took) in [
        (["alone_p50_ms", "alone_p99_ms"], &alone.of_node[0]),
        (["own_p50_ms", "own_p99_ms"], &beside.of_node[0]),
        (["other_p50_ms", "other_p99_ms"], &beside.of_node[1]),
    ] {
        figures.extend([(names[0], took.ms(0.5)), (names[1], took.ms(0.99))]);
    }
    figures.extend([
        ("alone_cpu_us", alone.cpu_us[0]),
        ("consuming_cpu_us", beside.cpu_us[0]),
        ("hearing_cpu_us", beside.cpu_us[1]),
        ("flood_hearing_cpu_us", heard_only),
        ("reread_cpu_us", reread),
        ("reread_postgres_cpu_us", reread_postgres),
    ]);
    figures
}

/// Two nodes, of which one only hears of the other's events.
pub(crate) fn run_hearing(rig: &Rig, kind: Kind, args: &HearingArgs) -> Figures {
    assert_eq!(kind, Kind::Ours, "only the service has several nodes");
    Figures::from([("hearing_cpu_us", hearing(rig, args.pages, args.passes))])
}

/// What the processes spend from one moment to another.
struct Spent {
    /// PostgreSQL's, the broker's, then each node's.
    processes: Vec<Vec<u32>>,
    before: Vec<Vec<Option<Duration>>>,
}

impl Spent {
    fn begin(rig: &Rig, nodes: Vec<u32>) -> Self {
        let of_nodes = nodes.into_iter().map(|pid| vec![pid]);
        let processes: Vec<_> = [postgres_pids(), vec![rig.broker.pid]].into_iter().chain(of_nodes).collect();
        let before = processes.iter().map(|pids| read(pids)).collect();
        Self { processes, before }
    }

    /// Microseconds: PostgreSQL, the broker, then each node. Without connections of PostgreSQL that have ended meanwhile.
    fn us(&self) -> Vec<f64> {
        let spent = |pids: &Vec<u32>, before: &Vec<Option<Duration>>| -> Duration {
            let after = read(pids);
            assert!(after[0].is_some(), "process {} has ended", pids[0]);
            after.iter().zip(before).filter_map(|(after, before)| Some((*after)? - (*before)?)).sum()
        };
        self.processes.iter().zip(&self.before).map(|(pids, before)| spent(pids, before).as_secs_f64() * 1e6).collect()
    }
}

fn read(pids: &[u32]) -> Vec<Option<Duration>> {
    pids.iter().map(|&pid| cpu_of_process(pid)).collect()
}

/// One event for each page, as fast as the broker takes them.
fn floods(rig: &Rig, count: usize, args: &Args, figures: &mut Figures) {
    let fleet = Fleet::start(rig, &[Role::Consumes; NODES_MAX][..count]);
    let mut engine = fleet.engine(rig, None, args.pages);
    engine.connect_all(args.pages as usize, |page| u32::try_from(page).unwrap());
    let passes = flood_passes(rig, &mut engine, fleet.pids(), args.pages, args.passes);
    let each: Vec<f64> = (0..count).map(|node| cpu_of(&passes, 2 + node)).collect();
    println!("{count} nodes, flood: CPU µs an event by node {each:.1?}");
    figures.extend([
        (EVENTS_PER_S[count - 1], median(passes.iter().map(|pass| pass.per_s).collect())),
        (NODE_CPU[count - 1], each.iter().sum::<f64>() / each.len() as f64),
        (POSTGRES_CPU[count - 1], cpu_of(&passes, 0)),
        (BROKER_CPU[count - 1], cpu_of(&passes, 1)),
    ]);
}

/// A flood.
struct Pass {
    per_s: f64,
    /// An event, of whom [`Spent::us`] says.
    cpu_us: Vec<f64>,
}

fn cpu_of(passes: &[Pass], whose: usize) -> f64 {
    median(passes.iter().map(|pass| pass.cpu_us[whose]).collect())
}

/// Each pass that counts.
fn flood_passes(rig: &Rig, engine: &mut Engine, nodes: Vec<u32>, pages: u32, count: u32) -> Vec<Pass> {
    let (mut passes, mut losses) = (Vec::new(), Losses::of(Kind::Ours));
    for pass in 0..=count {
        let spent = Spent::begin(rig, nodes.clone());
        let per_s = flood::flood(engine, pages, pass * pages, &mut losses);
        engine.quiet(SETTLE);
        passes.push(Pass { per_s, cpu_us: spent.us().iter().map(|us| us / f64::from(pages)).collect() });
    }
    passes.split_off(1)
}

/// What a node spends on an event of others that none of its pages waits for.
fn hearing(rig: &Rig, pages: u32, count: u32) -> f64 {
    let fleet = Fleet::start(rig, &[Role::Consumes, Role::Hears]);
    let mut engine = fleet.engine(rig, Some(&[0]), pages);
    engine.connect_all(pages as usize, |page| u32::try_from(page).unwrap());
    let passes = flood_passes(rig, &mut engine, fleet.pids(), pages, count);
    cpu_of(&passes, 3)
}

/// What reading a watched order again costs a node, and PostgreSQL.
fn rereading(rig: &Rig, args: &Args) -> [f64; 2] {
    let per_s = args.pages.min(REREADS_PER_S);
    let often = [("LIVE__REREAD_S", "1"), ("LIVE__READS_PER_S_MAX", "5000")];
    let fleet = Fleet::start_with(rig, &[Role::Consumes], &often);
    let mut engine = fleet.engine(rig, None, per_s);
    engine.connect_all(per_s as usize, |page| u32::try_from(page).unwrap());
    flood::flood(&mut engine, per_s, 0, &mut Losses::of(Kind::Ours));
    engine.quiet(SETTLE);
    let spent = Spent::begin(rig, fleet.pids());
    engine.quiet(Duration::from_secs(REREAD_S));
    let us = spent.us();
    let read = f64::from(per_s) * REREAD_S as f64;
    [us[2] / read, us[0] / read]
}

struct Paced {
    /// From publish to page, by the node that the page was at.
    of_node: Vec<Latencies>,
    /// An event, by node.
    cpu_us: Vec<f64>,
}

/// Events at a steady rate over pages that are spread over the nodes.
fn paced(rig: &Rig, roles: &[Role], args: &Args) -> Paced {
    let fleet = Fleet::start(rig, roles);
    let mut engine = fleet.engine(rig, None, args.pages);
    engine.connect_all(args.pages as usize, |page| u32::try_from(page).unwrap());
    let rate = f64::from(args.rate);
    let warmup = (rate * WARMUP_S) as u32;
    let total = warmup + (rate * args.seconds) as u32;
    let mut of_node: Vec<Latencies> = roles.iter().map(|_| Latencies::new()).collect();
    let (mut sent, mut spent) = (Vec::with_capacity(total as usize), None);
    let (began, mut arrived, mut confirmed) = (Instant::now(), 0, 0);
    let mut heard = began;
    while arrived < total || confirmed < total {
        let due = ((began.elapsed().as_secs_f64() * rate) as u32).min(total);
        while sent.len() < due as usize {
            let n = u32::try_from(sent.len()).unwrap();
            if n == warmup {
                spent = Some(Spent::begin(rig, fleet.pids()));
            }
            engine.publish(n, scattered(n, args.pages));
            sent.push(Instant::now());
        }
        let wait = if sent.len() < total as usize { 1 } else { 100 };
        for happened in engine.turn(Duration::from_millis(wait)) {
            heard = Instant::now();
            match happened {
                Happened::Confirmed(_) => confirmed += 1,
                Happened::Got { page, n } => {
                    assert_eq!(scattered(n, args.pages) as usize, page, "a page got another's event");
                    arrived += 1;
                    if n >= warmup {
                        of_node[page % roles.len()].record(heard - sent[n as usize]);
                    }
                }
                other => panic!("{other:?} in the middle of it"),
            }
        }
        assert!(
            heard.elapsed() < SILENCE,
            "{arrived} of {total} events arrived, {confirmed} are confirmed, then nothing"
        );
    }
    let us = spent.map(|spent| spent.us()).unwrap_or_default();
    Paced { of_node, cpu_us: us.iter().skip(2).map(|us| us / f64::from(total - warmup)).collect() }
}
