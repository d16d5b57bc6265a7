//! `/orders`: what happened to one order, as a picture and as a table.

use std::collections::BTreeSet;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::layout::{PageProblem, Section, as_of, finder, page, problem};
use super::timeline;
use super::view::View;
use crate::http::Problem;
use crate::operators::entries::{EntryText, amount, claims, entry_text, is_of_second_charge, since};
use crate::operators::orders;
use crate::operators::words::{Mark, OrderWords, Words};
use crate::payment::{Key, Payment};
use crate::runtime::{rfc3339_ms, unix_ms};
use crate::store::{ENTRIES_MAX, Entry, Timeline};

/// `?merchant_id=…&order_id=…`
#[derive(Deserialize)]
pub(super) struct Sought {
    merchant_id: Option<String>,
    order_id: Option<String>,
}

/// The empty form, or on to the order, or what is wrong with what was typed.
pub(super) async fn find(view: View, query: Result<Query<Sought>, QueryRejection>) -> Result<Response, PageProblem> {
    let Query(Sought { merchant_id, order_id }) =
        query.map_err(|rejection| problem(&view, Section::Orders)(Problem::from(rejection)))?;
    let (Some(merchant_id), Some(order_id)) = (&merchant_id, &order_id) else {
        return Ok(form(&view, StatusCode::OK, merchant_id.as_deref(), "", None));
    };
    // What people copy has spaces around it.
    Ok(match orders::key(merchant_id.trim(), order_id.trim()) {
        // What a browser takes for a way up, encoded or not.
        Ok(key)
            if [".", ".."].iter().any(|dots| key.order_id.as_str() == *dots || key.merchant_id.as_str() == *dots) =>
        {
            form(&view, StatusCode::NOT_FOUND, Some(merchant_id), order_id, Some(view.words.order.not_by_browser))
        }
        Ok(key) => {
            let order_id = utf8_percent_encode(key.order_id.as_str(), NON_ALPHANUMERIC);
            Redirect::to(&format!("/orders/{}/{order_id}", key.merchant_id)).into_response()
        }
        Err(wrong) => form(
            &view,
            StatusCode::BAD_REQUEST,
            Some(merchant_id),
            order_id,
            Some(&(view.words.page.problem)(wrong.code(), wrong.detail())),
        ),
    })
}

fn form(view: &View, status: StatusCode, merchant_id: Option<&str>, order_id: &str, wrong: Option<&str>) -> Response {
    let content = html! {
        h1 { (view.words.order.where_is_an_order) }
        @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
        (finder(view, merchant_id, order_id))
    };
    (status, page(view, Section::Orders, view.words.order.title, &content)).into_response()
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
        details.another { summary { (words.another) } (finder(&view, Some(key.merchant_id.as_str()), "")) }
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
