//! What the figures mean for who uses the service, ahead of all tables.

use std::fmt::Write;

use super::{Report, number};

/// Of each gain: what it is, the part and the case that show it, and the words about these figures.
type Gain = (&'static str, &'static str, &'static str, &'static [&'static str], fn(&[String]) -> String);

const GAINS: [Gain; 5] = [
    ("a result reaches its page", "Paced", "ours", &["p50_ms", "p99_ms"], |of| {
        format!(
            "{} ms after it is published (median; 99 of 100 within {} ms), stored first, at 2,000 results a second",
            of[0], of[1]
        )
    }),
    ("a waiting page costs", "Memory", "ours", &["kib_a_page"], |of| format!("{} KiB", of[0])),
    ("after an outage", "Backlog", "ours", &["events_per_s"], |of| {
        format!("{} results a second are stored and acknowledged", of[0])
    }),
    ("visits: connect, wait, result, close", "Sessions, 200", "ours", &["sessions_per_s"], |of| {
        format!("{} a second", of[0])
    }),
    ("polls, where nothing else works", "Polls", "one order", &["requests_per_s"], |of| format!("{} a second", of[0])),
];

pub(super) fn write(report: &Report<'_>, out: &mut String) {
    let machine = report.machine.facts.iter().find(|(what, _)| *what == "machine");
    let machine = machine.map_or_else(String::new, |(_, value)| format!(" on one machine ({value})"));
    writeln!(out, "What a user gains, from one run of `{}`{machine}:\n", report.machine.command).unwrap();
    out.push_str("| | |\n|---|---|\n");
    for (gain, title, label, figures, words) in GAINS {
        let Some(part) = report.parts.iter().position(|part| part.title.starts_with(title)) else { continue };
        let Some(case) = report.parts[part].case(label) else { continue };
        let figures: Vec<String> = figures.iter().map(|figure| number(report.median(part, case, figure))).collect();
        writeln!(out, "| {gain} | {} |", words(&figures)).unwrap();
    }
    let bars = report.parts.iter().enumerate().flat_map(|(part, of)| of.bars.iter().map(move |bar| (part, bar)));
    let verdicts: Vec<Option<bool>> = bars.map(|(part, bar)| report.verdict(part, bar).met).collect();
    let count = |what| verdicts.iter().filter(|met| **met == what).count();
    let (all, met) = (verdicts.len(), count(Some(true)));
    let unmeasured = match count(None) {
        0 => String::new(),
        some => format!(" and {some} could not be measured"),
    };
    writeln!(
        out,
        "\nOf the {all} bars that we set ourselves {met} are met{unmeasured}; [the ratios](#ratios) say which are not."
    )
    .unwrap();
}
