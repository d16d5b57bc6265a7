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

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what happened to an order: arrived, pushed, acknowledged, escalated
    Show {
        /// The merchant
        merchant: String,
        /// The merchant's order number
        order: String,
        /// Print the admin API's JSON, for programs
        #[arg(long)]
        json: bool,
        /// The operators' listener of any node [default: admin.listen]
        #[arg(long, value_name = "URL")]
        admin: Option<String>,
    },
}

pub(super) async fn run(settings: &Settings, args: Args) -> Result<(), Failure> {
    let Command::Show { merchant, order, json, admin } = args.command;
    let merchant = MerchantId::new(&merchant).map_err(|rule| format!("MERCHANT {rule}"))?;
    let order = OrderId::new(&order).map_err(|rule| format!("ORDER {rule}"))?;
    let operators = Operators::new(settings, admin)?;
    let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = format!("/v1/orders/{}/{}", part(merchant.as_str()), part(order.as_str()));
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
