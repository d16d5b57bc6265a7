//! `/dead-letters`: looked at, shown, replayed or discarded one by one.
//!
//! A look is never taken because a page is refreshed: what is shown is the last one, with its time.

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::layout::{PageProblem, Section, as_of, clock, date_and_time, encoded, order_path, page, problem};
use super::view::View;
use crate::http::Problem;
use crate::operators::dead_letters::api::{ShowQuery, not_confirmed};
use crate::operators::dead_letters::looks::{LISTED_MAX, Look};
use crate::operators::orders;
use crate::operators::status::Status;
use crate::operators::words::{DeadLetterWords, Words, thousands};
use crate::runtime::rfc3339_ms;

/// Sent by the page's script.
const KEPT_FRESH: &str = "x-kept-fresh";
/// Rows of the page.
const SHOWN_MAX: usize = 200;

/// Of a dead letter, as far as it has them.
const MEMBERS: [&str; 10] = [
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

/// `?reason=…&order=…`
#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    order: String,
}

impl Filter {
    fn selects(&self, dead_letter: &Value) -> bool {
        (self.reason.is_empty() || dead_letter["reason"] == self.reason.as_str())
            && (self.order.trim().is_empty() || dead_letter["order_id"] == self.order.trim())
    }
}

pub(super) async fn list(
    view: View,
    headers: HeaderMap,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&view, Section::DeadLetters);
    let Query(filter) = filter.map_err(|rejection| refuse(rejection.into()))?;
    let status = Status::of(&view.context).await;
    let (waiting, words) = (status.dead_letters.waiting, &view.words.dead_letters);
    // A person who comes for the first time, or whom the last look showed nothing; not the script that keeps it fresh.
    let has_seen_some = view.context.looks.last().is_some_and(|look| look.listed.in_queue > 0);
    if !has_seen_some && !headers.contains_key(KEPT_FRESH) {
        view.context.looks.look().await.map_err(&refuse)?;
    }
    let look = view.context.looks.last();
    let content = html! {
        (as_of(&view, &status.at))
        div.with-action {
            h1 { (view.words.page.dead_letters) }
            form method="post" action="/dead-letters/look" { button { (words.look_again) } }
        }
        p.lead #waiting data-live { (waits(waiting, look.as_deref(), words)) }
        p.note {
            (words.look_costs)
        }
        @if let Some(look) = &look { (looked(look, &filter, view.words)) }
    };
    Ok(page(&view, Section::DeadLetters, view.words.page.dead_letters, &content))
}

fn waits(waiting: Option<u64>, look: Option<&Look>, words: &DeadLetterWords) -> Markup {
    let waiting_text = waiting.map_or_else(
        || words.not_known_yet.to_owned(),
        |n| match n {
            0 => words.none_waits.to_owned(),
            n => (words.wait)(&thousands(n)),
        },
    );
    html! {
        (waiting_text)
        @if let Some(look) = look {
            @let (in_queue, looked_at) = (look.listed.in_queue, look.listed.looked_at);
            @let part = (looked_at < in_queue).then(|| thousands(looked_at));
            ((words.looked_at)(clock(&rfc3339_ms(look.at_ms)), in_queue, part.as_deref()))
        }
    }
}

fn looked(look: &Look, filter: &Filter, words: &Words) -> Markup {
    let (order_number, words) = (words.page.order_number, &words.dead_letters);
    let listed = &look.listed;
    let selected: Vec<&Value> = listed.dead_letters.iter().filter(|dead_letter| filter.selects(dead_letter)).collect();
    html! {
        @if !listed.reasons.is_empty() {
            section { h2 { (words.by_reason) } table.bars {
                @for (reason, n) in &listed.reasons {
                    @let filtered = format!("/dead-letters?reason={}", encoded(reason));
                    tr { th scope="row" { a href=(filtered) { code { (reason) } } } td.number { (thousands(*n)) } }
                }
            } }
            form.finder action="/dead-letters" method="get" aria-label=(words.filter) {
                label { span { (words.reason) } select name="reason" {
                    option value="" { (words.any) }
                    @for reason in listed.reasons.keys() {
                        option value=(reason) selected[*reason == filter.reason] { (reason) }
                    }
                } }
                label { span { (order_number) }
                    input name="order" value=(filter.order) autocapitalize="off" spellcheck="false";
                }
                button { (words.filter) }
            }
            ul.dead-letters {
                @for dead_letter in selected.iter().take(SHOWN_MAX) { li { (row(dead_letter, words)) } }
            }
            @if selected.is_empty() { p { (words.none_selected) } }
            @if selected.len() > SHOWN_MAX { p.note { ((words.first_of)(SHOWN_MAX, selected.len())) } }
            @if listed.selected > listed.dead_letters.len() as u64 {
                p.note {
                    ((words.no_more_than)(LISTED_MAX)) code { "payment-notifier dead-letters list" } (words.shows_more)
                }
            }
        }
    }
}

fn row(dead_letter: &Value, words: &DeadLetterWords) -> Markup {
    html! {
        a.id href={ "/dead-letters/" (text(dead_letter, "id")) } { code { (text(dead_letter, "id")) } }
        span.reason { (text(dead_letter, "reason")) }
        @if let Some(order) = dead_letter["order_id"].as_str() {
            span { (words.order) a.of-order href=(path_of_order(dead_letter, order)) { code { (order) } } }
        }
        @if let Some(at) = dead_letter["dead_lettered_at"].as_str() { span.time { (date_and_time(at)) } }
        @let replays = dead_letter["replays"].as_i64().unwrap_or(0);
        @if replays > 0 { span { ((words.replays)(replays, dead_letter["failed_again"] == true)) } }
        span.error lang="en" { (text(dead_letter, "error")) }
    }
}

/// Where its timeline is shown, or found where the merchant is not known.
fn path_of_order(dead_letter: &Value, order_id: &str) -> String {
    match dead_letter["merchant_id"].as_str() {
        Some(merchant_id) if orders::key(merchant_id, order_id).is_ok() => order_path(merchant_id, order_id),
        _ => format!("/orders?number={}", encoded(order_id)),
    }
}

pub(super) async fn look(view: View) -> Result<Redirect, PageProblem> {
    view.context.looks.look().await.map_err(problem(&view, Section::DeadLetters))?;
    Ok(Redirect::to("/dead-letters"))
}

pub(super) async fn show(
    view: View,
    Path(id): Path<String>,
    query: Result<Query<ShowQuery>, QueryRejection>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&view, Section::DeadLetters);
    let Query(ShowQuery { body }) = query.map_err(|rejection| refuse(rejection.into()))?;
    let dead_letter = view.context.looks.show(&id, body).await.map_err(&refuse)?;
    let words = &view.words.dead_letters;
    let content = html! {
        p { a href="/dead-letters" { (words.all) } }
        h1.order { span.kind { (words.dead_letter) } code { (text(&dead_letter, "id")) } }
        (summary(&dead_letter, words))
        p.actions {
            @if is_bad_for_good(&dead_letter) {
                span.note { (words.bad_for_good) }
            } @else {
                a.button href={ "/dead-letters/" (text(&dead_letter, "id")) "/replay" } { (words.replay_step) }
            }
            a.button href={ "/dead-letters/" (text(&dead_letter, "id")) "/discard" } { (words.discard_step) }
            @if !body {
                a href="?body=true" { (words.show_body) }
                span.note { (words.body_warning) }
            }
        }
        @for (part, title) in [("properties", words.properties), ("headers", words.headers)] {
            @if let Some(members) = dead_letter[part].as_object().filter(|members| !members.is_empty()) {
                section {
                    h2 { (title) }
                    dl.facts.wide {
                        @for (name, value) in members { dt { code { (name) } } dd { code { (shown(value)) } } }
                    }
                }
            }
        }
        @for (part, title) in [("body", words.body), ("body_base64", words.body_base64)] {
            @if let Some(body) = dead_letter[part].as_str() {
                section { h2 { (title) } pre tabindex="0" { (body) } }
            }
        }
    };
    Ok(page(&view, Section::DeadLetters, &id, &content))
}

fn summary(dead_letter: &Value, words: &DeadLetterWords) -> Markup {
    html! {
        dl.facts.wide {
            @for (name, title) in MEMBERS.into_iter().zip(words.members) {
                @let value = &dead_letter[name];
                @if !value.is_null() && *value != Value::Array(Vec::new()) {
                    dt { (title) }
                    @if name == "order_id" && let Some(order) = value.as_str() {
                        dd { a href=(path_of_order(dead_letter, order)) { code { (order) } } }
                    } @else {
                        dd lang=[(name == "error").then_some("en")] { (shown(value)) }
                    }
                }
            }
        }
    }
}

/// What the last look has seen of it.
fn known<'l>(look: Option<&'l Look>, id: &str) -> Option<&'l Value> {
    look?.listed.dead_letters.iter().find(|dead_letter| dead_letter["id"] == id)
}

fn is_bad_for_good(dead_letter: &Value) -> bool {
    dead_letter["bad_for_good"] == true
}

/// The confirm step of a replay. Asks nothing of the broker.
pub(super) async fn ask(view: View, Path(id): Path<String>) -> Markup {
    let words = &view.words.dead_letters;
    let look = view.context.looks.last();
    let known = known(look.as_deref(), &id);
    let failed_again = known.is_some_and(|dead_letter| dead_letter["failed_again"] == true);
    let content = html! {
        h1 { (words.replay_question) }
        (about(known, &id, words))
        @if known.is_some_and(is_bad_for_good) {
            p.lead { (words.bad_for_good) }
            p.actions {
                a.button href={ "/dead-letters/" (id) "/discard" } { (words.discard_step) }
                a href="/dead-letters" { (words.no) }
            }
        } @else {
            p.lead { (words.replay_means) }
            form.confirm method="post" {
                input type="hidden" name="confirm" value="yes";
                @if failed_again {
                    label.check {
                        input type="checkbox" name="again" value="yes";
                        span { (words.replay_again) }
                    }
                }
                button.strong { ((words.replay)(&id)) }
                a href="/dead-letters" { (words.no) }
            }
        }
    };
    page(&view, Section::DeadLetters, words.replay_title, &content)
}

/// The confirm step of a removal. Asks nothing of the broker.
pub(super) async fn ask_discard(view: View, Path(id): Path<String>) -> Markup {
    let words = &view.words.dead_letters;
    let look = view.context.looks.last();
    let content = html! {
        h1 { (words.discard_question) }
        (about(known(look.as_deref(), &id), &id, words))
        p.lead { (words.discard_means) }
        form.confirm method="post" {
            input type="hidden" name="confirm" value="yes";
            button.strong { ((words.discard)(&id)) }
            a href="/dead-letters" { (words.no) }
        }
    };
    page(&view, Section::DeadLetters, words.discard_title, &content)
}

fn about(known: Option<&Value>, id: &str, words: &DeadLetterWords) -> Markup {
    html! {
        @if let Some(dead_letter) = known { (summary(dead_letter, words)) } @else { p { (words.dead_letter) " " code { (id) } } }
    }
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
    view: View,
    Path(id): Path<String>,
    form: Result<Form<Confirmation>, FormRejection>,
) -> Result<Markup, PageProblem> {
    let words = &view.words.dead_letters;
    let refuse = problem(&view, Section::DeadLetters);
    let Confirmation { again, .. } = confirmed(form).map_err(&refuse)?;
    let dead_letter = view.context.looks.replay(&id, again == "yes").await.map_err(&refuse)?;
    let content = html! {
        h1 { (words.replayed) }
        p.verdict.ok {
            (words.was_published[0]) code { (text(&dead_letter, "id")) } (words.was_published[1])
        }
        (summary(&dead_letter, words))
        p {
            (words.shows_in_order)
            a href="/dead-letters" { (words.all) }
        }
    };
    Ok(page(&view, Section::DeadLetters, words.replayed, &content))
}

pub(super) async fn discard(
    view: View,
    Path(id): Path<String>,
    form: Result<Form<Confirmation>, FormRejection>,
) -> Result<Markup, PageProblem> {
    let words = &view.words.dead_letters;
    let refuse = problem(&view, Section::DeadLetters);
    confirmed(form).map_err(&refuse)?;
    let dead_letter = view.context.looks.discard(&id).await.map_err(&refuse)?;
    let content = html! {
        h1 { (words.discarded) }
        p.verdict.ok {
            (words.was_discarded[0]) code { (text(&dead_letter, "id")) } (words.was_discarded[1])
        }
        (summary(&dead_letter, words))
        p { a href="/dead-letters" { (words.all) } }
    };
    Ok(page(&view, Section::DeadLetters, words.discarded, &content))
}

/// The form, where it says yes.
fn confirmed(form: Result<Form<Confirmation>, FormRejection>) -> Result<Confirmation, Problem> {
    let unreadable = |_rejection| Problem::new(StatusCode::BAD_REQUEST, "bad_request", "the form cannot be read");
    let Form(confirmation) = form.map_err(unreadable)?;
    if confirmation.confirm == "yes" { Ok(confirmation) } else { Err(not_confirmed()) }
}

fn text<'a>(dead_letter: &'a Value, member: &str) -> &'a str {
    dead_letter[member].as_str().unwrap_or_default()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
