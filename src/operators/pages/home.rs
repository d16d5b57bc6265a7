//! `/`: how this node is, and why.

use axum::extract::State;
use maud::{Markup, html};

use super::layout::{Section, as_of, clock, count, finder, icon, page, thousands};
use crate::operators::context::OperatorContext;
use crate::operators::dead_letters::looks::Look;
use crate::operators::status::Status;
use crate::runtime::rfc3339_ms;
use crate::telemetry::Transport;

/// Above it somebody should look. docs/operations/metrics.md gives the same number for an alert.
const LAG_NOTED: u64 = 1000;

pub(super) async fn get(State(context): State<OperatorContext>) -> Markup {
    let status = Status::of(&context).await;
    let look = context.looks.last();
    let title = if status.readiness.ready { "Ready" } else { "Not ready" };
    let content = html! {
        (as_of(&status.at))
        (health(&status))
        (figures(&context, &status))
        div.columns {
            section aria-labelledby="find" { h2 #find { "Where is an order?" } (finder(&context, None, "")) }
            (pages_waiting(&status))
            (dead_letters(&status, look.as_deref()))
            (node(&status))
        }
    };
    page(&context, Section::Home, title, &content)
}

fn health(status: &Status) -> Markup {
    let readiness = &status.readiness;
    html! {
        section #health .health .ok[readiness.ready] .bad[!readiness.ready] data-live aria-labelledby="state" {
            (icon(readiness.ready))
            div {
                h1 #state { @if readiness.ready { "Ready" } @else { "Not ready" } }
                @if readiness.ready {
                    p { "Results are taken from RabbitMQ, stored, and shown to the pages that wait." }
                } @else {
                    dl.faults {
                        @for (part, why) in &readiness.faults {
                            dt { (part) }
                            dd { (consequence(part)) " " code { (why) } }
                        }
                    }
                }
            }
        }
    }
}

/// What a fault means for pages and results.
fn consequence(part: &str) -> &'static str {
    match part {
        "broker" => {
            "No connection to RabbitMQ, or its exchanges and queues do not match. Results wait there; pages get what is stored."
        }
        "consumer" => "Results are not taken from their queue, or wait for the store. None is lost.",
        "store" => "Payments cannot be read or written. Nothing is acknowledged to RabbitMQ, so nothing is lost.",
        "node" => "The process starts or drains.",
        _ => "",
    }
}

fn figures(context: &OperatorContext, status: &Status) -> Markup {
    let told = &status.arrival_to_page;
    let window =
        if told.window_s >= 60 { format!("{} min", told.window_s / 60) } else { format!("{} s", told.window_s) };
    let waiting: u64 = status.pages_waiting.values().sum();
    let letters = status.dead_letters.waiting;
    html! {
        dl.figures #figures data-live {
            (figure("Lag", &known(status.lag), status.lag.is_some_and(|lag| lag > LAG_NOTED), &html! {
                "waiting in " code { (context.results_queue) }
            }))
            (figure("Events a second", &rate(status.events_per_s.of_10_s), false, &html! {
                (curve(&status.events_each_s)) "in 10 s; " (rate(status.events_per_s.of_60_s)) " in 60 s"
            }))
            (figure("Arrival to page, p99", &milliseconds(told.p99_ms), false, &html! {
                "p50 " (milliseconds(told.p50_ms)) "; " (count(told.pages, "page", "pages")) " told in " (window)
            }))
            (figure("Pages waiting", &thousands(waiting), false, &html! { "on this node" }))
            (figure("Outbox", &known(status.outbox_waiting), false, &html! { "messages to merchants, not out yet" }))
            (figure("Dead letters", &known(letters), letters.is_some_and(|n| n > 0), &html! {
                @if letters == Some(0) { "none wait for you" }
                @else { a href="/dead-letters" { "look at them" } }
            }))
        }
    }
}

fn figure(name: &str, value: &str, is_noted: bool, note: &Markup) -> Markup {
    html! {
        div.figure .noted[is_noted] {
            dt { (name) }
            dd.value { (value) @if is_noted { span.flag { "look" } } }
            dd.note { (note) }
        }
    }
}

fn pages_waiting(status: &Status) -> Markup {
    let most = status.pages_waiting.values().copied().max().unwrap_or(0).max(1);
    html! {
        section #pages data-live aria-labelledby="waiting" {
            h2 #waiting { "Pages waiting" }
            table.bars {
                @for transport in Transport::ALL {
                    @let pages = status.pages_waiting.get(transport.as_str()).copied().unwrap_or(0);
                    tr {
                        th scope="row" { (name(transport)) }
                        td.bar { svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                            rect width=(100 * pages / most) height="6" {}
                        } }
                        td.number { (thousands(pages)) }
                    }
                }
            }
        }
    }
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "WebSocket",
        Transport::Sse => "event stream",
        Transport::LongPoll => "long poll",
        Transport::Poll => "poll",
    }
}

fn dead_letters(status: &Status, look: Option<&Look>) -> Markup {
    html! {
        section #dead-letters data-live aria-labelledby="put-aside" {
            h2 #put-aside { "Dead letters" }
            @match (status.dead_letters.waiting, look) {
                (Some(0), _) => p { "None: every result was understood, or was seen to." },
                (_, Some(look)) => {
                    (reasons(look.listed.reasons.iter().map(|(reason, n)| (reason.as_str(), *n))))
                    p.note { "as looked at " (clock(&rfc3339_ms(look.at_ms))) }
                },
                (_, None) => {
                    (reasons(status.dead_letters.put_aside.iter().map(|(reason, n)| (reason.as_str(), *n))))
                    p.note {
                        "put aside by this node since its start; " a href="/dead-letters" { "look" } " at those that wait"
                    }
                },
            }
        }
    }
}

fn reasons<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Markup {
    html! {
        table.bars {
            @for (reason, n) in counts {
                tr { th scope="row" { code { (reason) } } td.number { (thousands(n)) } }
            }
        }
    }
}

fn node(status: &Status) -> Markup {
    html! {
        section #node data-live aria-labelledby="this-node" {
            h2 #this-node { "This node" }
            dl.facts {
                dt { "Name" } dd { code { (status.instance) } }
                dt { "Version" } dd { (status.version) }
                dt { "Store" }
                dd {
                    code { (status.store.url) } " "
                    @if status.store.available { "works" } @else { strong { "does not work" } }
                }
                @for (queue, messages) in &status.queues {
                    dt { "Queue" } dd { code { (queue) } " " (count(*messages, "message ready", "messages ready")) }
                }
            }
        }
    }
}

/// Events in each of the last seconds.
fn curve(each_s: &[f64]) -> Markup {
    let most = each_s.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return html! {};
    }
    let points: Vec<String> =
        (0_u32..).zip(each_s).map(|(second, n)| format!("{},{:.1}", 2 * second, 23.0 - 22.0 * n / most)).collect();
    let label = format!("events each second of the last {}, at most {most:.0}", each_s.len());
    let width = 2 * each_s.len().saturating_sub(1).max(1);
    html! {
        svg.curve viewBox=(format!("0 0 {width} 24")) preserveAspectRatio="none" role="img" aria-label=(label) {
            polyline points=(points.join(" ")) {}
        }
    }
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "–".to_owned(), thousands)
}

fn rate(per_s: f64) -> String {
    if per_s >= 100.0 { format!("{per_s:.0}") } else { format!("{per_s:.1}") }
}

fn milliseconds(ms: Option<f64>) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1000.0),
    }
}
