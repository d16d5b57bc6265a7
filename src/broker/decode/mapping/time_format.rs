//! The form of a time: Java's letters (`yyyy-MM-dd HH:mm:ss`) or those of strftime (`%Y-%m-%d %H:%M:%S`).

use std::fmt;

use super::zones::{self, Zone};

const FORMAT_BYTES_MAX: usize = 64;
const FRACTION_DIGITS_MAX: usize = 9;
/// What a time is made of beside its fraction and its offset, with the digits of each.
const PARTS: [(Part, usize); 6] =
    [(Part::Year, 4), (Part::Month, 2), (Part::Day, 2), (Part::Hour, 2), (Part::Minute, 2), (Part::Second, 2)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(char),
    Digits(Part),
    /// So many digits behind the point.
    Fraction(usize, usize),
    Offset,
}

/// A form that a time must have.
#[derive(Debug, Clone)]
pub(super) struct TimeFormat {
    written: Box<str>,
    items: Vec<Item>,
}

impl TimeFormat {
    /// Reads the form: by strftime where it holds a `%`.
    ///
    /// # Errors
    /// A clause that goes after `time_format`.
    pub(super) fn new(format: &str) -> Result<Self, String> {
        if format.len() > FORMAT_BYTES_MAX {
            return Err(format!("must be at most {FORMAT_BYTES_MAX} bytes"));
        }
        let items = if format.contains('%') { of_strftime(format)? } else { of_java(format)? };
        let count = |wanted: Item| items.iter().filter(|item| **item == wanted).count();
        for (part, _) in PARTS {
            match count(Item::Digits(part)) {
                0 if part != Part::Second => {
                    return Err(
                        "must have year, month, day, hour and minute: yyyy MM dd HH mm, or %Y %m %d %H %M".into()
                    );
                }
                0 | 1 => {}
                _ => return Err(format!("has its {part:?} twice").to_lowercase()),
            }
        }
        Ok(Self { written: format.into(), items })
    }

    pub(super) fn has_offset(&self) -> bool {
        self.items.contains(&Item::Offset)
    }

    /// The text as RFC 3339, in `zone` where the form has no offset. Whether the numbers are those of a day is not looked at.
    /// Not set where the text has another form.
    pub(super) fn rfc3339(&self, text: &str, zone: Option<&Zone>) -> Option<String> {
        let mut parts = ["", "", "", "", "", "00"];
        let (mut fraction, mut own_offset) = ("", None);
        let mut rest = text;
        for item in &self.items {
            match *item {
                Item::Literal(literal) => rest = rest.strip_prefix(literal)?,
                Item::Digits(part) => {
                    let (index, (_, digits)) = PARTS.into_iter().enumerate().find(|(_, (known, _))| *known == part)?;
                    parts[index] = take_digits(&mut rest, digits, digits)?;
                }
                Item::Fraction(least, most) => fraction = take_digits(&mut rest, least, most)?,
                Item::Offset => {
                    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | ':' | 'Z'));
                    let (written, after) = rest.split_at(end.unwrap_or(rest.len()));
                    own_offset = Some(zones::of_digits(written)?);
                    rest = after;
                }
            }
        }
        let [year, month, day, hour, minute, second] = parts;
        let point = if fraction.is_empty() { "" } else { "." };
        if !rest.is_empty() {
            return None;
        }
        let local = format!("{year}-{month}-{day}T{hour}:{minute}:{second}{point}{fraction}");
        match own_offset {
            Some(offset) => Some(format!("{local}{offset}")),
            None => zone?.rfc3339(&local),
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn take_digits<'a>(rest: &mut &'a str, least: usize, most: usize) -> Option<&'a str> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(count);
    *rest = after;
    (count >= least).then_some(digits)
}

fn of_strftime(format: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            items.push(Item::Literal(character));
            continue;
        }
        let digits = Item::Digits;
        match rest.next() {
            Some('Y') => items.push(digits(Part::Year)),
            Some('m') => items.push(digits(Part::Month)),
            Some('d') => items.push(digits(Part::Day)),
            Some('H') => items.push(digits(Part::Hour)),
            Some('M') => items.push(digits(Part::Minute)),
            Some('S') => items.push(digits(Part::Second)),
            Some('f') => items.push(Item::Fraction(1, FRACTION_DIGITS_MAX)),
            Some('z') => items.push(Item::Offset),
            Some('%') => items.push(Item::Literal('%')),
            Some('F') => items.extend([
                digits(Part::Year),
                Item::Literal('-'),
                digits(Part::Month),
                Item::Literal('-'),
                digits(Part::Day),
            ]),
            Some('T') => items.extend([
                digits(Part::Hour),
                Item::Literal(':'),
                digits(Part::Minute),
                Item::Literal(':'),
                digits(Part::Second),
            ]),
            other => {
                let written = other.map(String::from).unwrap_or_default();
                return Err(format!("has %{written}: known are %Y %m %d %H %M %S %f %z %F %T"));
            }
        }
    }
    Ok(items)
}

fn of_java(format: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|c| *c == first).count();
        let item = match (first, run) {
            ('\'', 2) => Item::Literal('\''),
            ('\'', _) => {
                let (quoted, after) = rest[1..].split_once('\'').ok_or("has a ' that is not closed")?;
                items.extend(quoted.chars().map(Item::Literal));
                rest = after;
                continue;
            }
            ('y' | 'u', 4) => Item::Digits(Part::Year),
            ('M', 2) => Item::Digits(Part::Month),
            ('d', 2) => Item::Digits(Part::Day),
            ('H', 2) => Item::Digits(Part::Hour),
            ('m', 2) => Item::Digits(Part::Minute),
            ('s', 2) => Item::Digits(Part::Second),
            ('S', 1..=FRACTION_DIGITS_MAX) => Item::Fraction(run, run),
            ('X' | 'x', 1..=3) | ('Z', 1) => Item::Offset,
            (letter, _) if letter.is_ascii_alphabetic() => {
                let letters = letter.to_string().repeat(run);
                return Err(format!("has {letters}: known are yyyy MM dd HH mm ss S X, and 'text'"));
            }
            (literal, _) => {
                items.push(Item::Literal(literal));
                rest = &rest[literal.len_utf8()..];
                continue;
            }
        };
        items.push(item);
        rest = &rest[run * first.len_utf8()..];
    }
    Ok(items)
}
