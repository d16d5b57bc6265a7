//! What only the service does, and whether it stays what it is as things grow.

use super::compared::paced_args;
use super::{BROKER, Bar, CPU, Case, Figure, Limit, Part, Scale};
use crate::target::Kind;
use crate::works::{Work, idle, nodes, polls};

/// "Flat" for two sizes of the same work.
const FLAT: f64 = 1.15;
const EVENT_CPU: Figure = ("target_cpu_us", "CPU µs an event");
const PAGE: Figure = ("kib_a_page", "KiB a page");
const REQUESTS: Figure = ("requests_per_s", "requests/s");
const HEARING: Figure = ("hearing_cpu_us", "CPU µs an event");
/// Half as many again as the 39,900 of version 0.1 on the machine of docs/benchmarks.
const REQUESTS_PER_S: f64 = 59_850.0;

/// The figure of the larger size against that of the smaller one.
fn grown(figure: Figure, of: &'static str, by: &'static str, most: f64, asks: &'static str) -> Bar {
    Bar { figure, of, by: Some(by), limit: Limit::AtMost(most), asks }
}

pub(super) fn polls(scale: Scale) -> Part {
    let work = |orders| Work::Polls(polls::Args { orders, connections: 64, seconds: scale.seconds as u32 });
    let case = |label, orders| Case { label, kind: Kind::Ours, work: work(orders) };
    Part {
        title: "Polls: GET over 64 connections".to_owned(),
        figure: REQUESTS,
        cases: vec![case("one order", 1), case("5,000 orders", 5_000)],
        bars: vec![Bar {
            figure: REQUESTS,
            of: "one order",
            by: None,
            limit: Limit::AtLeast(REQUESTS_PER_S),
            asks: "half as many again as version 0.1 answered on the machine (Intel Xeon) that its figures are from",
        }],
        ideal: None,
        is_long: true,
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), CPU],
    }
}

pub(super) fn hearing(scale: Scale) -> Part {
    let work = Work::Hearing(nodes::HearingArgs { pages: scale.hearing_pages, passes: 3 });
    Part {
        title: "Several nodes: an event of another node that no page here waits for".to_owned(),
        figure: HEARING,
        cases: vec![Case { label: "two nodes", kind: Kind::Ours, work }],
        bars: vec![Bar {
            figure: HEARING,
            of: "two nodes",
            by: None,
            limit: Limit::AtMost(4.0),
            asks: "a node spends little on what only others need",
        }],
        ideal: None,
        is_long: true,
        columns: &[],
    }
}

pub(super) fn more_pages(scale: Scale) -> Part {
    let case = |label, pages| Case { label, kind: Kind::Ours, work: paced_args(scale, pages, 0) };
    let asks = "an event costs the same CPU, however many pages wait";
    Part {
        title: "More pages: CPU an event at 2,000 events/s".to_owned(),
        figure: EVENT_CPU,
        cases: vec![case("1,000 pages", 1_000), case("6,000 pages", 6_000), case("18,000 pages", 18_000)],
        bars: vec![grown(EVENT_CPU, "18,000 pages", "1,000 pages", FLAT, asks)],
        ideal: None,
        is_long: true,
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), BROKER],
    }
}

pub(super) fn more_pages_memory(scale: Scale) -> Part {
    let case = |label, pages| {
        let work = Work::Idle(idle::Args { pages, tls: false, seconds: scale.warmup_s });
        Case { label, kind: Kind::Ours, work }
    };
    let asks = "a page costs the same memory, however many wait";
    Part {
        title: "More pages: memory".to_owned(),
        figure: PAGE,
        cases: vec![case("1,000 pages", 1_000), case("18,000 pages", 18_000)],
        bars: vec![grown(PAGE, "18,000 pages", "1,000 pages", FLAT, asks)],
        ideal: None,
        is_long: true,
        columns: &[("mib_before", "MiB before"), ("mib_after", "MiB after"), ("connect_cpu_us", "CPU µs a connect")],
    }
}

pub(super) fn more_stored(scale: Scale) -> Part {
    let [few, many] = scale.stored;
    let case = |(label, stored)| Case { label, kind: Kind::Ours, work: paced_args(scale, scale.pages, stored) };
    let p99: Figure = ("p99_ms", "ms p99");
    Part {
        title: "More stored orders: CPU an event at 2,000 events/s".to_owned(),
        figure: EVENT_CPU,
        cases: vec![case(few), case(many)],
        bars: vec![
            grown(EVENT_CPU, many.0, few.0, FLAT, "an event costs the same CPU, however many orders are stored"),
            grown(p99, many.0, few.0, 1.5, "the slowest of a hundred is hardly later, however many orders are stored"),
        ],
        ideal: None,
        is_long: true,
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), BROKER],
    }
}
