//! Reads `candidate<TAB>measure<TAB>p50<TAB>p99<TAB>per second` lines of several rounds and prints, for each measure
//! and candidate, the median round with the lowest and the highest beside it.

use std::io::{BufRead, stdin};

fn main() {
    let mut rows: Vec<((String, String), [Vec<f64>; 3])> = Vec::new();
    for line in stdin().lock().lines().map(|line| line.expect("a line")) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [candidate, measure, values @ ..] = fields.as_slice() else { continue };
        let name = ((*measure).to_owned(), (*candidate).to_owned());
        let at = rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            rows.push((name, Default::default()));
            rows.len() - 1
        });
        for (column, value) in rows[at].1.iter_mut().zip(values) {
            column.push(value.parse().expect("a number"));
        }
    }
    let order: Vec<String> = rows.iter().map(|((measure, _), _)| measure.clone()).collect();
    rows.sort_by_key(|((measure, _), _)| order.iter().position(|known| known == measure));
    println!("| measure | candidate | p50, µs | p99, µs | a second |");
    println!("|---|---|---|---|---|");
    for ((measure, candidate), mut columns) in rows {
        let cells: Vec<String> = columns
            .iter_mut()
            .map(|rounds| {
                rounds.sort_by(f64::total_cmp);
                format!("{:.0} ({:.0}-{:.0})", rounds[rounds.len() / 2], rounds[0], rounds[rounds.len() - 1])
            })
            .collect();
        println!("| {measure} | {candidate} | {} |", cells.join(" | "));
    }
}
