//! `/orders`: what happened to one order, as a picture and as a table.

use std::collections::BTreeSet;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{PageProblem, Section, as_of, finder, page, problem};
use super::timeline;
use crate::http::Problem;
use crate::operators::context::OperatorContext;
use crate::operators::labels::{self, Mark, Told, since};
use crate::operators::orders;
use crate::payment::{Key, Payment};
use crate::runtime::{rfc3339_ms, unix_ms};
use crate::store::{ENTRIES_MAX, Timeline};

/// `?merchant_id=…&order_id=…`
#[derive(Deserialize)]
pub(super) struct Sought {
    merchant_id: Option<String>,
    order_id: Option<String>,
}

/// The empty form, or on to the order, or what is wrong with what was typed.
pub(super) async fn find(
    State(context): State<OperatorContext>,
    query: Result<Query<Sought>, QueryRejection>,
) -> Result<Response, PageProblem> {
    let Query(Sought { merchant_id, order_id }) =
        query.map_err(|rejection| problem(&context, Section::Orders)(Problem::from(rejection)))?;
    let (Some(merchant_id), Some(order_id)) = (&merchant_id, &order_id) else {
        return Ok(form(&context, StatusCode::OK, merchant_id.as_deref(), "", None));
    };
    // What people copy has spaces around it.
    Ok(match orders::key(merchant_id.trim(), order_id.trim()) {
        // The alphabet of ids needs no encoding, but for what a browser takes for a way up.
        Ok(key)
            if [".", ".."].iter().any(|dots| key.order_id.as_str() == *dots || key.merchant_id.as_str() == *dots) =>
        {
            form(
                &context,
                StatusCode::NOT_FOUND,
                Some(merchant_id),
                order_id,
                Some("a browser cannot ask for an order of this name"),
            )
        }
        Ok(key) => Redirect::to(&format!("/orders/{}/{}", key.merchant_id, key.order_id)).into_response(),
        Err(wrong) => form(&context, StatusCode::BAD_REQUEST, Some(merchant_id), order_id, Some(wrong.detail())),
    })
}

fn form(
    context: &OperatorContext,
    status: StatusCode,
    merchant_id: Option<&str>,
    order_id: &str,
    wrong: Option<&str>,
) -> Response {
    let content = html! {
        h1 { "Where is an order?" }
        @if let Some(wrong) = wrong { p.wrong role="alert" { (wrong) } }
        (finder(context, merchant_id, order_id))
    };
    (status, page(context, Section::Orders, "Orders", &content)).into_response()
}

pub(super) async fn get(
    State(context): State<OperatorContext>,
    Path((merchant_id, order_id)): Path<(String, String)>,
) -> Result<Markup, PageProblem> {
    let refuse = problem(&context, Section::Orders);
    let key = orders::key(&merchant_id, &order_id).map_err(&refuse)?;
    let story = orders::told(&context, &key).await.map_err(&refuse)?;
    let told = story.as_ref().map_or_else(unknown, told);
    let content = html! {
        (as_of(&rfc3339_ms(unix_ms())))
        (heading(&key))
        div #story data-live { (told) }
        details.another { summary { "Another order" } (finder(&context, Some(key.merchant_id.as_str()), "")) }
    };
    Ok(page(&context, Section::Orders, key.order_id.as_str(), &content))
}

/// Not a 404: this page waits for the order with whoever looks at it.
fn unknown() -> Markup {
    html! {
        p.verdict.open {
            strong { "Nothing was ever heard of this order." }
            " No result has come, and no page has waited for it. Is the merchant the right one?"
        }
    }
}

fn heading(key: &Key) -> Markup {
    html! { h1.order { span.kind { "Order of " (key.merchant_id) } code { (key.order_id) } } }
}

fn told(story: &Timeline) -> Markup {
    let entries: Vec<(i64, &str, Told)> =
        story.entries.iter().map(|entry| (entry.at_ms, entry.node.as_str(), labels::of(&entry.what))).collect();
    let first_ms = entries.first().map_or(0, |(at_ms, ..)| *at_ms);
    html! {
        (verdict(story, &entries))
        @if let Some(payment) = &story.payment { (facts(payment)) }
        @if entries.is_empty() {
            p.note {
                "Nothing is remembered of how it came here: the timeline is switched off, or it is longer ago than "
                code { "timeline.keep" } "."
            }
        } @else {
            div.story {
                figure { (timeline::picture(&entries)) }
                (table(&entries, first_ms))
            }
        }
    }
}

/// The answer to "I paid and the page did not move", in a sentence each.
fn verdict(story: &Timeline, entries: &[(i64, &str, Told)]) -> Markup {
    let has = |mark: Mark| entries.iter().any(|(.., told)| told.mark == mark);
    let Some(payment) = &story.payment else {
        return html! {
            p.verdict.open {
                strong { "No result has arrived." }
                " The payment system has not published one for this order, or it was put into the dead letters."
            }
        };
    };
    let is_acked = story.acked_version >= payment.version;
    html! {
        p.verdict .ok[payment.is_final() && is_acked] .open[!payment.is_final()] .bad[payment.is_final() && !is_acked] {
            strong {
                (payment.status.as_str().replace('_', " "))
                @if payment.is_final() { ", final." } @else { ", not final yet." }
            }
            " "
            @if is_acked { "A page has shown it." }
            @else if story.acked_version > 0 { "A page has shown version " (story.acked_version) ", and not this one." }
            @else if has(Mark::Pushed) { "It was sent to a page, and no page has said that it was shown." }
            @else { "No page has said that it was shown." }
            @if has(Mark::Undelivered) { " The merchant was told: " code { "payment.undelivered" } "." }
        }
        @if has(Mark::Conflict) {
            p.verdict.bad {
                strong { "Contradiction." }
                " Events of this order cannot all be true; the greater one stands. Ask the payment provider."
            }
        }
    }
}

fn facts(payment: &Payment) -> Markup {
    html! {
        dl.facts.wide {
            dt { "Version" } dd { (payment.version) }
            @if let Some(amount) = payment.amount { dt { "Amount" } dd { (labels::amount(amount)) } }
            @if let Some(provider) = &payment.provider { dt { "Provider" } dd { (provider) } }
            dt { "Occurred at" } dd { (payment.occurred_at.as_str()) }
            @if let Some(refund) = payment.refund {
                dt { "Refund" }
                dd { (refund.status.as_str()) @if let Some(amount) = refund.amount { ", " (labels::amount(amount)) } }
            }
            @if let Some(reason) = &payment.reason {
                dt { "Reason" } dd { @for text in [&reason.code, &reason.message].into_iter().flatten() { (text) " " } }
            }
        }
    }
}

fn table(entries: &[(i64, &str, Told)], first_ms: i64) -> Markup {
    let date = |at_ms: i64| rfc3339_ms(at_ms).get(..10).unwrap_or_default().to_owned();
    let dates: Vec<String> = entries.iter().map(|(at_ms, ..)| date(*at_ms)).collect();
    let nodes: BTreeSet<&str> = entries.iter().map(|(_, node, _)| *node).collect();
    let is_by_several = nodes.len() > 1;
    let columns = if is_by_several { "4" } else { "3" };
    let is_first_of_day = |place: usize| place == 0 || dates[place - 1] != dates[place];
    html! {
        table.entries {
            caption {
                @if is_by_several { "Times are UTC, by the clock of the node that wrote the entry" }
                @else { "Times are UTC, by the clock of " @for node in &nodes { code { (node) } } }
                @if entries.len() >= ENTRIES_MAX { "; the latest " (ENTRIES_MAX) " entries" } }
            thead { tr {
                th scope="col" { "Time" } th scope="col" { "Since the first" } th scope="col" { "What" }
                @if is_by_several { th scope="col" { "Node" } }
            } }
            tbody {
                @for (place, (at_ms, node, told)) in entries.iter().enumerate() {
                    @if is_first_of_day(place) { tr.day { th colspan=(columns) scope="rowgroup" { (dates[place]) } } }
                    tr class=[class(told.mark)] {
                        td.time { (rfc3339_ms(*at_ms).get(11..23).unwrap_or_default()) }
                        td.since { (since(at_ms.saturating_sub(first_ms))) }
                        td.what { strong { (told.label) } " " (told.text) }
                        @if is_by_several { td.by { (node) } }
                    }
                }
            }
        }
    }
}

fn class(mark: Mark) -> Option<&'static str> {
    match mark {
        Mark::Conflict | Mark::Undelivered | Mark::Refused => Some("alarming"),
        Mark::Duplicate | Mark::Stale => Some("idle"),
        _ => None,
    }
}
