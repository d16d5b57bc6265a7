//! Why a message cannot be taken: a stable code for programs and a sentence for people.

use std::fmt;

use crate::payment::Key;

/// A message that is dead-lettered. The sentence names the field and the rule that it breaks, and holds at most a short
/// excerpt of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Stable: `too_large` `invalid_json` `too_deep` `missing_field` `malformed_field` `unknown_status`
    /// `duplicate_field` `id_reused`. The header `x-reason`.
    pub code: &'static str,
    /// One sentence. The header `x-error`.
    pub sentence: String,
    /// The same without an excerpt: nothing of a body is logged.
    rule: String,
    /// The order and the event, where they could be read.
    about: Option<Box<(Key, String)>>,
}

/// Characters of a value that a sentence may show.
const EXCERPT_CHARS_MAX: usize = 40;
const MISSING_FIELD: &str = "missing_field";

impl Reject {
    /// Each code, for counters that begin at 0.
    pub const CODES: [&str; 8] = [
        "too_large",
        "invalid_json",
        "too_deep",
        MISSING_FIELD,
        "malformed_field",
        "unknown_status",
        "duplicate_field",
        "id_reused",
    ];

    /// Codes of what stays as bad as it is, whatever the settings are: the same bytes are rejected again.
    pub const LASTING: [&str; 4] = ["invalid_json", "too_deep", "duplicate_field", "id_reused"];

    pub(super) fn too_large(bytes: usize, bytes_max: usize) -> Self {
        Self::of("too_large", format!("the body has {bytes} bytes, more than {bytes_max}"))
    }

    pub(super) fn invalid_json(why: impl fmt::Display) -> Self {
        Self::of("invalid_json", format!("the body is not a JSON object: {why}"))
    }

    pub(super) fn too_deep(levels_max: usize) -> Self {
        Self::of("too_deep", format!("the body is nested deeper than {levels_max} levels"))
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::of(MISSING_FIELD, format!("{field} is missing"))
    }

    /// Whether it is for a field that is absent.
    pub(super) fn is_missing(&self) -> bool {
        self.code == MISSING_FIELD
    }

    pub(super) fn malformed(field: &str, rule: impl fmt::Display) -> Self {
        Self::of("malformed_field", format!("{field} {rule}"))
    }

    pub(super) fn unknown_status(field: &str, found: &str, rule: impl fmt::Display) -> Self {
        let rule = format!("{field} {rule}");
        Self { code: "unknown_status", sentence: format!("{rule}, not {}", excerpt(found)), rule, about: None }
    }

    pub(super) fn duplicate(field: &str) -> Self {
        Self::of("duplicate_field", format!("{field} appears twice"))
    }

    /// An event whose id another event of the same payment has, with another content.
    #[must_use]
    pub fn id_reused() -> Self {
        let rule = "event_id was used before for this order with another status, amount, refund or transaction";
        Self::of("id_reused", rule.to_owned())
    }

    fn of(code: &'static str, sentence: String) -> Self {
        Self { code, rule: sentence.clone(), sentence, about: None }
    }

    /// Says by which of `payments.mappings`, counted from 1, the message was read.
    pub(super) fn in_mapping(self, number: usize) -> Self {
        let named = |text: &str| format!("mapping {number}: {text}");
        Self { sentence: named(&self.sentence), rule: named(&self.rule), ..self }
    }

    /// Says of which order and event it is. An event without an id that can be read has an empty one.
    #[must_use]
    pub fn of_event(self, key: Key, event_id: &str) -> Self {
        Self { about: Some(Box::new((key, event_id.to_owned()))), ..self }
    }

    /// The order and the event's id.
    #[must_use]
    pub fn about(&self) -> Option<(&Key, &str)> {
        self.about.as_deref().map(|(key, event_id)| (key, event_id.as_str()))
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)
    }
}

impl std::error::Error for Reject {}

fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(EXCERPT_CHARS_MAX).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}
