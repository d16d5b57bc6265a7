//! What `dead-letters` says: a table and sentences for people, or one JSON object a line.
//!
//! Texts of others are shown without control characters, which a terminal would obey.

use std::io::{Write, stdout};

use serde_json::Value;

use crate::broker::dead_letters::{DeadLetter, HELD_MAX, Look, Seen};
use crate::cli::failure::Failure;
use crate::cli::plain::{plain, without_controls};
use crate::runtime::unix_ms;

/// The limit of RabbitMQ 4 for queues that name none, and when a look should say so.
const USUAL_DELIVERY_LIMIT: i64 = 20;
const DELIVERY_COUNT_WARNED: i64 = 15;
const HEADINGS: [&str; 7] = ["ID", "AGE", "REASON", "REPLAYS", "ORDER", "ROUTING KEY", "BYTES"];

pub(super) struct Printer {
    json: bool,
    now_ms: i64,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, now_ms: unix_ms() }
    }

    /// The table, or the objects.
    pub(super) fn list(&self, look: &Look) -> Result<(), Failure> {
        let letters = || look.found.iter().map(|found| &found.dead_letter);
        self.warn_of_looks(letters());
        let mut out = stdout().lock();
        if self.json {
            for letter in letters() {
                writeln!(out, "{}", letter.object(self.now_ms))?;
            }
            return Ok(());
        }
        let rows: Vec<_> = letters().map(|letter| self.row(letter)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEADINGS[column].len()]).max().unwrap_or(0)
        };
        let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
        let headings = HEADINGS.map(str::to_owned);
        for (row, error) in
            std::iter::once((&headings, "ERROR")).chain(rows.iter().zip(letters().map(|letter| letter.error.as_str())))
        {
            for (cell, width) in row.iter().zip(widths) {
                write!(out, "{cell:width$}  ")?;
            }
            writeln!(out, "{}", plain(error))?;
        }
        Ok(())
    }

    fn row(&self, letter: &DeadLetter) -> [String; HEADINGS.len()] {
        [
            letter.id.clone(),
            letter.age_s(self.now_ms).map_or_else(|| "?".to_owned(), age),
            plain(&letter.reason),
            letter.replays.to_string(),
            letter.order_id.as_deref().map_or_else(|| "-".to_owned(), plain),
            plain(&letter.routing_key),
            letter.body_bytes.to_string(),
        ]
    }

    /// All about each.
    pub(super) fn show(&self, look: &Look, with_body: bool) -> Result<(), Failure> {
        self.warn_of_looks(look.found.iter().map(|found| &found.dead_letter));
        let mut out = stdout().lock();
        for found in &look.found {
            let (mut object, details) = (found.dead_letter.object(self.now_ms), found.details(with_body));
            if self.json {
                for (name, value) in details.as_object().into_iter().flatten() {
                    object[name] = value.clone();
                }
                writeln!(out, "{object}")?;
                continue;
            }
            for (name, value) in object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
                writeln!(out, "{name:18} {}", shown(value))?;
            }
            for part in ["properties", "headers"] {
                writeln!(out, "{part}")?;
                for (name, value) in details[part].as_object().into_iter().flatten() {
                    writeln!(out, "  {:26} {}", plain(name), shown(value))?;
                }
            }
            for part in ["body", "body_base64"] {
                if let Some(body) = details[part].as_str() {
                    writeln!(out, "{part}\n{}", without_controls(body, &['\n', '\t']))?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// What was done, or would be, with one dead letter.
    pub(super) fn step(&self, word: &str, letter: &DeadLetter, why: Option<&str>) -> Result<(), Failure> {
        let mut out = stdout().lock();
        if self.json {
            let mut object = letter.object(self.now_ms);
            object["outcome"] = word.replace(' ', "_").into();
            object["why"] = why.into();
            writeln!(out, "{object}")?;
            return Ok(());
        }
        let order = letter.order_id.as_deref().map(|order| format!(" of order {}", plain(order))).unwrap_or_default();
        let why = why.map(|why| format!(": {}", plain(why))).unwrap_or_default();
        writeln!(out, "{word} {} ({}){order}{why}", letter.id, plain(&letter.reason))?;
        Ok(())
    }

    /// The last line, with what was not looked at.
    pub(super) fn summary(&self, sentence: &str, seen: &Seen) -> Result<(), Failure> {
        let Seen { looked_at, in_queue, missing, left_out } = *seen;
        if looked_at >= HELD_MAX && in_queue > looked_at {
            self.note(&format!("only the first {looked_at} of {in_queue} messages were read: a command holds no more"));
        }
        if missing > 0 {
            self.note(&format!("{missing} messages of the queue were not delivered: another consumer holds them"));
        }
        if left_out > 0 {
            self.note(&format!(
                "{left_out} more are selected, but together they are larger than a command holds: use --id or --limit"
            ));
        }
        if self.json {
            return Ok(());
        }
        writeln!(stdout().lock(), "{sentence}")?;
        Ok(())
    }

    /// Something to know, beside the answer.
    pub(super) fn note(&self, sentence: &str) {
        eprintln!("note: {sentence}");
    }

    /// Beyond the usual limit the queue's own is proved to be higher.
    fn warn_of_looks<'a>(&self, letters: impl Iterator<Item = &'a DeadLetter>) {
        let most = letters.map(|letter| letter.delivery_count).max().unwrap_or(0);
        if (DELIVERY_COUNT_WARNED..=USUAL_DELIVERY_LIMIT).contains(&most) {
            self.note(&format!(
                "messages have been returned up to {most} times; unless the queue has a delivery limit of its own, \
                 RabbitMQ 4 drops them after {USUAL_DELIVERY_LIMIT} (docs/operations/dead-letters.md)"
            ));
        }
    }
}

/// `45s`, `12m`, `3h`, `8d`.
fn age(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}
