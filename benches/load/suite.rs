//! Everything that `make bench` measures: parts, each with its cases, one after the other in every round.

use super::target::{Kind, Rig};
use super::work::{Figures, Work, backlog, flood, idle, paced, polls, sessions};

/// One target, or one size of the work, within a part.
pub(crate) struct Case {
    pub(crate) label: &'static str,
    pub(crate) kind: Kind,
    pub(crate) work: Work,
}

/// What a figure has to be against another case of the part.
pub(crate) struct Bar {
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

/// Cases that are compared.
pub(crate) struct Part {
    pub(crate) title: String,
    /// The figure that bars and plot are about, and its words.
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) cases: Vec<Case>,
    pub(crate) bars: Vec<Bar>,
    /// The other figures of the table.
    pub(crate) columns: &'static [(&'static str, &'static str)],
}

impl Part {
    /// True for rates.
    pub(crate) fn more_is_better(&self) -> bool {
        self.figure.ends_with("_per_s")
    }
}

/// The figures of one round of a case.
pub(crate) struct Sample {
    pub(crate) part: usize,
    pub(crate) case: usize,
    pub(crate) figures: Figures,
}

/// Those that stand any load.
const BRIDGES: [Kind; 5] = [Kind::Ours, Kind::Bare, Kind::BareBatched, Kind::Node, Kind::Nchan];
/// "Flat" for two sizes of the same work.
const FLAT: f64 = 1.15;
const CPU: (&str, &str) = ("target_cpu_us", "CPU µs");
const BROKER: (&str, &str) = ("broker_cpu_us", "broker CPU µs");
const LOAD: (&str, &str) = ("load_cpu_us", "load CPU µs");

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pages: u32,
    idle_pages: u32,
    broker_pages: u32,
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
        seconds: 2.0,
        paced_s: 4.0,
        warmup_s: 1.0,
        backlog: 50_000,
        stored: [("0.1 M stored", 100_000), ("1 M stored", 1_000_000)],
    };
}

/// Runs all parts once and hands each sample over as it comes.
pub(crate) fn round(rig: &Rig, parts: &[Part], mut sample: impl FnMut(Sample)) {
    for (part, Part { cases, .. }) in parts.iter().enumerate() {
        for (case, Case { kind, work, .. }) in cases.iter().enumerate() {
            sample(Sample { part, case, figures: work.run(rig, *kind) });
        }
    }
}

pub(crate) fn parts(scale: Scale, tls: bool) -> Vec<Part> {
    vec![
        sessions_part(scale, 50),
        sessions_part(scale, 100),
        sessions_part(scale, 200),
        flood_part(scale),
        paced_part(scale),
        idle_part(scale, tls),
        backlog_part(scale),
        polls_part(scale),
        more_pages(scale),
        more_pages_memory(scale),
        more_stored(scale),
    ]
}

fn case(kind: Kind, work: Work) -> Case {
    Case { label: kind.name(), kind, work }
}

fn bar(by: &'static str, limit: Limit, asks: &'static str) -> Bar {
    Bar { of: "ours", by: Some(by), limit, asks }
}

/// The figure of the larger size against that of the smaller one.
fn flat(of: &'static str, by: &'static str, asks: &'static str) -> Bar {
    Bar { of, by: Some(by), limit: Limit::AtMost(FLAT), asks }
}

fn sessions_part(scale: Scale, at_once: usize) -> Part {
    let work = |seconds| Work::Sessions(sessions::Args { at_once, seconds, warmup_s: scale.warmup_s });
    let mut cases: Vec<Case> =
        [Kind::Ours, Kind::Bare, Kind::Node, Kind::Nchan].map(|kind| case(kind, work(scale.seconds))).into();
    if at_once == 50 {
        cases.insert(2, case(Kind::BareBatched, work(scale.seconds)));
        // They manage few, and many of their queues take long to go away.
        cases.extend([Kind::WebStomp, Kind::WebMqtt].map(|kind| case(kind, work(scale.seconds))));
    }
    Part {
        title: format!("Sessions, {at_once} at once"),
        figure: "sessions_per_s",
        unit: "sessions/s",
        cases,
        bars: vec![
            bar("node", Limit::AtLeast(3.0), "three times the visits that a Node bridge manages, which stores nothing"),
            bar("bare", Limit::AtLeast(0.5), "half the rate of a consumer that has no pages at all"),
        ],
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), CPU, BROKER, LOAD],
    }
}

fn flood_part(scale: Scale) -> Part {
    let work = || Work::Flood(flood::Args { pages: scale.pages, passes: 3 });
    Part {
        title: format!("Flood: {} pages, one event each", thousands(scale.pages)),
        figure: "events_per_s",
        unit: "events/s",
        cases: BRIDGES.map(|kind| case(kind, work())).into(),
        bars: vec![
            bar("node", Limit::AtLeast(1.0), "as many events a second as a Node bridge, which stores nothing"),
            bar("bare", Limit::AtLeast(0.9), "storing and pushing takes no more than a tenth of a consumer's rate"),
        ],
        columns: &[CPU, BROKER, LOAD],
    }
}

fn paced_args(scale: Scale, pages: u32, stored: u32) -> Work {
    let (seconds, warmup_s) = (scale.paced_s, scale.warmup_s);
    Work::Paced(paced::Args { pages, rate: 2_000, seconds, warmup_s, stored })
}

fn paced_part(scale: Scale) -> Part {
    let work = || paced_args(scale, scale.pages, 0);
    Part {
        title: format!("Paced: 2,000 events/s on {} pages, publish to page", thousands(scale.pages)),
        figure: "p99_ms",
        unit: "ms p99",
        cases: BRIDGES.map(|kind| case(kind, work())).into(),
        bars: vec![
            bar("node", Limit::AtMost(1.0), "the slowest of a hundred results is no later than through a Node bridge"),
            bar(
                "bare",
                Limit::AtMost(1.5),
                "the slowest of a hundred takes at most half as long again as to a consumer",
            ),
        ],
        columns: &[
            ("p50_ms", "p50 ms"),
            ("p999_ms", "p99.9 ms"),
            ("publisher_late_max_ms", "publisher late at most ms"),
            CPU,
            BROKER,
            LOAD,
        ],
    }
}

fn idle_part(scale: Scale, tls: bool) -> Part {
    let work = |pages, tls| Work::Idle(idle::Args { pages, tls, seconds: 5.0 });
    let mut cases: Vec<Case> =
        [Kind::Ours, Kind::Node, Kind::Nchan].map(|kind| case(kind, work(scale.idle_pages, false))).into();
    cases.extend([Kind::WebStomp, Kind::WebMqtt].map(|kind| case(kind, work(scale.broker_pages, false))));
    if tls {
        cases.insert(1, Case { label: "ours, TLS", kind: Kind::Ours, work: work(scale.idle_pages, true) });
    }
    Part {
        title: format!(
            "Memory: {} idle pages ({} for Web STOMP and Web MQTT), fresh process",
            thousands(scale.idle_pages),
            thousands(scale.broker_pages)
        ),
        figure: "kib_a_page",
        unit: "KiB a page",
        cases,
        bars: vec![Bar {
            of: "ours",
            by: None,
            limit: Limit::AtMost(3.5),
            asks: "a million waiting pages fit into 3.4 GiB",
        }],
        columns: &[("mib_before", "MiB before"), ("mib_after", "MiB after"), ("connect_cpu_us", "CPU µs a connect")],
    }
}

fn backlog_part(scale: Scale) -> Part {
    let work = || Work::Backlog(backlog::Args { events: scale.backlog });
    Part {
        title: format!("Backlog: {} durable events wait at start", thousands(scale.backlog)),
        figure: "events_per_s",
        unit: "events/s",
        cases: [Kind::Ours, Kind::Bare, Kind::BareBatched, Kind::Node].map(|kind| case(kind, work())).into(),
        bars: vec![bar(
            "bare",
            Limit::AtLeast(0.9),
            "after an outage, storing keeps up with a consumer that stores nothing",
        )],
        columns: &[CPU],
    }
}

fn polls_part(scale: Scale) -> Part {
    let work = |orders| Work::Polls(polls::Args { orders, connections: 64, seconds: scale.seconds as u32 });
    let case = |label, orders| Case { label, kind: Kind::Ours, work: work(orders) };
    Part {
        title: "Polls: GET over 64 connections".to_owned(),
        figure: "requests_per_s",
        unit: "requests/s",
        cases: vec![case("one order", 1), case("5,000 orders", 5_000)],
        bars: Vec::new(),
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), CPU],
    }
}

fn grown(scale: Scale) -> [Case; 3] {
    let case = |label, pages| Case { label, kind: Kind::Ours, work: paced_args(scale, pages, 0) };
    [case("1,000 pages", 1_000), case("6,000 pages", 6_000), case("18,000 pages", 18_000)]
}

fn more_pages(scale: Scale) -> Part {
    Part {
        title: "More pages: CPU an event at 2,000 events/s".to_owned(),
        figure: "target_cpu_us",
        unit: "CPU µs an event",
        cases: grown(scale).into(),
        bars: vec![flat("18,000 pages", "1,000 pages", "an event costs the same CPU, however many pages wait")],
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), BROKER],
    }
}

fn more_pages_memory(scale: Scale) -> Part {
    let case = |label, pages| {
        let work = Work::Idle(idle::Args { pages, tls: false, seconds: scale.warmup_s });
        Case { label, kind: Kind::Ours, work }
    };
    Part {
        title: "More pages: memory".to_owned(),
        figure: "kib_a_page",
        unit: "KiB a page",
        cases: vec![case("1,000 pages", 1_000), case("18,000 pages", 18_000)],
        bars: vec![flat("18,000 pages", "1,000 pages", "a page costs the same memory, however many wait")],
        columns: &[("mib_before", "MiB before"), ("mib_after", "MiB after"), ("connect_cpu_us", "CPU µs a connect")],
    }
}

fn more_stored(scale: Scale) -> Part {
    let [few, many] = scale.stored;
    let case = |(label, stored)| Case { label, kind: Kind::Ours, work: paced_args(scale, scale.pages, stored) };
    Part {
        title: "More stored orders: CPU an event at 2,000 events/s".to_owned(),
        figure: "target_cpu_us",
        unit: "CPU µs an event",
        cases: vec![case(few), case(many)],
        bars: vec![flat(many.0, few.0, "an event costs the same CPU, however many orders are stored")],
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), BROKER],
    }
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
