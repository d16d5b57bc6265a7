//! What did not go as it should have: a peer that could not be run, failed, or lost events.

use super::Report;
use crate::works::losses::{LOST, MISDIRECTED, PUBLISHED, REPEATED};

/// One line for a case, of all its rounds. Empty if nothing is to be said.
pub(super) fn of(report: &Report<'_>, part: usize, case: usize) -> String {
    let sum = |figure| report.values(part, case, figure).into_values().sum::<f64>();
    let published = whole(sum(PUBLISHED));
    let counted = [(LOST, "lost"), (REPEATED, "twice"), (MISDIRECTED, "to another page")].map(|(figure, word)| {
        let count = sum(figure);
        (count > 0.0).then(|| format!("{word} {} of {published}", whole(count)))
    });
    let of_case = report.samples.iter().filter(|sample| (sample.part, sample.case) == (part, case));
    let failed = of_case.filter_map(|sample| sample.figures.as_ref().err());
    let all = counted.into_iter().flatten().chain(failed.map(|text| text.replace('|', "/")));
    all.collect::<Vec<_>>().join("; ")
}

fn whole(count: f64) -> String {
    crate::suite::thousands(count as u32)
}
