//! What every page has around its content, and the small pieces that several pages share.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::http::Problem;
use crate::operators::context::OperatorContext;

/// The sections of the page, to mark the one that is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Home,
    Orders,
    DeadLetters,
}

/// A whole page around its content. What carries `data-live` and an id is kept fresh by the script.
pub(super) fn page(context: &OperatorContext, section: Section, title: &str, content: &Markup) -> Markup {
    let link = |to: Section, href: &str, name: &str| {
        html! { a href=(href) aria-current=[(to == section).then_some("page")] { (name) } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    div.names {
                        a.brand href="/" { "payment-notifier" }
                        span.node title="The name of this node" { (context.instance) }
                    }
                    nav aria-label="Parts of this page" {
                        (link(Section::Home, "/", "Health"))
                        (link(Section::Orders, "/orders", "Orders"))
                        (link(Section::DeadLetters, "/dead-letters", "Dead letters"))
                    }
                }
                main #content { (content) }
                footer {
                    p { "payment-notifier " (env!("CARGO_PKG_VERSION")) " · all times are UTC" }
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
pub(super) fn as_of(at: &str) -> Markup {
    html! {
        p.as-of {
            span #as-of data-live { "as of " (clock(at)) }
            " " span #live role="status" {}
        }
    }
}

/// The time of day of an RFC 3339 text, to the second.
pub(super) fn clock(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

/// A form by which an order is found.
pub(super) fn finder(context: &OperatorContext, merchant_id: Option<&str>, order_id: &str) -> Markup {
    let merchant_id = merchant_id.unwrap_or(&context.default_merchant);
    html! {
        form.finder action="/orders" method="get" role="search" aria-label="Find an order" {
            label { span { "Merchant" }
                input name="merchant_id" value=(merchant_id) required maxlength="64" autocapitalize="off" spellcheck="false";
            }
            label { span { "Order number" }
                input name="order_id" value=(order_id) required maxlength="64" autocapitalize="off" spellcheck="false";
            }
            button { "Find" }
        }
    }
}

/// A refusal as a page.
pub(super) struct PageProblem {
    context: OperatorContext,
    section: Section,
    problem: Problem,
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        let status = self.problem.status();
        let content = html! {
            h1 { (title_of(status)) }
            p.lead { (self.problem.detail()) "." }
            p { a href="/" { "Health of this node" } }
        };
        (status, page(&self.context, self.section, title_of(status), &content)).into_response()
    }
}

/// Makes a refusal of a section a page.
pub(super) fn problem(context: &OperatorContext, section: Section) -> impl Fn(Problem) -> PageProblem {
    let context = context.clone();
    move |problem| PageProblem { context: context.clone(), section, problem }
}

/// What somebody is told who was not let in: nothing of this node.
pub(in crate::operators) fn refused(problem: &Problem, path: &str) -> Response {
    let status = problem.status();
    let content = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title_of(status)))
            body {
                main #content {
                    h1 { (title_of(status)) }
                    p.lead { (problem.detail()) "." }
                    @if status == StatusCode::FORBIDDEN {
                        p { a href=(path) { "Open " (path) } }
                    }
                }
            }
        }
    };
    (status, content).into_response()
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

fn title_of(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// `12,345`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 message`, `2,000 messages`
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((count(1, "page", "pages"), count(0, "page", "pages")), ("1 page".into(), "0 pages".into()));
    }
}
