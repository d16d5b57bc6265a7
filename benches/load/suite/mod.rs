//! Everything that `make bench` measures: parts, each with its cases, one after the other in every round.

mod compared;
mod own;

use std::collections::BTreeSet;

use super::target::{Kind, Rig};
use super::works::{Figures, Work};

/// Rounds of a full run: of the cases that bars compare, and at most of all others.
pub(crate) const ROUNDS: u32 = 5;
pub(crate) const LONG_ROUNDS: u32 = 3;

/// One target, or one size of the work, within a part.
pub(crate) struct Case {
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    pub(crate) work: Work,
}

/// A figure's name and its unit in words.
pub(crate) type Figure = (&'static str, &'static str);

/// What a figure has to be, by itself or against that of another case of the part.
pub(crate) struct Bar {
    pub(crate) figure: Figure,
    /// The case whose figure is looked at, and the one it is divided by. Not set: the figure itself.
    pub(crate) of: &'static str,
    pub(crate) by: Option<&'static str>,
    pub(crate) limit: Limit,
    /// What that asks of the service, as half a sentence.
    pub(crate) asks: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// What a service that costs nothing would reach.
#[derive(Clone, Copy)]
pub(crate) enum Ideal {
    /// The rate at which broker and load program alone fill all cores.
    Rate,
    /// The latency of this case, which does nothing with what it gets.
    LatencyOf(&'static str),
}

/// Cases that are compared.
pub(crate) struct Part {
    pub(crate) title: String,
    /// The figure that the plot and most bars are about.
    pub(crate) figure: Figure,
    pub(crate) cases: Vec<Case>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) ideal: Option<Ideal>,
    /// Run in fewer rounds.
    pub(crate) is_long: bool,
    /// The other figures of the table.
    pub(crate) columns: &'static [Figure],
}

impl Part {
    /// True for rates.
    pub(crate) fn more_is_better(&self) -> bool {
        self.figure.0.ends_with("_per_s")
    }

    pub(crate) fn case(&self, label: &str) -> Option<usize> {
        self.cases.iter().position(|case| case.label == label)
    }
}

/// A case in one round.
pub(crate) struct Sample {
    pub(crate) round: u32,
    pub(crate) part: usize,
    pub(crate) case: usize,
    /// Or why there are none.
    pub(crate) figures: Result<Figures, String>,
}

const CPU: Figure = ("target_cpu_us", "CPU µs");
const BROKER: Figure = ("broker_cpu_us", "broker CPU µs");
const LOAD: Figure = ("load_cpu_us", "load CPU µs");

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pages: u32,
    idle_pages: u32,
    broker_pages: u32,
    hearing_pages: u32,
    seconds: f64,
    paced_s: f64,
    warmup_s: f64,
    backlog: u32,
    stored: [(&'static str, u32); 2],
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        pages: 15_000,
        idle_pages: 18_000,
        broker_pages: 2_000,
        hearing_pages: 6_000,
        seconds: 4.0,
        paced_s: 8.0,
        warmup_s: 1.5,
        backlog: 200_000,
        stored: [("1 M stored", 1_000_000), ("10 M stored", 10_000_000)],
    };
    pub(crate) const QUICK: Self = Self {
        pages: 5_000,
        idle_pages: 5_000,
        broker_pages: 500,
        hearing_pages: 2_000,
        seconds: 2.0,
        paced_s: 4.0,
        warmup_s: 1.0,
        backlog: 50_000,
        stored: [("0.1 M stored", 100_000), ("1 M stored", 1_000_000)],
    };
}

/// What has failed once is not tried again: each try may take minutes.
#[derive(Default)]
pub(crate) struct Failed(BTreeSet<(usize, usize)>);

/// Runs all parts once and hands each sample over as it comes.
pub(crate) fn round(rig: &Rig, parts: &[Part], round: u32, failed: &mut Failed, mut sample: impl FnMut(Sample)) {
    for (part, Part { cases, is_long, .. }) in parts.iter().enumerate() {
        for (case, Case { kind, work, .. }) in cases.iter().enumerate() {
            let is_long = *is_long || matches!(kind, Kind::Nchan | Kind::WebStomp | Kind::WebMqtt);
            if failed.0.contains(&(part, case)) || (is_long && round > LONG_ROUNDS) {
                continue;
            }
            let figures = work.try_run(rig, *kind);
            if figures.is_err() {
                failed.0.insert((part, case));
            }
            sample(Sample { round, part, case, figures });
        }
    }
}

pub(crate) fn parts(scale: Scale, tls: bool) -> Vec<Part> {
    vec![
        compared::sessions(scale, 50),
        compared::sessions(scale, 100),
        compared::sessions(scale, 200),
        compared::flood(scale),
        compared::paced(scale),
        compared::idle(scale, tls),
        compared::backlog(scale),
        own::polls(scale),
        own::hearing(scale),
        own::more_pages(scale),
        own::more_pages_memory(scale),
        own::more_stored(scale),
    ]
}

fn case(kind: Kind, work: Work) -> Case {
    Case { label: kind.name(), kind, work }
}

/// 18000 as people write it.
pub(crate) fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
