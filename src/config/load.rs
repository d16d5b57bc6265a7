//! Layers the sources and turns what is wrong into one line.

use std::path::Path;

use toml::{Table, Value};

use super::Settings;
use super::check::check;
use super::env::{self, Variable};
use super::error::Error;
use super::keys::{closest, join, leaves};

/// What `config/default.toml` says.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Reads the defaults, then `file`, then the environment, and checks the whole.
///
/// # Errors
/// [`Error`] for a file that cannot be read, a key that does not exist, a value of the wrong type or out of range.
pub fn load(file: Option<&Path>) -> Result<Settings, Error> {
    let env = env::of_process().map_err(|Error(text)| Error(one_line(&text)))?;
    load_from(file, env)
}

/// [`load`] with the environment as it is given: pairs of a variable's name and its value.
///
/// # Errors
/// As for [`load`].
pub fn load_from(file: Option<&Path>, env: Vec<(String, String)>) -> Result<Settings, Error> {
    // Names and values are repeated in errors, and may hold anything.
    layered(file, env).map_err(|Error(text)| Error(one_line(&text)))
}

fn layered(file: Option<&Path>, env: Vec<(String, String)>) -> Result<Settings, Error> {
    let known = defaults()?;
    let mut merged = known.clone();
    let layer = file.map(|path| of_file(path).map(|layer| (layer, path))).transpose()?;
    if let Some((layer, path)) = &layer {
        merge(&mut merged, layer, &known, "", path)?;
    }
    let variables = env::read(env, &known)?;
    for variable in &variables {
        set(&mut merged, &variable.key, variable.value.clone());
    }
    let origins = Origins { variables: &variables, file: layer.as_ref().map(|(layer, path)| (layer, *path)) };
    let settings: Settings = serde_path_to_error::deserialize(Value::Table(merged))
        .map_err(|error| wrong_value(&error.path().to_string(), error.inner().message(), &known, &origins))?;
    check(&settings).map_err(|Error(text)| match env::of_file(&variables, &text) {
        Some(source) => Error(format!("{text} (from {source})")),
        None => Error(text),
    })?;
    Ok(settings)
}

fn defaults() -> Result<Table, Error> {
    DEFAULTS.parse().map_err(|error: toml::de::Error| Error(format!("config/default.toml: {}", error.message())))
}

/// The name of each variable with the default of its key.
#[must_use]
pub fn env_variables() -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if let Ok(known) = defaults() {
        leaves(&known, "", &mut |key, value| variables.push((env::name(key), shown(value))));
    }
    variables.sort();
    variables
}

/// A value as a variable holds it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// What stands in a file. Nothing of it is in an error, but for the keys: a secret may stand there.
fn of_file(path: &Path) -> Result<Table, Error> {
    let refused = |why: String| Error(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let document = toml::de::Deserializer::parse(&text).map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        refused(format!("TOML line {}, column {column}: {}", before.matches('\n').count() + 1, error.message()))
    })?;
    // What can be written and not be held is a number: of more than 64 bits, or none.
    let no_value = |error: serde_path_to_error::Error<toml::de::Error>| {
        refused(format!("{} is too large a number for a setting, or not finite", error.path()))
    };
    serde_path_to_error::deserialize::<_, Value>(document).map_err(no_value).and_then(|value| match value {
        Value::Table(table) => Ok(table),
        _ => Err(refused("not a table".to_owned())),
    })
}

/// Puts what the file at `path` says over what stands.
fn merge(onto: &mut Table, layer: &Table, known: &Table, prefix: &str, path: &Path) -> Result<(), Error> {
    for (name, value) in layer {
        let key = join(prefix, name);
        let Some(default) = known.get(name) else {
            let hint = closest(name, known.keys().map(String::as_str))
                .map(|(_, near)| format!(", did you mean {}?", join(prefix, near)))
                .unwrap_or_default();
            return Err(Error(format!("unknown key {key} in {}{hint}", path.display())));
        };
        match (value, default, onto.get_mut(name)) {
            (Value::Table(inner), Value::Table(inner_known), Some(Value::Table(onto))) => {
                merge(onto, inner, inner_known, &key, path)?;
            }
            (_, Value::Table(_), _) => {
                return Err(Error(format!("{key} in {} is a section, not a value", path.display())));
            }
            _ => drop(onto.insert(name.clone(), env::as_default(value.clone(), default))),
        }
    }
    Ok(())
}

fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((section, rest)) => {
            if let Some(Value::Table(section)) = table.get_mut(section) {
                set(section, rest, value);
            }
        }
        None => drop(table.insert(key.to_owned(), value)),
    }
}

/// Where a value came from.
struct Origins<'a> {
    variables: &'a [Variable],
    file: Option<(&'a Table, &'a Path)>,
}

impl Origins<'_> {
    fn of(&self, path: &str) -> String {
        if self.variables.iter().any(|variable| variable.holds(path)) {
            return " in the environment".to_owned();
        }
        let in_file = |(layer, _): &(&Table, &Path)| value_at(layer, path).is_some();
        self.file.filter(in_file).map(|(_, path)| format!(" in {}", path.display())).unwrap_or_default()
    }
}

fn value_at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match table.get(first.split('[').next()?)? {
        Value::Table(inner) if !rest.is_empty() => value_at(inner, rest),
        value => Some(value),
    }
}

/// What is wrong with the value at `path`. Of what a file held that the environment names nothing is shown: it may be another
/// file than was meant. Else the value is shown where a number or a truth was due: such keys hold no secrets, and of others
/// one may have been written without its brackets.
fn wrong_value(path: &str, message: &str, known: &Table, origins: &Origins<'_>) -> Error {
    let of_file = env::of_file(origins.variables, path);
    if message.starts_with("must ") {
        let source = of_file.map(|source| format!(" (from {source})")).unwrap_or_default();
        return Error(format!("{path} {message}{source}"));
    }
    let expected = message.starts_with("invalid ").then(|| message.rsplit_once(", expected ")).flatten();
    if let Some(source) = of_file {
        let expected = expected.map(|(_, expected)| format!(", expected {expected}")).unwrap_or_default();
        return Error(format!("{source}: not a value for {path}{expected}"));
    }
    let origin = origins.of(path);
    match (expected, value_at(known, path)) {
        (Some((_, expected)), Some(Value::String(_) | Value::Array(_) | Value::Table(_)) | None) => {
            Error(format!("{path}{origin} is a value of the wrong kind, expected {expected}"))
        }
        _ => Error(format!("{path}{origin}: {message}")),
    }
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
