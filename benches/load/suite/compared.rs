//! What the service is compared in with what a user would pick instead.

use super::{BROKER, Bar, CPU, Case, Figure, Ideal, LOAD, Limit, Part, Scale, case, thousands};
use crate::target::Kind;
use crate::works::{Work, backlog, flood, idle, paced, sessions};

/// Those that stand any load.
const BRIDGES: [Kind; 7] =
    [Kind::Ours, Kind::Bare, Kind::BareBatched, Kind::Node, Kind::Centrifugo, Kind::Mercure, Kind::Nchan];

const SESSIONS: Figure = ("sessions_per_s", "sessions/s");
const SESSION_CPU: Figure = ("target_cpu_us", "CPU µs a session");
const EVENTS: Figure = ("events_per_s", "events/s");
const EVENT_CPU: Figure = ("target_cpu_us", "CPU µs an event");
const P99: Figure = ("p99_ms", "ms p99");
const PAGE: Figure = ("kib_a_page", "KiB a page");

fn against(figure: Figure, by: &'static str, limit: Limit, asks: &'static str) -> Bar {
    Bar { figure, of: "ours", by: Some(by), limit, asks }
}

fn alone(figure: Figure, of: &'static str, most: f64, asks: &'static str) -> Bar {
    Bar { figure, of, by: None, limit: Limit::AtMost(most), asks }
}

/// The service is ahead of both hubs.
fn ahead(figure: Figure, limit: Limit) -> [Bar; 2] {
    [
        against(figure, "centrifugo", limit, "ahead of Centrifugo fed by a consumer"),
        against(figure, "mercure", limit, "ahead of Mercure fed by a consumer"),
    ]
}

pub(super) fn sessions(scale: Scale, at_once: usize) -> Part {
    let work = |seconds| Work::Sessions(sessions::Args { at_once, seconds, warmup_s: scale.warmup_s });
    let kinds = BRIDGES.into_iter().filter(|kind| at_once == 50 || *kind != Kind::BareBatched);
    let mut cases: Vec<Case> = kinds.map(|kind| case(kind, work(scale.seconds))).collect();
    if at_once == 50 {
        // They manage few, and many of their queues take long to go away.
        cases.extend([Kind::WebStomp, Kind::WebMqtt].map(|kind| case(kind, work(scale.seconds))));
    }
    let mut bars = vec![
        against(SESSIONS, "node", Limit::AtLeast(1.6), "more visits than a Node bridge manages, which stores nothing"),
        against(SESSIONS, "bare", Limit::AtLeast(0.8), "the rate, nearly, of a consumer that has no pages at all"),
        against(SESSION_CPU, "node", Limit::AtMost(0.65), "a visit costs less CPU than in a Node bridge"),
    ];
    bars.extend(ahead(SESSIONS, Limit::AtLeast(1.0)));
    Part {
        title: format!("Sessions, {at_once} at once"),
        figure: SESSIONS,
        cases,
        bars,
        ideal: Some(Ideal::Rate),
        is_long: false,
        columns: &[("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), CPU, BROKER, LOAD],
    }
}

pub(super) fn flood(scale: Scale) -> Part {
    let work = || Work::Flood(flood::Args { pages: scale.pages, passes: 3 });
    let mut bars = vec![
        against(EVENTS, "node", Limit::AtLeast(1.2), "more events a second than a Node bridge, which stores nothing"),
        alone(EVENT_CPU, "ours", 24.0, "storing and pushing an event costs no more than passing it on in Node"),
    ];
    bars.extend(ahead(EVENTS, Limit::AtLeast(1.0)));
    Part {
        title: format!("Flood: {} pages, one event each", thousands(scale.pages)),
        figure: EVENTS,
        cases: BRIDGES.map(|kind| case(kind, work())).into(),
        bars,
        ideal: Some(Ideal::Rate),
        is_long: false,
        columns: &[CPU, BROKER, LOAD],
    }
}

pub(super) fn paced_args(scale: Scale, pages: u32, stored: u32) -> Work {
    let (seconds, warmup_s) = (scale.paced_s, scale.warmup_s);
    Work::Paced(paced::Args { pages, rate: 2_000, seconds, warmup_s, stored })
}

pub(super) fn paced(scale: Scale) -> Part {
    let work = || paced_args(scale, scale.pages, 0);
    let mut bars = vec![
        against(
            P99,
            "node",
            Limit::AtMost(1.0),
            "the slowest of a hundred results is no later than through a Node bridge",
        ),
        alone(EVENT_CPU, "ours", 130.0, "an event that comes alone costs few wakes"),
    ];
    bars.extend(ahead(P99, Limit::AtMost(1.0)));
    Part {
        title: format!("Paced: 2,000 events/s on {} pages, publish to page", thousands(scale.pages)),
        figure: P99,
        cases: BRIDGES.map(|kind| case(kind, work())).into(),
        bars,
        ideal: Some(Ideal::LatencyOf("bare-batched")),
        is_long: false,
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

pub(super) fn idle(scale: Scale, tls: bool) -> Part {
    let work = |pages, tls| Work::Idle(idle::Args { pages, tls, seconds: 5.0 });
    let kinds = [Kind::Ours, Kind::Node, Kind::Centrifugo, Kind::Mercure, Kind::Nchan];
    let mut cases: Vec<Case> = kinds.map(|kind| case(kind, work(scale.idle_pages, false))).into();
    cases.extend([Kind::WebStomp, Kind::WebMqtt].map(|kind| case(kind, work(scale.broker_pages, false))));
    let mut bars = vec![alone(PAGE, "ours", 2.3, "a million waiting pages fit into 2.2 GiB")];
    if tls {
        cases.insert(1, Case { label: "ours, TLS", kind: Kind::Ours, work: work(scale.idle_pages, true) });
        bars.push(alone(PAGE, "ours, TLS", 8.0, "with TLS in the service, into 7.7 GiB"));
    }
    bars.extend(ahead(PAGE, Limit::AtMost(1.0)));
    Part {
        title: format!(
            "Memory: {} idle pages ({} for Web STOMP and Web MQTT), fresh process",
            thousands(scale.idle_pages),
            thousands(scale.broker_pages)
        ),
        figure: PAGE,
        cases,
        bars,
        ideal: None,
        is_long: false,
        columns: &[("mib_before", "MiB before"), ("mib_after", "MiB after"), ("connect_cpu_us", "CPU µs a connect")],
    }
}

pub(super) fn backlog(scale: Scale) -> Part {
    let work = || Work::Backlog(backlog::Args { events: scale.backlog });
    Part {
        title: format!("Backlog: {} durable events wait at start", thousands(scale.backlog)),
        figure: EVENTS,
        cases: [Kind::Ours, Kind::Bare, Kind::BareBatched, Kind::Node].map(|kind| case(kind, work())).into(),
        bars: vec![against(
            EVENTS,
            "bare-batched",
            Limit::AtLeast(0.8),
            "after an outage, storing nearly keeps up with a consumer that stores nothing and acknowledges together",
        )],
        ideal: None,
        is_long: false,
        columns: &[CPU],
    }
}
