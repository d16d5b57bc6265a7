//! The table, ratios first, as Markdown that is also readable in a terminal.

use std::fmt::Write;

use super::{Report, Verdict, gains, number, remarks};
use crate::suite::{Bar, Figure, Ideal, LONG_ROUNDS, Limit, Part};

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
         the other, on\nthe same broker, with the durable store and the ticket check on. Nchan, Web STOMP, Web MQTT and \
         all from *Polls* on run in {} of\nthem.\n",
        machine.command,
        machine.date,
        report.rounds,
        report.rounds.min(LONG_ROUNDS)
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
            rows.push(row(part, bar, &verdict, &limit(bar)));
        }
        let ours = part.case("ours");
        for (case, other) in part.cases.iter().enumerate() {
            let has_bar = part.bars.iter().any(|bar| bar.figure == part.figure && bar.by == Some(other.label));
            if let Some(ours) = ours.filter(|ours| *ours != case && !has_bar) {
                let (figure, limit) = (part.figure, Limit::AtLeast(0.0));
                let bar = Bar { figure, of: "ours", by: Some(other.label), limit, asks: "" };
                let value = report.ratio(index, ours, case, figure.0);
                rows.push(row(part, &bar, &Verdict { value, met: None }, ""));
            }
        }
    }
    aligned(&rows, out);
    bars(report, out);
}

/// A sentence for each bar, with all the figures that have it.
fn bars(report: &Report<'_>, out: &mut String) {
    let mut sentences: Vec<(String, Vec<Option<bool>>)> = Vec::new();
    for (index, part) in report.parts.iter().enumerate() {
        for bar in &part.bars {
            let kind = part.title.split([',', ':']).next().unwrap_or_default();
            let against = bar.by.map_or_else(String::new, |by| format!(" against {by}"));
            let sentence = format!("**{kind} ({}){against}, {}**: {}", bar.figure.1, limit(bar), bar.asks);
            let met = report.verdict(index, bar).met;
            match sentences.iter_mut().find(|(known, _)| *known == sentence) {
                Some((_, verdicts)) => verdicts.push(met),
                None => sentences.push((sentence, vec![met])),
            }
        }
    }
    out.push_str("\nWhat each bar asks for:\n\n");
    for (sentence, verdicts) in sentences {
        let measured: Vec<bool> = verdicts.iter().copied().flatten().collect();
        let verdict = match measured.iter().filter(|met| **met).count() {
            _ if measured.is_empty() => "not measured".to_owned(),
            0 => "not met".to_owned(),
            all if all == verdicts.len() => "met".to_owned(),
            some => format!("met in {some} of {}", verdicts.len()),
        };
        writeln!(out, "- {sentence} ({verdict}).").unwrap();
    }
}

fn row(part: &Part, bar: &Bar, verdict: &Verdict, limit: &str) -> Vec<String> {
    let met = match verdict.met {
        _ if limit.is_empty() => "",
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "not measured",
    };
    let (figure, value) = (format!("{} ({})", part.title, bar.figure.1), number(verdict.value));
    [&figure, bar.of, bar.by.unwrap_or(""), &value, limit, met].map(str::to_owned).to_vec()
}

fn limit(bar: &Bar) -> String {
    match bar.limit {
        Limit::AtLeast(limit) if limit >= 1_000.0 => format!("≥ {}", number(limit)),
        Limit::AtLeast(limit) => format!("≥ {limit}"),
        Limit::AtMost(limit) => format!("≤ {limit}"),
    }
}

fn figures(report: &Report<'_>, index: usize, out: &mut String) {
    let part = &report.parts[index];
    writeln!(out, "## {}\n", part.title).unwrap();
    let notes: Vec<String> = (0..part.cases.len()).map(|case| remarks::of(report, index, case)).collect();
    let has_notes = notes.iter().any(|note| !note.is_empty());
    let (name, unit): Figure = part.figure;
    let mut head = vec![String::new(), unit.to_owned(), "lowest to highest".to_owned()];
    head.extend(part.columns.iter().map(|(_, heading)| (*heading).to_owned()));
    head.extend(has_notes.then(|| "what went wrong".to_owned()));
    let mut rows = vec![head];
    for (case, (of, note)) in part.cases.iter().zip(notes).enumerate() {
        let values = report.values(index, case, name);
        let lowest = values.values().copied().fold(f64::NAN, f64::min);
        let highest = values.values().copied().fold(f64::NAN, f64::max);
        let mut row = vec![of.label.to_owned(), number(report.median(index, case, name))];
        row.push(format!("{} to {}", number(lowest), number(highest)));
        row.extend(part.columns.iter().map(|(figure, _)| number(report.median(index, case, figure))));
        row.extend(has_notes.then_some(note));
        rows.push(row);
    }
    aligned(&rows, out);
    limit_of(report, index, out);
}

/// The sentence on what a service of no cost would reach.
fn limit_of(report: &Report<'_>, index: usize, out: &mut String) {
    let (Some(reach), Some(ideal)) = (report.reach(index), report.parts[index].ideal) else { return };
    let unit = report.parts[index].figure.1;
    let of = match ideal {
        Ideal::Rate => String::new(),
        Ideal::LatencyOf(label) => format!(", as *{label}* has"),
    };
    let (ideal, share) = (number(reach.ideal), reach.share * 100.0);
    writeln!(out, "\nThe limit is {ideal} {unit}{of}; the service reaches {share:.0} % of it.").unwrap();
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
