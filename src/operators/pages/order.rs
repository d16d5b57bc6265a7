//! `/orders`: what happened to one order, as a picture and as a table.

use std::collections::BTreeSet;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{PageProblem, Section, as_of, date_and_time, finder, order_path, page, problem};
use super::timeline;
use super::view::View;
use crate::http::Problem;
use crate::operators::entries::{EntryText, amount, claims, entry_text, is_of_second_charge, since};
use crate::operators::words::{Mark, OrderWords, Words};
use crate::operators::{orders, search};
use crate::payment::{Key, OrderId, Payment};
use crate::runtime::{rfc3339_ms, unix_ms};
use crate::store::{ENTRIES_MAX, Entry, FoundOrders, OrderSummary, Timeline};

/// `?number=…&merchant_id=…`
#[derive(Deserialize)]
pub(super) struct Sought {
    #[serde(default)]
    merchant_id: String,
    #[serde(alias = "order_id")]
    number: Option<String>,
}

/// The form and what happened last, or on to the order, or those that have the number, or what is wrong with what was typed.
pub(super) async fn find(view: View, query: Result<Query<Sought>, QueryRejection>) -> Result<Response, PageProblem> {
    let refuse = problem(&view, Section::Orders);
    let Query(Sought { merchant_id, number }) = query.map_err(|rejection| refuse(Problem::from(rejection)))?;
    let Some(number) = number else {
        let recent = search::recent(&view.context).await.map_err(&refuse)?;
        return Ok(form(&view, StatusCode::OK, [&merchant_id, ""], &recent_orders(&recent, &view.words.order)));
    };
    // What people copy has spaces around it.
    let (merchant, number) = (merchant_id.trim(), number.trim());
    let typed = [merchant, number];
    let wrong = |status, text: &str| form(&view, status, typed, &html! { p.wrong role="alert" { (text) } });
    let said =
        |problem: &Problem| wrong(problem.status(), &(view.words.page.problem)(problem.code(), problem.detail()));
    let merchant_id = match (!merchant.is_empty()).then(|| search::merchant_id(merchant)).transpose() {
        Ok(merchant_id) => merchant_id,
        Err(problem) => {
            return Ok(said(&problem));
        }
    };
    let key = match search::by_number(&view.context, number, merchant_id.as_ref()).await {
        Ok(found) if found.orders.len() > 1 || found.more => {
            return Ok(form(&view, StatusCode::OK, typed, &several(&found, &view.words.order)));
        }
        Ok(found) => found.orders.into_iter().next().map(|order| order.key),
        // The order's page waits for it with whoever looks at it.
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => match (merchant_id, OrderId::new(number)) {
            (Some(merchant_id), Ok(order_id)) => Some(Key::new(merchant_id, order_id)),
            _ => return Ok(said(&problem)),
        },
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            return Ok(said(&problem));
        }
        Err(problem) => return Err(refuse(problem)),
    };
    match key {
        // What a browser takes for a way up, encoded or not.
        Some(Key { merchant_id, order_id })
            if ![merchant_id.as_str(), order_id.as_str()].iter().any(|part| matches!(*part, "." | "..")) =>
        {
            Ok(Redirect::to(&order_path(merchant_id.as_str(), order_id.as_str())).into_response())
        }
        _ => Ok(wrong(StatusCode::NOT_FOUND, view.words.order.not_by_browser)),
    }
}

/// `typed` is the merchant and the number.
fn form(view: &View, status: StatusCode, typed: [&str; 2], below: &Markup) -> Response {
    let content = html! {
        h1 { (view.words.order.where_is_an_order) }
        (finder(view, typed[0], typed[1]))
        (below)
    };
    (status, page(view, Section::Orders, view.words.order.title, &content)).into_response()
}

fn several(found: &FoundOrders, words: &OrderWords) -> Markup {
    html! {
        section {
            h2 { (words.several) }
            (summaries(&found.orders, words))
            @if found.more { p.note { (words.maybe_more) } }
        }
    }
}

fn recent_orders(orders: &[OrderSummary], words: &OrderWords) -> Markup {
    html! {
        section #recent {
            h2 { (words.recent) }
            @if orders.is_empty() { p { (words.none_yet) } } @else { (summaries(orders, words)) }
        }
    }
}

fn summaries(orders: &[OrderSummary], words: &OrderWords) -> Markup {
    html! {
        ul.orders {
            @for order in orders {
                @let Key { merchant_id, order_id } = &order.key;
                li {
                    a href=(order_path(merchant_id.as_str(), order_id.as_str())) { code { (order_id) } }
                    span.of { code { (merchant_id) } }
                    span.status { @match &order.status { Some(status) => code { (status) }, None => (words.without_result) } }
                    span.time { (date_and_time(&rfc3339_ms(order.changed_ms))) }
                }
            }
        }
    }
}

pub(super) async fn get(
    view: View,
    Path((merchant_id, order_id)): Path<(String, String)>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&view, Section::Orders);
    let key = orders::key(&merchant_id, &order_id).map_err(&refuse)?;
    let words = &view.words.order;
    let timeline = orders::timeline(&view.context, &key).await.map_err(&refuse)?;
    let found = timeline.as_ref().map_or_else(|| unknown(words), |timeline| found(timeline, view.words));
    let content = html! {
        (as_of(&view, &rfc3339_ms(unix_ms())))
        (heading(&key, words))
        div #timeline data-live { (found) }
        details.another { summary { (words.another) } (finder(&view, "", "")) }
    };
    Ok(page(&view, Section::Orders, key.order_id.as_str(), &content))
}

/// Not a 404: this page waits for the order with whoever looks at it.
fn unknown(words: &OrderWords) -> Markup {
    html! {
        p.verdict.open {
            strong { (words.unknown) }
            (words.unknown_means)
        }
    }
}

fn heading(key: &Key, words: &OrderWords) -> Markup {
    html! { h1.order { span.kind { ((words.order_of)(key.merchant_id.as_str())) } code { (key.order_id) } } }
}

fn found(timeline: &Timeline, words: &Words) -> Markup {
    let text = |entry: &'_ Entry| entry_text(&entry.what, &words.timeline);
    let entries: Vec<(i64, &str, EntryText)> =
        timeline.entries.iter().map(|entry| (entry.at_ms, entry.node.as_str(), text(entry))).collect();
    let first_ms = entries.first().map_or(0, |(at_ms, ..)| *at_ms);
    html! {
        (second_charge(timeline, words))
        (verdict(timeline, &entries, &words.order))
        @if let Some(payment) = &timeline.payment { (facts(payment, words)) }
        @if entries.is_empty() {
            p.note {
                (words.order.no_timeline[0]) code { "timeline.keep" } (words.order.no_timeline[1])
            }
        } @else {
            div.overview {
                figure { (timeline::picture(&entries, &words.timeline)) }
                (table(&entries, first_ms, &words.order))
            }
        }
    }
}

/// That the payer was charged twice, and all charges that the latest word on it names.
fn second_charge(timeline: &Timeline, words: &Words) -> Markup {
    let told = timeline.entries.iter().rev().find(|entry| is_of_second_charge(&entry.what));
    html! {
        @if let Some(told) = told {
            div.verdict.bad role="alert" {
                strong { (words.order.paid_twice) }
                (words.order.paid_twice_means)
                ul { @for claim in claims(&told.what, &words.timeline) { li { (claim) } } }
            }
        }
    }
}

/// The answer to "I paid and the page did not move", in a sentence each.
fn verdict(timeline: &Timeline, entries: &[(i64, &str, EntryText)], words: &OrderWords) -> Markup {
    let has = |mark: Mark| entries.iter().any(|(.., entry)| entry.mark == mark);
    let Some(payment) = &timeline.payment else {
        return html! {
            p.verdict.open {
                strong { (words.no_result) }
                (words.no_result_means)
            }
        };
    };
    let is_acked = timeline.acked_version >= payment.version;
    html! {
        p.verdict .ok[payment.is_final() && is_acked] .open[!payment.is_final()] .bad[payment.is_final() && !is_acked] {
            strong { ((words.status)(payment.status, payment.is_final())) }
            " "
            @if is_acked { (words.page_has_shown_it) }
            @else if timeline.acked_version > 0 { ((words.page_has_shown_version)(timeline.acked_version)) }
            @else if has(Mark::Pushed) { (words.sent_and_not_acknowledged) }
            @else { (words.not_acknowledged) }
            @if has(Mark::Undelivered) { (words.merchant_was_told) code { "payment.undelivered" } (words.full_stop) }
        }
        @if has(Mark::Conflict) {
            p.verdict.bad {
                strong { (words.conflict) }
                (words.conflict_means)
            }
        }
    }
}

fn facts(payment: &Payment, words: &Words) -> Markup {
    let (version, words) = (words.home.version, &words.order);
    html! {
        dl.facts.wide {
            dt { (version) } dd { (payment.version) }
            @if let Some(money) = payment.amount { dt { (words.amount) } dd { (amount(money)) } }
            @if let Some(provider) = &payment.provider { dt { (words.provider) } dd { (provider) } }
            dt { (words.occurred_at) } dd { (payment.occurred_at.as_str()) }
            @if let Some(refund) = payment.refund {
                dt { (words.refund) }
                dd { (refund.status.as_str()) @if let Some(money) = refund.amount { ", " (amount(money)) } }
            }
            @if let Some(reason) = &payment.reason {
                dt { (words.reason) } dd { @for text in [&reason.code, &reason.message].into_iter().flatten() { (text) " " } }
            }
        }
    }
}

fn table(entries: &[(i64, &str, EntryText)], first_ms: i64, words: &OrderWords) -> Markup {
    let date = |at_ms: i64| rfc3339_ms(at_ms).get(..10).unwrap_or_default().to_owned();
    let dates: Vec<String> = entries.iter().map(|(at_ms, ..)| date(*at_ms)).collect();
    let nodes: BTreeSet<&str> = entries.iter().map(|(_, node, _)| *node).collect();
    let is_by_several = nodes.len() > 1;
    let columns = if is_by_several { "4" } else { "3" };
    let is_first_of_day = |at: usize| at == 0 || dates[at - 1] != dates[at];
    html! {
        table.entries {
            caption {
                @if is_by_several { (words.clocks_of_nodes) }
                @else { (words.clock_of) @for node in &nodes { code { (node) } } }
                @if entries.len() >= ENTRIES_MAX { ((words.latest_entries)(ENTRIES_MAX)) } }
            thead { tr {
                th scope="col" { (words.time) } th scope="col" { (words.since_the_first) } th scope="col" { (words.what) }
                @if is_by_several { th scope="col" { (words.node) } }
            } }
            tbody {
                @for (at, (at_ms, node, entry)) in entries.iter().enumerate() {
                    @if is_first_of_day(at) { tr.day { th colspan=(columns) scope="rowgroup" { (dates[at]) } } }
                    tr class=[class(entry.mark)] {
                        td.time { (rfc3339_ms(*at_ms).get(11..23).unwrap_or_default()) }
                        td.since { (since(at_ms.saturating_sub(first_ms))) }
                        td.what { strong { (entry.label) } " " (entry.text) }
                        @if is_by_several { td.by { (node) } }
                    }
                }
            }
        }
    }
}

fn class(mark: Mark) -> Option<&'static str> {
    match mark {
        Mark::Conflict | Mark::PaidTwice | Mark::Undelivered | Mark::Refused => Some("alarming"),
        Mark::Duplicate | Mark::Stale => Some("idle"),
        _ => None,
    }
}
