//! `order show`: what happened to one order, so that it can be read aloud.

use std::io::{Write, stdout};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

use super::failure::Failure;
use super::operators::Operators;
use super::plain::plain;
use crate::config::Settings;
use crate::payment::{MerchantId, OrderId};
use crate::store::is_transaction_id;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what happened to an order: arrived, pushed, acknowledged, escalated
    Show {
        /// The merchant; with --transaction needed only where orders of several bear that number
        #[arg(required_unless_present = "transaction")]
        merchant: Option<String>,
        /// The merchant's order number
        #[arg(required_unless_present = "transaction", conflicts_with = "transaction")]
        order: Option<String>,
        /// The payment provider's number, as on the payer's bill, instead of the order number
        #[arg(long, value_name = "ID")]
        transaction: Option<String>,
        /// Print the admin API's JSON, for programs
        #[arg(long)]
        json: bool,
        /// The operators' listener of any node [default: admin.listen]
        #[arg(long, value_name = "URL")]
        admin: Option<String>,
    },
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let Command::Show { merchant, order, transaction, json, admin } = args.command;
    let merchant = merchant.map(|merchant| MerchantId::new(&merchant)).transpose();
    let merchant = merchant.map_err(|rule| format!("MERCHANT {rule}"))?;
    let order = order.map(|order| OrderId::new(&order)).transpose().map_err(|rule| format!("ORDER {rule}"))?;
    let operators = Operators::new(settings, admin)?;
    let path = match (merchant, order, transaction) {
        (Some(merchant), Some(order), None) => path(merchant.as_str(), order.as_str()),
        (merchant, _, transaction) => {
            let transaction = transaction.unwrap_or_default();
            match found(&operators, &transaction, merchant.as_ref(), json).await? {
                Some(path) => path,
                None => {
                    return Err(
                        "several orders bear this number of the provider's: name one by MERCHANT and ORDER".into()
                    );
                }
            }
        }
    };
    let timeline = operators.answer(operators.call(Method::GET, &path)).await?;
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{timeline}")?;
        return Ok(());
    }
    for line in lines(&timeline) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn path(merchant: &str, order: &str) -> String {
    format!("/v1/orders/{}/{}", encoded(merchant), encoded(order))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The path of the one order that bears the provider's number. Where there are several, prints them and answers nothing.
async fn found(
    operators: &Operators,
    transaction: &str,
    merchant: Option<&MerchantId>,
    json: bool,
) -> Result<Option<String>, Failure> {
    if !is_transaction_id(transaction) {
        return Err("--transaction must be 1 to 128 bytes without control characters".into());
    }
    let mut search = format!("/v1/orders?transaction={}", encoded(transaction));
    if let Some(merchant) = merchant {
        search = format!("{search}&merchant={}", encoded(merchant.as_str()));
    }
    let found = operators.answer(operators.call(Method::GET, &search)).await?;
    let text = |order: &Value, name: &str| plain(order[name].as_str().unwrap_or_default());
    if let Some([order]) = found["orders"].as_array().map(Vec::as_slice)
        && found["more"] != true
    {
        return Ok(Some(path(&text(order, "merchant_id"), &text(order, "order_id"))));
    }
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{found}")?;
        return Ok(None);
    }
    for order in found["orders"].as_array().into_iter().flatten() {
        writeln!(out, "{} {}  {}", text(order, "merchant_id"), text(order, "order_id"), text(order, "status"))?;
    }
    if found["more"] == true {
        writeln!(out, "and maybe more")?;
    }
    Ok(None)
}

/// A header, then one line an entry, with the date where it changes.
fn lines(timeline: &Value) -> Vec<String> {
    let text = |value: &Value, name: &str| plain(value[name].as_str().unwrap_or_default());
    let mut lines = vec![format!(
        "order {} of {}: {}",
        text(timeline, "order_id"),
        text(timeline, "merchant_id"),
        text(timeline, "text")
    )];
    let (mut day, mut node) = (String::new(), String::new());
    for entry in timeline["entries"].as_array().into_iter().flatten() {
        let at = text(entry, "at");
        let (date, time) = at.split_once('T').unwrap_or((&at, ""));
        let by = text(entry, "node");
        if date != day || by != node {
            lines.push(String::new());
            lines.push(format!("{date} UTC, node {by}"));
            (day, node) = (date.to_owned(), by);
        }
        let time = time.trim_end_matches('Z');
        let (since, label, said) = (text(entry, "since"), text(entry, "label"), text(entry, "text"));
        lines.push(format!("{time}  {since:>11}  {label:<12}  {said}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timeline_has_a_header_a_date_and_a_line_an_entry() {
        let entry = |at: &str, node: &str, since: &str, text: &str| json!({ "at": at, "node": node, "since": since, "label": "arrived", "text": text });
        let timeline = json!({ "order_id": "o", "merchant_id": "m", "text": "succeeded", "entries": [
            entry("2026-01-31T15:02:11.532Z", "n1", "+0 ms", "first"),
            entry("2026-01-31T15:02:11.540Z", "n1", "+8 ms", "second \u{1b}[31m"),
            entry("2026-02-01T00:00:00.000Z", "n2", "+8 h 57 min", "third"),
        ]});
        let printed = lines(&timeline);
        assert_eq!(
            printed[..4],
            [
                "order o of m: succeeded",
                "",
                "2026-01-31 UTC, node n1",
                "15:02:11.532        +0 ms  arrived       first",
            ]
        );
        assert_eq!(printed[4], "15:02:11.540        +8 ms  arrived       second \\u{1b}[31m");
        assert_eq!(printed[6], "2026-02-01 UTC, node n2");
    }
}
