//! What the samples come to: medians, ratios, a table, a plot, and the figures as they were taken.

mod gains;
mod json;
mod machine;
mod plot;
mod remarks;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use super::measure::median;
use super::suite::{Bar, Ideal, Limit, Part, Sample};

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
    /// Not set: what it is about was not measured.
    pub(crate) met: Option<bool>,
}

/// What a service of no cost would reach, and the service's share of it.
struct Reach {
    ideal: f64,
    share: f64,
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

    /// The figure of each round in which it was measured.
    fn values(&self, part: usize, case: usize, figure: &str) -> BTreeMap<u32, f64> {
        let of_case = self.samples.iter().filter(|sample| (sample.part, sample.case) == (part, case));
        let value = |sample: &Sample| Some((sample.round, *sample.figures.as_ref().ok()?.get(figure)?));
        of_case.filter_map(value).collect()
    }

    fn median(&self, part: usize, case: usize, figure: &str) -> f64 {
        median(self.values(part, case, figure).into_values().collect())
    }

    /// The median of the rounds' ratios: what disturbs a round disturbs both of its sides.
    fn ratio(&self, part: usize, of: usize, by: usize, figure: &str) -> f64 {
        let (of, by) = (self.values(part, of, figure), self.values(part, by, figure));
        median(of.iter().filter_map(|(round, of)| Some(of / by.get(round)?)).collect())
    }

    fn verdict(&self, part: usize, bar: &Bar) -> Verdict {
        let case = |label| self.parts[part].case(label).unwrap();
        let value = match bar.by {
            Some(by) => self.ratio(part, case(bar.of), case(by), bar.figure.0),
            None => self.median(part, case(bar.of), bar.figure.0),
        };
        let met = match bar.limit {
            Limit::AtLeast(limit) => value >= limit,
            Limit::AtMost(limit) => value <= limit,
        };
        Verdict { value, met: (!value.is_nan()).then_some(met) }
    }

    fn reach(&self, part: usize) -> Option<Reach> {
        let ours = self.parts[part].case("ours")?;
        let figure = self.parts[part].figure.0;
        let of_ours = self.values(part, ours, figure);
        let ideals: BTreeMap<u32, f64> = match self.parts[part].ideal? {
            Ideal::Rate => {
                let (broker, load) = (self.values(part, ours, "broker_cpu_us"), self.values(part, ours, "load_cpu_us"));
                let all_cores_us = self.machine.cores * 1e6;
                let of_round =
                    |(round, broker): (&u32, &f64)| Some((*round, all_cores_us / (broker + load.get(round)?)));
                broker.iter().filter_map(of_round).collect()
            }
            Ideal::LatencyOf(label) => self.values(part, self.parts[part].case(label)?, figure),
        };
        let share = |(round, ours): (&u32, &f64)| {
            let ideal = ideals.get(round)?;
            Some(if self.parts[part].more_is_better() { ours / ideal } else { ideal / ours })
        };
        let share = median(of_ours.iter().filter_map(share).collect());
        Some(Reach { ideal: median(ideals.into_values().collect()), share })
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
