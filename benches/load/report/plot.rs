//! The figures as bars, one panel a part, readable on light and on dark.

use std::fmt::Write;

use super::{Report, number};

const WIDTH: f64 = 880.0;
const LABELS: f64 = 150.0;
const VALUES: f64 = 120.0;
const BAR: f64 = 16.0;
const GAP: f64 = 6.0;
const HEAD: f64 = 34.0;
const MARGIN: f64 = 20.0;

const STYLE: &str = "
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; }
    .ground { fill: #ffffff; }
    .ours { fill: #0969da; }
    .other { fill: #8c959f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .ground { fill: #0d1117; }
      .ours { fill: #4493f8; }
      .other { fill: #656d76; }
    }
";

pub(super) fn svg(report: &Report<'_>) -> String {
    let heights = report.parts.iter().map(|part| HEAD + part.cases.len() as f64 * (BAR + GAP) + GAP);
    let height = heights.sum::<f64>() + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"The figures of the tables as bars\">\n  <style>{STYLE}  </style>\n  \
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n"
    );
    let mut y = MARGIN;
    for index in 0..report.parts.len() {
        y = panel(report, index, y, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

/// Draws one part from `y` down; where the next begins.
fn panel(report: &Report<'_>, index: usize, mut y: f64, out: &mut String) -> f64 {
    let part = &report.parts[index];
    let values: Vec<f64> = (0..part.cases.len()).map(|case| report.median(index, case, part.figure.0)).collect();
    let greatest = values.iter().copied().fold(0.0, f64::max);
    let better = if part.more_is_better() { "more is better" } else { "less is better" };
    let title = escaped(&format!("{} ({}, {better})", part.title, part.figure.1));
    writeln!(out, "  <text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{title}</text>", y + 16.0).unwrap();
    y += HEAD - GAP;
    let all_ours = part.cases.iter().all(|case| case.kind == part.cases[0].kind);
    for (case, value) in part.cases.iter().zip(values) {
        // One pixel for what was not measured: the greater of it and no number is it.
        let length = (value / greatest * (WIDTH - 2.0 * MARGIN - LABELS - VALUES)).max(1.0);
        let class = if case.label.starts_with("ours") || all_ours { "ours" } else { "other" };
        let (left, text) = (MARGIN + LABELS, y + BAR - 3.0);
        writeln!(
            out,
            "  <text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{}</text>\n  \
             <rect class=\"{class}\" x=\"{left:.0}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\n  \
             <text x=\"{:.1}\" y=\"{text:.0}\">{}</text>",
            left - 8.0,
            escaped(case.label),
            left + length + 6.0,
            number(value)
        )
        .unwrap();
        y += BAR + GAP;
    }
    y + 2.0 * GAP
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
