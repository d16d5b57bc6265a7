//! The names of settings: `section.key`, and which of them a mistyped one was meant to be.

use toml::{Table, Value};

/// How many letters may differ for a name to be meant.
const DISTANCE_MAX: usize = 3;

pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Calls `each` with every key that is no section, and its value.
pub(super) fn leaves(table: &Table, prefix: &str, each: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = join(prefix, name);
        match value {
            Value::Table(inner) => leaves(inner, &key, each),
            _ => each(&key, value),
        }
    }
}

/// The known name that is nearest to a mistyped one, if it is near enough to be meant, and how far it is.
pub(super) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    known.map(|known| (strsim::levenshtein(name, known), known)).filter(|(far, _)| *far <= DISTANCE_MAX).min()
}
