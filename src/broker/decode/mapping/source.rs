//! Where a field's value comes from.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::json;
use super::super::reject::Reject;
use super::pointers::{NO_POINTER, Pointers, Values};

/// A JSON pointer, or `=text`.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Constant(Box<str>),
    At { slot: usize, pointer: Box<str> },
}

impl Source {
    /// Not set for an empty text.
    ///
    /// # Errors
    /// A clause that goes after the name of the key.
    pub(super) fn new(written: &str, pointers: &mut Pointers) -> Result<Option<Self>, String> {
        match written.strip_prefix('=') {
            _ if written.is_empty() => Ok(None),
            Some("") => Err("has no text after =".to_owned()),
            Some(text) => Ok(Some(Self::Constant(text.into()))),
            None if !written.starts_with('/') => Err(format!("{NO_POINTER}, or = and a constant text")),
            None => Ok(Some(Self::At { slot: pointers.slot(written)?, pointer: written.into() })),
        }
    }

    /// Where it leads, for a pointer.
    pub(super) fn pointer(&self) -> Option<&str> {
        match self {
            Self::Constant(_) => None,
            Self::At { pointer, .. } => Some(pointer),
        }
    }

    /// As it is written in the settings, where it gives a value of this body.
    pub(super) fn origin(&self, values: &Values<'_, '_>) -> Option<String> {
        match self {
            Self::Constant(text) => Some(format!("={text}")),
            Self::At { pointer, .. } => self.json(values).map(|_value| pointer.to_string()),
        }
    }

    /// The field with the place of its value, for an error.
    pub(super) fn named(&self, field: &str) -> String {
        self.pointer().map_or_else(|| field.to_owned(), |pointer| format!("{field} (at {pointer})"))
    }

    /// The value as JSON. Not set for a constant, and where it is absent, `null` or an empty text.
    pub(super) fn json<'a>(&self, values: &Values<'_, 'a>) -> Option<&'a RawValue> {
        match self {
            Self::Constant(_) => None,
            Self::At { slot, .. } => values.at(*slot).filter(|raw| !matches!(raw.get(), "null" | "\"\"")),
        }
    }

    /// A text, or a number or a boolean as it is written.
    ///
    /// # Errors
    /// `malformed_field` for an object or an array.
    pub(super) fn scalar<'a>(&'a self, values: &Values<'_, 'a>, field: &str) -> Result<Option<Cow<'a, str>>, Reject> {
        if let Self::Constant(text) = self {
            return Ok(Some(Cow::Borrowed(text)));
        }
        match self.json(values) {
            None => Ok(None),
            Some(raw) if raw.get().starts_with('"') => {
                json::text(Some(raw), field).map_err(|_not_text| self.malformed(field, "must be Unicode characters"))
            }
            Some(raw) if raw.get().starts_with(['{', '[']) => Err(self.malformed(field, "must be a text or a number")),
            Some(raw) => Ok(Some(Cow::Borrowed(raw.get()))),
        }
    }

    /// The same, but for numbers that are not whole: as a name each of their ways of writing would be another. And not
    /// for booleans: PHP's `false`, for what was not found, would be one name for all.
    ///
    /// # Errors
    /// `malformed_field`.
    pub(super) fn text<'a>(&'a self, values: &Values<'_, 'a>, field: &str) -> Result<Option<Cow<'a, str>>, Reject> {
        let is_other = |json: &str| match json.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') => json.contains(['.', 'e', 'E']),
            first => matches!(first, Some(b't' | b'f')),
        };
        match self.json(values) {
            Some(raw) if is_other(raw.get()) => Err(self.malformed(field, "must be a text or a whole number")),
            _ => self.scalar(values, field),
        }
    }

    pub(super) fn malformed(&self, field: &str, rule: impl std::fmt::Display) -> Reject {
        Reject::malformed(&self.named(field), rule)
    }
}

/// The text by which a value of a body is compared. Not set for an object, an array and `null`.
pub(super) fn compared(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' => match json.strip_prefix('"')?.strip_suffix('"')? {
            plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            _ => serde_json::from_str(json).ok().map(Cow::Owned),
        },
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}
