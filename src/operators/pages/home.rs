//! `/`: how this node is, and why.

use maud::{Markup, html};

use super::layout::{Section, as_of, clock, finder, icon, page};
use super::view::View;
use crate::operators::dead_letters::looks::Look;
use crate::operators::status::Status;
use crate::operators::words::{HomeWords, Words, thousands};
use crate::runtime::{Component, rfc3339_ms};
use crate::telemetry::Transport;

/// Above it somebody should look. docs/operations/metrics.md gives the same number for an alert.
const LAG_NOTED: u64 = 1000;

pub(super) async fn get(view: View) -> Markup {
    let (status, words) = (Status::of(&view.context).await, &view.words.home);
    let look = view.context.looks.last();
    let title = if status.readiness.ready { words.ready } else { words.not_ready };
    let content = html! {
        (as_of(&view, &status.at))
        (health(&status, words))
        (figures(&view, &status))
        div.columns {
            section aria-labelledby="find" { h2 #find { (view.words.order.where_is_an_order) } (finder(&view, "", "")) }
            (pages_waiting(&status, words))
            (dead_letters(&status, look.as_deref(), view.words))
            (node(&status, view.words))
        }
    };
    page(&view, Section::Home, title, &content)
}

fn health(status: &Status, words: &HomeWords) -> Markup {
    let readiness = &status.readiness;
    html! {
        section #health .health .ok[readiness.ready] .bad[!readiness.ready] data-live aria-labelledby="state" {
            (icon(readiness.ready))
            div {
                h1 #state { @if readiness.ready { (words.ready) } @else { (words.not_ready) } }
                @if readiness.ready {
                    p { (words.ready_means) }
                } @else {
                    dl.faults {
                        @for (component, why) in &readiness.faults {
                            dt { (component) }
                            dd { (Component::from_name(component).map_or("", words.consequence)) " " code lang="en" { (why) } }
                        }
                    }
                }
            }
        }
    }
}

fn figures(view: &View, status: &Status) -> Markup {
    let words = &view.words.home;
    let arrival = &status.arrival_to_page;
    let waiting: u64 = status.pages_waiting.values().sum();
    let dead_letters = status.dead_letters.waiting;
    let figure = |name, value: &str, is_noted, note: &Markup| figure(name, value, is_noted, note, words.flag);
    html! {
        dl.figures #figures data-live {
            (figure(words.lag, &known(status.lag), status.lag.is_some_and(|lag| lag > LAG_NOTED), &html! {
                (words.waiting_in) code { (view.context.results_queue) }
            }))
            (figure(words.events_per_s, &rate(status.events_per_s.of_10_s), false, &html! {
                (curve(&status.events_each_s, words)) ((words.rates)(&rate(status.events_per_s.of_60_s)))
            }))
            (figure(words.arrival_to_page, &milliseconds(arrival.p99_ms), false, &html! {
                ((words.percentiles)(&milliseconds(arrival.p50_ms), arrival.pages, arrival.window_s))
            }))
            (figure(words.pages_waiting, &thousands(waiting), false, &html! { (words.on_this_node) }))
            (figure(words.outbox, &known(status.outbox_waiting), false, &html! { (words.outbox_means) }))
            (figure(
                view.words.page.dead_letters, &known(dead_letters), dead_letters.is_some_and(|n| n > 0), &html! {
                    @if dead_letters == Some(0) { (words.none_wait) }
                    @else { a href="/dead-letters" { (words.look_at_them) } }
                }
            ))
        }
    }
}

fn figure(name: &str, value: &str, is_noted: bool, note: &Markup, flag: &str) -> Markup {
    html! {
        div.figure .noted[is_noted] {
            dt { (name) }
            dd.value { (value) @if is_noted { span.flag { (flag) } } }
            dd.note { (note) }
        }
    }
}

fn pages_waiting(status: &Status, words: &HomeWords) -> Markup {
    let most = status.pages_waiting.values().copied().max().unwrap_or(0).max(1);
    html! {
        section #pages data-live aria-labelledby="waiting" {
            h2 #waiting { (words.pages_waiting) }
            table.bars {
                @for transport in Transport::ALL {
                    @let pages = status.pages_waiting.get(transport.as_str()).copied().unwrap_or(0);
                    tr {
                        th scope="row" { ((words.transport)(transport)) }
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

fn dead_letters(status: &Status, look: Option<&Look>, words: &Words) -> Markup {
    let (title, words) = (words.page.dead_letters, &words.home);
    html! {
        section #dead-letters data-live aria-labelledby="put-aside" {
            h2 #put-aside { (title) }
            @match (status.dead_letters.waiting, look) {
                (Some(0), _) => p { (words.no_dead_letters) },
                (_, Some(look)) => {
                    (reasons(look.listed.reasons.iter().map(|(reason, n)| (reason.as_str(), *n))))
                    p.note { ((words.as_looked_at)(clock(&rfc3339_ms(look.at_ms)))) }
                },
                (_, None) => {
                    (reasons(status.dead_letters.put_aside.iter().map(|(reason, n)| (reason.as_str(), *n))))
                    p.note {
                        (words.put_aside) a href="/dead-letters" { (words.look) } (words.at_those_that_wait)
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

fn node(status: &Status, words: &Words) -> Markup {
    let (messages_ready, words) = (words.page.messages_ready, &words.home);
    html! {
        section #node data-live aria-labelledby="this-node" {
            h2 #this-node { (words.this_node) }
            dl.facts {
                dt { (words.name) } dd { code { (status.instance) } }
                dt { (words.version) } dd { (status.version) }
                dt { (words.store) }
                dd {
                    code { (status.store.url) } " "
                    @if status.store.available { (words.works) } @else { strong { (words.does_not_work) } }
                }
                @for (queue, messages) in &status.queues {
                    dt { (words.queue) } dd { code { (queue) } " " ((messages_ready)(*messages)) }
                }
            }
        }
    }
}

/// Events in each of the last seconds.
fn curve(each_s: &[f64], words: &HomeWords) -> Markup {
    let most = each_s.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return html! {};
    }
    let points: Vec<String> =
        (0_u32..).zip(each_s).map(|(second, n)| format!("{},{:.1}", 2 * second, 23.0 - 22.0 * n / most)).collect();
    let label = (words.curve)(each_s.len(), most);
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
