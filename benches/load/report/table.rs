//! The table, ratios first, as Markdown that is also readable in a terminal.

use std::fmt::Write;

use super::{Report, gains, number};
use crate::suite::{Bar, Limit};

pub(super) fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    ratios(report, &mut out);
    for part in 0..report.parts.len() {
        out.push('\n');
        figures(report, part, &mut out);
    }
    out
}

/// The page in docs/benchmarks.
pub(super) fn page(report: &Report<'_>) -> String {
    let mut out = "# Benchmarks\n\n".to_owned();
    gains::write(report, &mut out);
    writeln!(out, "\n![The figures as bars](plot.svg)\n\n{}", include_str!("targets.md")).unwrap();
    out.push_str(&text(report));
    let machine = &report.machine;
    writeln!(
        out,
        "\n## The run\n\nWritten by `{}` on {}: medians of {} rounds, in each of which every target runs once, one after \
         the other, on\nthe same broker, with the durable store and the ticket check on.\n",
        machine.command, machine.date, report.rounds
    )
    .unwrap();
    for (what, value) in &machine.facts {
        writeln!(out, "- {what}: {value}").unwrap();
    }
    out.push('\n');
    out.push_str(include_str!("method.md"));
    out
}

fn ratios(report: &Report<'_>, out: &mut String) {
    out.push_str("## Ratios\n\n");
    let mut rows = vec![["figure", "of", "against", "ratio", "bar", "met"].map(str::to_owned).to_vec()];
    for (index, part) in report.parts.iter().enumerate() {
        for bar in &part.bars {
            let verdict = report.verdict(index, bar);
            let met = if verdict.met { "yes" } else { "**no**" };
            rows.push(row(part, bar, &number(verdict.value), &limit(bar), met));
        }
        let ours = part.cases.iter().position(|case| case.label == "ours");
        for (case, other) in part.cases.iter().enumerate() {
            let has_bar = part.bars.iter().any(|bar| bar.by == Some(other.label));
            if let Some(ours) = ours.filter(|ours| *ours != case && !has_bar) {
                let bar = Bar { of: "ours", by: Some(other.label), limit: Limit::AtLeast(0.0), asks: "" };
                rows.push(row(part, &bar, &number(report.ratio(index, ours, case)), "", ""));
            }
        }
    }
    aligned(&rows, out);
    bars(report, out);
}

/// A sentence for each bar, with all the figures that have it.
fn bars(report: &Report<'_>, out: &mut String) {
    let mut sentences: Vec<(String, Vec<bool>)> = Vec::new();
    for (index, part) in report.parts.iter().enumerate() {
        for bar in &part.bars {
            let kind = part.title.split([',', ':']).next().unwrap_or_default();
            let against = bar.by.map_or_else(String::new, |by| format!(" against {by}"));
            let sentence = format!("**{kind} ({}){against}, {}**: {}", part.unit, limit(bar), bar.asks);
            let met = report.verdict(index, bar).met;
            match sentences.iter_mut().find(|(known, _)| *known == sentence) {
                Some((_, verdicts)) => verdicts.push(met),
                None => sentences.push((sentence, vec![met])),
            }
        }
    }
    out.push_str("\nWhat each bar asks for:\n\n");
    for (sentence, verdicts) in sentences {
        let verdict = match verdicts.iter().filter(|met| **met).count() {
            0 => "not met".to_owned(),
            all if all == verdicts.len() => "met".to_owned(),
            some => format!("met in {some} of {}", verdicts.len()),
        };
        writeln!(out, "- {sentence} ({verdict}).").unwrap();
    }
}

fn row(part: &crate::suite::Part, bar: &Bar, value: &str, limit: &str, met: &str) -> Vec<String> {
    let against = bar.by.unwrap_or("");
    [&format!("{} ({})", part.title, part.unit), bar.of, against, value, limit, met].map(str::to_owned).to_vec()
}

fn limit(bar: &Bar) -> String {
    match bar.limit {
        Limit::AtLeast(limit) => format!("≥ {limit}"),
        Limit::AtMost(limit) => format!("≤ {limit}"),
    }
}

fn figures(report: &Report<'_>, index: usize, out: &mut String) {
    let part = &report.parts[index];
    writeln!(out, "## {}\n", part.title).unwrap();
    let mut head = vec![String::new(), part.unit.to_owned(), "lowest to highest".to_owned()];
    head.extend(part.columns.iter().map(|(_, heading)| (*heading).to_owned()));
    let mut rows = vec![head];
    for (case, of) in part.cases.iter().enumerate() {
        let values = report.values(index, case, part.figure);
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut row = vec![of.label.to_owned(), number(report.median(index, case, part.figure))];
        row.push(format!("{} to {}", number(lowest), number(highest)));
        row.extend(part.columns.iter().map(|(figure, _)| number(report.median(index, case, figure))));
        rows.push(row);
    }
    aligned(&rows, out);
}

fn aligned(rows: &[Vec<String>], out: &mut String) {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<String> = (0..columns)
            .map(|column| {
                let (cell, width) = (&row[column], width(column));
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            })
            .collect();
        writeln!(out, "| {} |", cells.join(" | ")).unwrap();
        if at == 0 {
            let rule = |column: usize| {
                let dashes = "-".repeat(width(column) - 1);
                if column == 0 { format!("-{dashes}") } else { format!("{dashes}:") }
            };
            writeln!(out, "| {} |", (0..columns).map(rule).collect::<Vec<_>>().join(" | ")).unwrap();
        }
    }
}
