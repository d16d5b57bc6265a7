//! What every page has around its content, and the small pieces that several pages share.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::language::{Language, switch};
use super::view::View;
use crate::http::Problem;
use crate::operators::words::PageWords;

/// The sections of the page, to mark the one that is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Home,
    Orders,
    DeadLetters,
}

/// A whole page around its content. What carries `data-live` and an id is kept fresh by the script.
pub(super) fn page(view: &View, section: Section, title: &str, content: &Markup) -> Markup {
    let words = &view.words.page;
    let link = |to: Section, href: &str, name: &str| {
        html! { a href=(href) aria-current=[(to == section).then_some("page")] { (name) } }
    };
    let other = view.language.other();
    html! {
        (DOCTYPE)
        html lang=(view.words.tag) {
            (head(title))
            body {
                a.skip href="#content" { (words.skip) }
                header.top {
                    div.names {
                        a.brand href="/" { "payment-notifier" }
                        span.node title=(words.node_title) { (view.context.instance) }
                        a.language href=(switch(&view.here, other)) lang=(other.words().tag) hreflang=(other.words().tag) {
                            (other.name())
                        }
                    }
                    nav aria-label=(words.sections) {
                        (link(Section::Home, "/", words.health))
                        (link(Section::Orders, "/orders", words.orders))
                        (link(Section::DeadLetters, "/dead-letters", words.dead_letters))
                    }
                }
                main #content { (content) }
                footer {
                    p { "payment-notifier " (env!("CARGO_PKG_VERSION")) " · " (words.in_utc) }
                }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            title { (title) " · payment-notifier" }
            link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
            link rel="stylesheet" href="/assets/admin.css";
            script src="/assets/admin.js" defer {}
        }
    }
}

/// When this was looked up, and whether it is kept fresh.
pub(super) fn as_of(view: &View, at: &str) -> Markup {
    let words = &view.words.page;
    html! {
        p.as-of {
            span #as-of data-live { ((words.as_of)(clock(at))) }
            " " span #live role="status" data-when-live=(words.live) data-when-stale=(words.not_live) {}
        }
    }
}

/// The time of day of an RFC 3339 text, to the second.
pub(super) fn clock(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

/// A form by which an order is found: by its number or the provider's, of one merchant or of any.
pub(super) fn finder(view: &View, merchant_id: &str, number: &str) -> Markup {
    let words = &view.words.page;
    html! {
        form.finder action="/orders" method="get" role="search" aria-label=(words.find_an_order) {
            label { span { (words.number) }
                input name="number" value=(number) required maxlength="128" autocapitalize="off" spellcheck="false";
            }
            label { span { (words.merchant) }
                input name="merchant_id" value=(merchant_id) maxlength="64" autocapitalize="off" spellcheck="false";
            }
            button { (words.find) }
        }
    }
}

/// Where what happened to an order is shown.
pub(super) fn order_path(merchant_id: &str, order_id: &str) -> String {
    format!("/orders/{}/{}", encoded(merchant_id), encoded(order_id))
}

/// A text as part of a path or as the value of a query, with what both take as it is left readable.
pub(super) fn encoded(text: &str) -> String {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(text, ENCODED).to_string()
}

/// `2026-01-31 08:30:00`
pub(super) fn date_and_time(at: &str) -> String {
    at.get(..19).unwrap_or(at).replace('T', " ")
}

/// A refusal as a page.
pub(super) struct PageProblem {
    view: View,
    section: Section,
    problem: Problem,
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        let (status, words) = (self.problem.status(), &self.view.words.page);
        let title = (words.status)(status);
        let content = html! {
            h1 { (title) }
            (explanation(words, &self.problem))
            p { a href="/" { (words.health_of_node) } }
        };
        (status, page(&self.view, self.section, title, &content)).into_response()
    }
}

/// Makes a refusal of a section a page.
pub(super) fn problem(view: &View, section: Section) -> impl Fn(Problem) -> PageProblem {
    let view = view.clone();
    move |problem| PageProblem { view: view.clone(), section, problem }
}

/// What somebody is told who was not let in: nothing of this node.
pub(in crate::operators) fn refused(problem: &Problem, path: &str, headers: &HeaderMap) -> Response {
    let (status, words) = (problem.status(), Language::of(headers).words());
    let title = (words.page.status)(status);
    let content = html! {
        (DOCTYPE)
        html lang=(words.tag) {
            (head(title))
            body {
                main #content {
                    h1 { (title) }
                    (explanation(&words.page, problem))
                    @if status == StatusCode::FORBIDDEN {
                        p { a href=(path) { ((words.page.open)(path)) } }
                    }
                }
            }
        }
    };
    (status, content).into_response()
}

fn explanation(words: &PageWords, problem: &Problem) -> Markup {
    html! {
        p.lead {
            ((words.problem)(problem.code(), problem.detail()))
            @if (words.shows_detail)(problem.code()) { " " code lang="en" { (problem.detail()) } }
        }
    }
}

/// A tick in a circle, or a cross in a square: told apart without colour.
pub(super) fn icon(is_well: bool) -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" aria-hidden="true" {
            @if is_well { circle cx="12" cy="12" r="11" {} path d="M7 12.5l3.5 3.5L17 8.5" {} }
            @else { rect x="1" y="1" width="22" height="22" rx="3" {} path d="M7.5 7.5l9 9m0-9l-9 9" {} }
        }
    }
}
