//! What the samples come to: medians, ratios, a table, a plot, and the figures as they were taken.

mod gains;
mod json;
mod machine;
mod plot;
mod table;

use std::path::Path;

use super::measure::median;
use super::suite::{Bar, Limit, Part, Sample};

pub(crate) use machine::Machine;

/// All samples of a run.
pub(crate) struct Report<'r> {
    pub(crate) parts: &'r [Part],
    pub(crate) samples: &'r [Sample],
    pub(crate) rounds: u32,
    pub(crate) machine: Machine,
}

/// Whether a bar is met, and by which value.
pub(crate) struct Verdict {
    pub(crate) value: f64,
    pub(crate) met: bool,
}

impl Report<'_> {
    /// The table for people.
    pub(crate) fn text(&self) -> String {
        table::text(self)
    }

    /// Writes README.md, results.json and plot.svg.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("README.md"), table::page(self)).unwrap();
        std::fs::write(folder.join("results.json"), json::text(self)).unwrap();
        std::fs::write(folder.join("plot.svg"), plot::svg(self)).unwrap();
    }

    /// The figure of each round, in the rounds' order.
    fn values(&self, part: usize, case: usize, figure: &str) -> Vec<f64> {
        let of_case = self.samples.iter().filter(|sample| (sample.part, sample.case) == (part, case));
        of_case.filter_map(|sample| sample.figures.get(figure).copied()).collect()
    }

    fn median(&self, part: usize, case: usize, figure: &str) -> f64 {
        median(self.values(part, case, figure))
    }

    /// The median of the rounds' ratios: what disturbs a round disturbs both of its sides.
    fn ratio(&self, part: usize, of: usize, by: usize) -> f64 {
        let figure = self.parts[part].figure;
        let pairs = self.values(part, of, figure).into_iter().zip(self.values(part, by, figure));
        median(pairs.map(|(of, by)| of / by).collect())
    }

    fn verdict(&self, part: usize, bar: &Bar) -> Verdict {
        let case = |label| self.parts[part].cases.iter().position(|case| case.label == label).unwrap();
        let value = match bar.by {
            Some(by) => self.ratio(part, case(bar.of), case(by)),
            None => self.median(part, case(bar.of), self.parts[part].figure),
        };
        let met = match bar.limit {
            Limit::AtLeast(limit) => value >= limit,
            Limit::AtMost(limit) => value <= limit,
        };
        Verdict { value, met }
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "–".to_owned(),
        v if v >= 1_000.0 => super::suite::thousands(v.round() as u32),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}
