//! An order's timeline as a picture: time runs down, one lane for each kind of thing, one row for each entry.
//!
//! It runs down and not across, so that a phone shows it at the size it was drawn for. Each mark has a shape and a word of
//! its own; colour only repeats them.

use maud::{Markup, html};

use crate::operators::entries::{EntryText, since};
use crate::operators::words::{Mark, TimelineWords};

/// The latest entries that are drawn. The table has them all.
const DRAWN_MAX: usize = 60;
const WIDTH: u32 = 332;
const TOP: u32 = 34;
const ROW: u32 = 28;
/// A pause that is worth a gap, and how much room it gets whatever its length.
const PAUSE_MS: i64 = 1000;
const GAP: u32 = 20;
const AXIS: u32 = 72;
/// The radius of a line's corners.
const BEND: u32 = 6;
/// Where the lanes stand, in the order of [`TimelineWords::lanes`].
const LANES: [u32; 4] = [86, 148, 204, 260];

struct Row<'a> {
    y: u32,
    at_ms: i64,
    entry: &'a EntryText,
}

/// The picture of these entries: when, by whom, what.
pub(super) fn picture(entries: &[(i64, &str, EntryText)], words: &TimelineWords) -> Markup {
    let first_ms = entries.first().map_or(0, |(at_ms, ..)| *at_ms);
    let drawn = &entries[entries.len().saturating_sub(DRAWN_MAX)..];
    let rows = rows(drawn);
    let height = rows.last().map_or(TOP, |row| row.y) + 24;
    html! {
        svg.timeline viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby="timeline-title timeline-desc" {
            title #timeline-title { (words.title) }
            desc #timeline-desc { (described(&rows, first_ms)) }
            @for (name, x) in words.lanes.into_iter().zip(LANES) {
                text.lane x=(x) y="14" text-anchor="middle" { (name) }
                line.lane x1=(x) x2=(x) y1="22" y2=(height - 8) {}
            }
            @for (before, row) in rows.iter().zip(rows.iter().skip(1)) {
                @if row.at_ms - before.at_ms >= PAUSE_MS {
                    @let y = row.y - (ROW + GAP) / 2;
                    line.pause x1="12" x2=(WIDTH - 12) y1=(y) y2=(y) {}
                }
            }
            @for row in &rows { (thread(row, &rows)) }
            @for row in &rows { (drawing(row, first_ms, words)) }
        }
        figcaption {
            (words.caption)
            @if entries.len() > DRAWN_MAX { ((words.latest_of)(DRAWN_MAX, entries.len())) }
        }
    }
}

fn rows<'a>(entries: &'a [(i64, &str, EntryText)]) -> Vec<Row<'a>> {
    let (mut y, mut last_ms) = (TOP + ROW / 2 - ROW, None);
    let row = |(at_ms, _, entry): &'a (i64, &str, EntryText)| {
        y += ROW + if last_ms.is_some_and(|last_ms| at_ms - last_ms >= PAUSE_MS) { GAP } else { 0 };
        last_ms = Some(*at_ms);
        Row { y, at_ms: *at_ms, entry }
    };
    entries.iter().map(row).collect()
}

fn lane(mark: Mark) -> u32 {
    let lane = match mark {
        Mark::Applied | Mark::Duplicate | Mark::Stale | Mark::Refused | Mark::Other => 0,
        Mark::Watched | Mark::Pushed => 1,
        Mark::Acknowledged => 2,
        Mark::Conflict | Mark::PaidTwice | Mark::Undelivered | Mark::Inquired => 3,
    };
    LANES[lane]
}

/// A line from what brought a version to what was done with it: across below its row, where no word stands, and down the lane.
fn thread(row: &Row<'_>, rows: &[Row<'_>]) -> Markup {
    let from = match row.entry.mark {
        Mark::Pushed => Mark::Applied,
        Mark::Acknowledged => Mark::Pushed,
        _ => return html! {},
    };
    let is_origin =
        |other: &&Row<'_>| other.y < row.y && other.entry.mark == from && other.entry.version == row.entry.version;
    let Some(origin) = rows.iter().rev().find(is_origin) else { return html! {} };
    let (x1, x2) = (lane(from), lane(row.entry.mark));
    let (from, across, to) = (origin.y, origin.y + ROW / 2, row.y);
    let (before, after) = (across - BEND, across + BEND);
    let d = format!(
        "M{x1} {from} V{before} Q{x1} {across} {} {across} H{} Q{x2} {across} {x2} {after} V{to}",
        x1 + BEND,
        x2 - BEND
    );
    html! { path.thread d=(d) {} }
}

fn drawing(row: &Row<'_>, first_ms: i64, words: &TimelineWords) -> Markup {
    let (x, y, mark) = (lane(row.entry.mark), row.y, row.entry.mark);
    html! {
        text.axis x=(AXIS) y=(y + 4) text-anchor="end" { (since(row.at_ms.saturating_sub(first_ms))) }
        g class=(format!("mark {}", class(mark))) {
            title { (row.entry.label) ": " (row.entry.text) }
            (shape(mark, x, y))
            text x=(x + 10) y=(y + 4) { (word(row.entry, words)) }
        }
    }
}

fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Applied => "applied",
        Mark::Duplicate | Mark::Stale | Mark::Watched | Mark::Other => "idle",
        Mark::Refused | Mark::Conflict | Mark::PaidTwice | Mark::Undelivered => "alarming",
        Mark::Inquired => "asking",
        Mark::Pushed => "pushed",
        Mark::Acknowledged => "shown",
    }
}

fn word(entry: &EntryText, words: &TimelineWords) -> String {
    match entry.mark {
        Mark::Applied | Mark::Pushed | Mark::Acknowledged => {
            entry.version.map(|version| format!("v{version}")).unwrap_or_default()
        }
        mark => (words.mark)(mark).to_owned(),
    }
}

fn shape(mark: Mark, x: u32, y: u32) -> Markup {
    let sign = |sign: &str| html! { text.sign x=(x) y=(y + 4) text-anchor="middle" { (sign) } };
    let at = |path: &str| format!("M{x} {y} {path}");
    match mark {
        Mark::Applied => html! { circle.full cx=(x) cy=(y) r="6" {} },
        Mark::Duplicate => html! { circle cx=(x - 2) cy=(y) r="5" {} circle cx=(x + 2) cy=(y) r="5" {} },
        Mark::Stale => html! { path d=(at("m-6 -5 h12 l-6 11 z")) {} },
        Mark::Refused => html! { path d=(at("m-6 -6 h12 v12 h-12 z m2 2 l8 8 m0 -8 l-8 8")) {} },
        Mark::Conflict => html! { path.full d=(at("m0 -9 l9 9 l-9 9 l-9 -9 z")) {} (sign("!")) },
        Mark::PaidTwice => html! { path.full d=(at("m-8 -8 h16 v16 h-16 z")) {} (sign("2×")) },
        Mark::Watched => html! { circle.dotted cx=(x) cy=(y) r="5" {} },
        Mark::Pushed => html! { path.full d=(at("m-5 -6 l11 6 l-11 6 z")) {} },
        Mark::Acknowledged => {
            html! { circle.full cx=(x) cy=(y) r="7" {} path.tick d=(at("m-3.5 0 l2.5 3 l4.5 -5.5")) {} }
        }
        Mark::Undelivered => html! { path.full d=(at("m0 -9 l9 16 h-18 z")) {} (sign("!")) },
        Mark::Inquired => html! { circle cx=(x) cy=(y) r="7" {} (sign("?")) },
        Mark::Other => html! { circle cx=(x) cy=(y) r="3" {} },
    }
}

/// The same in sentences, for who cannot see it.
fn described(rows: &[Row<'_>], first_ms: i64) -> String {
    let sentence = |row: &Row<'_>| {
        format!("{}: {}, {}.", since(row.at_ms.saturating_sub(first_ms)), row.entry.label, row.entry.text)
    };
    rows.iter().map(sentence).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operators::entries::entry_text;
    use crate::operators::words::ENGLISH;

    fn entries() -> Vec<(i64, &'static str, EntryText)> {
        [
            (1_000, json!({ "type": "arrived", "event_id": "<e&1>", "outcome": "applied", "version": 1 })),
            (1_002, json!({ "type": "pushed", "transport": "sse", "connection": 1, "version": 1, "ms": 2 })),
            (61_002, json!({ "type": "undelivered", "version": 1 })),
        ]
        .map(|(at_ms, what)| (at_ms, "n", entry_text(what.as_object().unwrap(), &ENGLISH.timeline)))
        .into()
    }

    #[test]
    fn marks_stand_in_their_lanes_and_what_others_wrote_is_escaped() {
        let drawn = picture(&entries(), &ENGLISH.timeline).into_string();
        assert!(drawn.contains("&lt;e&amp;1&gt;") && !drawn.contains("<e&1>"), "{drawn}");
        assert_eq!(drawn.matches("class=\"pause\"").count(), 1, "{drawn}");
        assert_eq!(drawn.matches("class=\"thread\"").count(), 1, "{drawn}");
        assert!(drawn.contains("+60.0 s") && drawn.contains("escalated"), "{drawn}");
    }

    #[test]
    fn a_long_timeline_is_drawn_from_its_end() {
        let long: Vec<_> = (0..200).flat_map(|_| entries()).collect();
        let drawn = picture(&long, &ENGLISH.timeline).into_string();
        assert_eq!(drawn.matches("<g ").count(), DRAWN_MAX);
        assert!(drawn.contains("The latest 60 of 600 entries"), "{drawn}");
    }
}
