//! The snippets of the README, docs/publishing and docs/pages, in both languages, as they stand there: only the order is
//! another. (The SDK's are run by its own tests.)

use std::process::Command;

use serde_json::{Value, json};

use crate::support::ticket::{SECRET, changed, claims, hs256};
use crate::support::{MERCHANT, Page, Service, repository, tools};

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "README.zh-CN.md",
    "docs/pages.md",
    "docs/pages.zh-CN.md",
    "docs/publishing.md",
    "docs/publishing.zh-CN.md",
];

struct Snippet {
    document: &'static str,
    language: &'static str,
    code: String,
}

/// Those in this language that hold this word.
fn snippets(language: &'static str, word: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(repository().join(document)).expect("readable");
        let fence = format!("```{language}\n");
        let codes = text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next());
        let wanted = codes.filter(|code| code.contains(word));
        found.extend(wanted.map(|code| Snippet { document, language, code: code.to_owned() }));
    }
    found
}

/// What stands in quotes after a name and a colon.
fn value_of<'c>(code: &'c str, name: &str) -> &'c str {
    let (_, rest) = code.split_once(name).expect("the snippet names it");
    let (_, rest) = rest.split_once(':').expect("a colon follows");
    let rest = rest.trim_start();
    rest[1..].split(&rest[..1]).next().expect("in quotes")
}

fn command(language: &str, code: &str) -> Command {
    let mut command = if language == "python" { Command::new(tools::python()) } else { Command::new("node") };
    command.args([if language == "python" { "-c" } else { "-e" }, code]);
    command.env("NODE_PATH", repository().join("examples/publishers/node/node_modules"));
    command
}

#[tokio::test]
async fn a_waiting_page_learns_what_each_snippet_publishes() {
    let service = Service::start().await;
    let all: Vec<_> = ["python", "js"].into_iter().flat_map(|language| snippets(language, "payment.result.")).collect();
    assert_eq!(all.len(), 6, "two in the README, four in docs/publishing");
    for (number, Snippet { document, language, code }) in all.into_iter().enumerate() {
        let (order, what) = (format!("snippet-{number}"), format!("{document}, {language}"));
        let of_its_merchant = json!({ "merchant_id": value_of(&code, "merchant_id") });
        let ticket = hs256(&changed(claims(order.as_str()), of_its_merchant));
        let (mut page, before) = Page::subscribed(&service, &ticket).await;
        assert_eq!(before, Value::Null, "{what}");
        let code = code.replace(value_of(&code, "order_id"), &order);
        let mut command = command(language, &code);
        command.env("AMQP_URL", service.vhost().amqp_url());
        let said = tools::run(command, String::new()).await;
        assert!(said.starts_with("published "), "{what}: {said}");
        page.payment_with_status(value_of(&code, "status")).await;
    }
}

#[tokio::test]
async fn the_service_takes_the_tickets_of_the_snippets() {
    let service = Service::start().await;
    let print = [("python", "mint_ticket", "print"), ("js", "mintTicket", "console.log")];
    for (language, name, print) in print {
        let all = snippets(language, name);
        assert_eq!(all.len(), 2, "{language}");
        for Snippet { document, code, .. } in all {
            let code = format!("{code}\n{print}({name}({SECRET:?}, {MERCHANT:?}, \"A10001\", \"openid-0001\"))");
            let minted = tools::run(command(language, &code), String::new()).await;
            Page::subscribed(&service, minted.trim_end()).await;
            let answer = service.get("/v1/payments/A10001", minted.trim_end()).await;
            assert_eq!(answer.status, 200, "{document}, {language}");
        }
    }
}
