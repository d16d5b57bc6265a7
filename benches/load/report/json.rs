//! Every sample as it was taken, for programs.

use serde_json::{Value, json};

use super::Report;

pub(super) fn text(report: &Report<'_>) -> String {
    let part = |index: usize| {
        let part = &report.parts[index];
        let case = |case: usize| {
            let of_case = report.samples.iter().filter(|sample| (sample.part, sample.case) == (index, case));
            let rounds: Vec<Value> = of_case
                .map(|sample| match &sample.figures {
                    Ok(figures) => json!(figures),
                    Err(text) => json!({ "error": text }),
                })
                .collect();
            json!({ "label": part.cases[case].label, "rounds": rounds })
        };
        let bars = part.bars.iter().map(|bar| {
            let verdict = report.verdict(index, bar);
            json!({
                "figure": bar.figure.0, "of": bar.of, "against": bar.by, "value": verdict.value, "met": verdict.met,
            })
        });
        json!({
            "title": part.title,
            "figure": part.figure.0,
            "limit": report.reach(index).map(|reach| json!({ "value": reach.ideal, "share": reach.share })),
            "cases": (0..part.cases.len()).map(case).collect::<Vec<_>>(),
            "bars": bars.collect::<Vec<_>>(),
        })
    };
    let machine = &report.machine;
    let whole = json!({
        "date": machine.date,
        "command": machine.command,
        "machine": machine.facts.iter().map(|(what, value)| json!({ "what": what, "value": value })).collect::<Vec<_>>(),
        "rounds": report.rounds,
        "parts": (0..report.parts.len()).map(part).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&whole).unwrap() + "\n"
}
