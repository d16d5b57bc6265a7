//! Why a settings file cannot be read, in one line that shows nothing of what stands in it: a secret may stand there.

use std::path::Path;

use toml::de::{DeTable, DeValue};

/// Where the syntax of the file at `path` is wrong, or which number no setting can hold. Not set for any other fault.
pub(super) fn fault(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    match DeTable::parse(&text) {
        Err(error) => {
            let before = text.get(..error.span()?.start)?;
            let (line, column) =
                (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
            Some(format!("TOML line {line}, column {column}: {}", error.message()))
        }
        Ok(table) => {
            too_large(table.get_ref().iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())), "")
        }
    }
}

fn too_large<'a, 'i: 'a>(members: impl Iterator<Item = (&'a str, &'a DeValue<'i>)>, prefix: &str) -> Option<String> {
    members.into_iter().find_map(|(name, value)| in_value(value, &super::load::join(prefix, name)))
}

fn in_value(value: &DeValue<'_>, key: &str) -> Option<String> {
    match value {
        DeValue::Integer(number) => {
            let fits = i128::from_str_radix(number.as_str(), number.radix()).is_ok_and(|n| i64::try_from(n).is_ok());
            (!fits).then(|| format!("{key} is too large a number"))
        }
        DeValue::Float(number) => {
            let is_number = number.as_str().parse::<f64>().is_ok_and(|n| n.is_finite());
            (!is_number).then(|| format!("{key} is not a number that a setting can hold"))
        }
        DeValue::Array(list) => list.iter().find_map(|value| in_value(value.get_ref(), key)),
        DeValue::Table(table) => {
            too_large(table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())), key)
        }
        _ => None,
    }
}
