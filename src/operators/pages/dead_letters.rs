//! `/dead-letters`: looked at, shown, replayed one by one.
//!
//! A look is never taken because a page is refreshed: what is shown is the last one, with its time.

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::layout::{PageProblem, Section, as_of, clock, count, page, problem, thousands};
use crate::http::Problem;
use crate::operators::context::OperatorContext;
use crate::operators::dead_letters::api::{ShowQuery, not_confirmed};
use crate::operators::dead_letters::looks::{LISTED_MAX, Look};
use crate::operators::status::Status;
use crate::runtime::rfc3339_ms;

/// Sent by the page's script.
const KEPT_FRESH: &str = "x-kept-fresh";
/// Rows of the page.
const SHOWN_MAX: usize = 200;

/// `?reason=…&order=…`
#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    order: String,
}

impl Filter {
    fn selects(&self, letter: &Value) -> bool {
        (self.reason.is_empty() || letter["reason"] == self.reason.as_str())
            && (self.order.trim().is_empty() || letter["order_id"] == self.order.trim())
    }
}

pub(super) async fn list(
    State(context): State<OperatorContext>,
    headers: HeaderMap,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&context, Section::DeadLetters);
    let Query(filter) = filter.map_err(|rejection| refuse(rejection.into()))?;
    let status = Status::of(&context).await;
    let waiting = status.dead_letters.waiting;
    // A person who comes for the first time, or whom the last look showed nothing; not the script that keeps it fresh.
    let has_seen_some = context.looks.last().is_some_and(|look| look.listed.in_queue > 0);
    if !has_seen_some && !headers.contains_key(KEPT_FRESH) {
        context.looks.look().await.map_err(&refuse)?;
    }
    let look = context.looks.last();
    let content = html! {
        (as_of(&status.at))
        div.with-action {
            h1 { "Dead letters" }
            form method="post" action="/dead-letters/look" { button { "Look again" } }
        }
        p.lead #waiting data-live { (waits(waiting, look.as_deref())) }
        p.note {
            "Each is a payment result that was not applied. A look takes every message and hands it back, which RabbitMQ \
             counts as a delivery of each; so this page looks only when it is told to."
        }
        @if let Some(look) = &look { (looked(look, &filter)) }
    };
    Ok(page(&context, Section::DeadLetters, "Dead letters", &content))
}

fn waits(waiting: Option<u64>, look: Option<&Look>) -> Markup {
    let waiting_text = waiting.map_or_else(
        || "How many wait is not known yet.".to_owned(),
        |n| match n {
            0 => "None waits.".to_owned(),
            n => format!("{} wait in the queue.", thousands(n)),
        },
    );
    html! {
        (waiting_text)
        @if let Some(look) = look {
            " Looked at " (clock(&rfc3339_ms(look.at_ms))) ": " (count(look.listed.in_queue, "message", "messages"))
            @if look.listed.looked_at < look.listed.in_queue {
                ", of which " (thousands(look.listed.looked_at)) " were looked at"
            }
            "."
        }
    }
}

fn looked(look: &Look, filter: &Filter) -> Markup {
    let listed = &look.listed;
    let selected: Vec<&Value> = listed.letters.iter().filter(|letter| filter.selects(letter)).collect();
    html! {
        @if !listed.reasons.is_empty() {
            section { h2 { "By reason" } table.bars {
                @for (reason, n) in &listed.reasons {
                    @let filtered = format!("/dead-letters?reason={}", query_value(reason));
                    tr { th scope="row" { a href=(filtered) { code { (reason) } } } td.number { (thousands(*n)) } }
                }
            } }
            form.finder action="/dead-letters" method="get" aria-label="Filter" {
                label { span { "Reason" } select name="reason" {
                    option value="" { "any" }
                    @for reason in listed.reasons.keys() {
                        option value=(reason) selected[*reason == filter.reason] { (reason) }
                    }
                } }
                label { span { "Order number" }
                    input name="order" value=(filter.order) autocapitalize="off" spellcheck="false";
                }
                button { "Filter" }
            }
            ul.letters {
                @for letter in selected.iter().take(SHOWN_MAX) { li { (row(letter)) } }
            }
            @if selected.is_empty() { p { "None of those is selected by the filter." } }
            @if selected.len() > SHOWN_MAX { p.note { "The first " (SHOWN_MAX) " of " (selected.len()) "." } }
            @if listed.selected > listed.letters.len() as u64 {
                p.note {
                    "No more than " (LISTED_MAX) " are kept here: " code { "payment-notifier dead-letters list" } " shows more."
                }
            }
        }
    }
}

fn row(letter: &Value) -> Markup {
    html! {
        a.id href={ "/dead-letters/" (text(letter, "id")) } { code { (text(letter, "id")) } }
        span.reason { (text(letter, "reason")) }
        @if let Some(order) = letter["order_id"].as_str() { span { "order " code { (order) } } }
        @if let Some(at) = letter["dead_lettered_at"].as_str() { span.time { (moment(at)) } }
        @if letter["replays"].as_i64().unwrap_or(0) > 0 {
            span { "replayed " (letter["replays"]) "×" @if letter["failed_again"] == true { ", failed again" } }
        }
        span.error { (text(letter, "error")) }
    }
}

/// `2026-01-31 08:30:00`
fn moment(at: &str) -> String {
    at.get(..19).unwrap_or(at).replace('T', " ")
}

pub(super) async fn look(State(context): State<OperatorContext>) -> Result<Redirect, PageProblem> {
    context.looks.look().await.map_err(problem(&context, Section::DeadLetters))?;
    Ok(Redirect::to("/dead-letters"))
}

pub(super) async fn show(
    State(context): State<OperatorContext>,
    Path(id): Path<String>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&context, Section::DeadLetters);
    let Query(ShowQuery { body }) = query.map_err(|rejection| refuse(rejection.into()))?;
    let letter = context.looks.show(&id, body).await.map_err(&refuse)?;
    let content = html! {
        p { a href="/dead-letters" { "All dead letters" } }
        h1.order { span.kind { "Dead letter" } code { (text(&letter, "id")) } }
        (summary(&letter))
        p.actions {
            a.button href={ "/dead-letters/" (text(&letter, "id")) "/replay" } { "Replay…" }
            @if !body {
                a href="?body=true" { "Show the body" }
                span.note { "it may hold what the payer would not like to see on a screen" }
            }
        }
        @for part in ["properties", "headers"] {
            @if let Some(members) = letter[part].as_object().filter(|members| !members.is_empty()) {
                section {
                    h2 { (part) }
                    dl.facts.wide {
                        @for (name, value) in members { dt { code { (name) } } dd { code { (shown(value)) } } }
                    }
                }
            }
        }
        @for part in ["body", "body_base64"] {
            @if let Some(body) = letter[part].as_str() {
                section { h2 { (part.replace('_', ", ")) } pre tabindex="0" { (body) } }
            }
        }
    };
    Ok(page(&context, Section::DeadLetters, &id, &content))
}

fn summary(letter: &Value) -> Markup {
    let members = [
        "reason",
        "error",
        "order_id",
        "dead_lettered_at",
        "replays",
        "history",
        "exchange",
        "routing_key",
        "body_bytes",
        "delivery_count",
    ];
    html! {
        dl.facts.wide {
            @for name in members {
                @let value = &letter[name];
                @if !value.is_null() && *value != Value::Array(Vec::new()) {
                    dt { (name.replace('_', " ")) } dd { (shown(value)) }
                }
            }
        }
    }
}

/// The confirm step. Asks nothing of the broker.
pub(super) async fn ask(State(context): State<OperatorContext>, Path(id): Path<String>) -> Markup {
    let look = context.looks.last();
    let known = look.as_ref().and_then(|look| look.listed.letters.iter().find(|letter| letter["id"] == id.as_str()));
    let failed_again = known.is_some_and(|letter| letter["failed_again"] == true);
    let content = html! {
        h1 { "Replay this dead letter?" }
        @if let Some(letter) = known { (summary(letter)) } @else { p { "Dead letter " code { (id) } "." } }
        p.lead {
            "It is published to the results again, with the routing key that it had first, and taken out of the dead letters \
             once RabbitMQ has confirmed that. If it is still wrong it comes back. Other queues that are bound to the \
             exchange get it too."
        }
        form.confirm method="post" {
            input type="hidden" name="confirm" value="yes";
            @if failed_again {
                label.check {
                    input type="checkbox" name="again" value="yes";
                    span { "It has failed again for the same reason after its last replay. Replay it all the same." }
                }
            }
            button.strong { "Replay " (id) }
            a href="/dead-letters" { "No, go back" }
        }
    };
    page(&context, Section::DeadLetters, "Replay?", &content)
}

/// The confirm step's form.
#[derive(Deserialize)]
pub(super) struct Confirmation {
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    again: String,
}

pub(super) async fn replay(
    State(context): State<OperatorContext>,
    Path(id): Path<String>,
    form: Result<Form<Confirmation>, FormRejection>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&context, Section::DeadLetters);
    let unreadable = |_rejection| Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the form cannot be read");
    let Form(Confirmation { confirm, again }) = form.map_err(|rejection| refuse(unreadable(rejection)))?;
    if confirm != "yes" {
        return Err(refuse(not_confirmed()));
    }
    let letter = context.looks.replay(&id, again == "yes").await.map_err(&refuse)?;
    let content = html! {
        h1 { "Replayed" }
        p.verdict.ok {
            "Dead letter " code { (text(&letter, "id")) } " was published to the results again, confirmed, and taken out."
        }
        (summary(&letter))
        p {
            "Whether it is understood this time shows in the order's story, or here again. "
            a href="/dead-letters" { "All dead letters" }
        }
    };
    Ok(page(&context, Section::DeadLetters, "Replayed", &content))
}

fn text<'a>(letter: &'a Value, member: &str) -> &'a str {
    letter[member].as_str().unwrap_or_default()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn query_value(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
