//! The operators' page: HTML made here, for a person at night with a phone. Works without JavaScript; with it, what is on
//! the screen is asked for again each second.
//!
//! All texts go through maud's `html!`, which escapes them. Nothing is loaded from elsewhere.

mod home;
mod letters;
mod order;
mod timeline;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{DOCTYPE, Markup, html};

use super::super::error::Problem;
use super::Admin;

const CSS: &str = include_str!("admin.css");
const ICON: &str = include_str!("icon.svg");
const SCRIPT: &str = include_str!("admin.js");

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/", get(home::get))
        .route("/orders", get(order::find))
        .route("/orders/{merchant_id}/{order_id}", get(order::get))
        .route("/dead-letters", get(letters::list))
        .route("/dead-letters/look", post(letters::look))
        .route("/dead-letters/{id}", get(letters::show))
        .route("/dead-letters/{id}/replay", get(letters::ask).post(letters::replay))
        .route("/assets/admin.css", get(|| async { asset("text/css; charset=utf-8", CSS) }))
        .route("/assets/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .route("/assets/admin.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
}

/// Where answers are read by people.
pub(super) fn is_page(path: &str) -> bool {
    path == "/" || ["/orders", "/dead-letters"].iter().any(|page| path.starts_with(page))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

/// The parts of the page, to mark the one that is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Home,
    Orders,
    DeadLetters,
}

/// A whole page around its content. What carries `data-live` and an id is kept fresh by the script.
fn page(admin: &Admin, part: Part, title: &str, content: &Markup) -> Markup {
    let link = |to: Part, href: &str, name: &str| {
        html! { a href=(href) aria-current=[(to == part).then_some("page")] { (name) } }
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
                        span.node title="The name of this node" { (admin.instance) }
                    }
                    nav aria-label="Parts of this page" {
                        (link(Part::Home, "/", "Health"))
                        (link(Part::Orders, "/orders", "Orders"))
                        (link(Part::DeadLetters, "/dead-letters", "Dead letters"))
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
fn as_of(at: &str) -> Markup {
    html! {
        p.as-of {
            span #as-of data-live { "as of " (clock(at)) }
            " " span #live role="status" {}
        }
    }
}

/// The time of day of an RFC 3339 text, to the second.
fn clock(at: &str) -> &str {
    at.get(11..19).unwrap_or(at)
}

/// A form by which an order is found.
fn finder(admin: &Admin, merchant_id: Option<&str>, order_id: &str) -> Markup {
    let merchant_id = merchant_id.unwrap_or(&admin.default_merchant);
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
struct PageProblem {
    admin: Admin,
    part: Part,
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
        (status, page(&self.admin, self.part, title_of(status), &content)).into_response()
    }
}

/// Makes a refusal of part `part` a page.
fn problem(admin: &Admin, part: Part) -> impl Fn(Problem) -> PageProblem {
    let admin = admin.clone();
    move |problem| PageProblem { admin: admin.clone(), part, problem }
}

/// What somebody is told who was not let in: nothing of this node.
pub(super) fn refused(problem: &Problem, path: &str) -> Response {
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
fn icon(is_well: bool) -> Markup {
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
fn thousands(number: u64) -> String {
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
fn count(number: u64, one: &str, many: &str) -> String {
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
