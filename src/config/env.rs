//! The environment: `PAYMENT_NOTIFIER__SECTION__KEY`, or `…__KEY_FILE` for what stands in a file.
//!
//! Whoever runs as the same user, or looks into a container, reads the environment of a process; a file has an owner and a
//! mode. So every key can be given by file, as Docker and Kubernetes hand secrets out.

use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::Error;
use super::keys::{closest, join};

const PREFIX: &str = "PAYMENT_NOTIFIER__";
const FILE_SUFFIX: &str = "_FILE";
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Keys of type `Secrets`: with commas in a variable, one a line in a file.
const SECRETS: [&str; 3] = ["admin.token", "tickets.api_key", "tickets.hs256_secret"];
/// A text with commas that is a list all the same.
const ADDRESSES: &str = "amqp.url";

/// A key that the environment sets.
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) value: Value,
    name: String,
    file: Option<PathBuf>,
}

impl Variable {
    fn source(&self) -> Option<String> {
        self.file.as_ref().map(|path| source(&self.name, path))
    }

    /// Whether `path` is its key, or stands within it.
    pub(super) fn holds(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.key.as_str());
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    }

    fn is_empty(&self) -> bool {
        matches!(&self.value, Value::Array(list) if list.is_empty())
    }
}

/// The variables of this process that are meant for this program.
///
/// # Errors
/// One that is not UTF-8.
pub(super) fn of_process() -> Result<Vec<(String, String)>, Error> {
    let all = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
    let own = all.filter(|(name, _)| name.starts_with(PREFIX));
    own.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_value) => Err(Error(format!("{name} (environment) is not UTF-8"))),
    })
    .collect()
}

/// The variable of a key.
pub(super) fn name(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// The variable and the file that `text` is about, if it begins with a key whose value came from a file.
pub(super) fn of_file(variables: &[Variable], text: &str) -> Option<String> {
    variables.iter().filter(|variable| variable.holds(text)).find_map(Variable::source)
}

/// Finds the key of each variable, and reads the files that are named.
///
/// # Errors
/// A name that is no key, a file that cannot be read, and a key that is there twice.
pub(super) fn read(mut env: Vec<(String, String)>, known: &Table) -> Result<Vec<Variable>, Error> {
    env.retain(|(name, _)| name.starts_with(PREFIX));
    env.sort();
    let mut variables: Vec<Variable> = Vec::new();
    for (name, text) in env {
        let Some(variable) = variable(&name, text, known)? else { continue };
        let Some(index) = variables.iter().position(|other| other.key == variable.key) else {
            variables.push(variable);
            continue;
        };
        let other = &variables[index];
        // As everywhere an empty text is one that is not set.
        if other.file.is_some() != variable.file.is_some() && !other.is_empty() && !variable.is_empty() {
            return Err(Error(format!("{} and {name} are both set: remove one of them", other.name)));
        }
        if variable.file.is_some() || other.file.is_none() {
            variables[index] = variable;
        }
    }
    Ok(variables)
}

/// What a variable sets. Not set for one that names no file.
fn variable(name: &str, text: String, known: &Table) -> Result<Option<Variable>, Error> {
    let path = name[PREFIX.len()..].to_lowercase();
    let parts: Vec<&str> = path.split("__").collect();
    // A key whose own name ends so comes first: `http.tls_cert_file`.
    let key = parts.join(".");
    let unknown = match find(&parts, known) {
        Found::Key(default) if text.is_empty() && (SECRETS.contains(&key.as_str()) || !default.is_array()) => {
            return Ok(None);
        }
        Found::Key(default) => {
            let value = if text.is_empty() { list(std::iter::empty()) } else { of_text(&key, text, default) };
            return Ok(Some(Variable { key, value, name: name.to_owned(), file: None }));
        }
        Found::Section => return Err(Error(format!("{name} (environment) is a section, not a value"))),
        Found::Nothing(hint) => hint,
    };
    let Some(path) = path.strip_suffix(&FILE_SUFFIX.to_lowercase()) else { return Err(no_key(name, unknown, None)) };
    let parts: Vec<&str> = path.split("__").collect();
    match find(&parts, known) {
        Found::Key(_) if text.is_empty() => Ok(None),
        Found::Key(default) => of_named_file(name, parts.join("."), PathBuf::from(text), default).map(Some),
        Found::Section => Err(Error(format!("{name} (environment) names a section, not a value"))),
        Found::Nothing(hint) => Err(no_key(name, unknown, hint)),
    }
}

enum Found<'a> {
    Key(&'a Value),
    Section,
    /// With how far the closest known name is, and its key.
    Nothing(Option<(usize, String)>),
}

fn find<'a>(parts: &[&str], known: &'a Table) -> Found<'a> {
    let (mut table, mut prefix) = (known, String::new());
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        match table.get(*part) {
            Some(Value::Table(_)) if is_last => return Found::Section,
            Some(Value::Table(inner)) => {
                table = inner;
                prefix = join(&prefix, part);
            }
            Some(value) if is_last => return Found::Key(value),
            Some(_) => return Found::Nothing(Some((0, join(&prefix, part)))),
            None => {
                let near = closest(part, table.keys().map(String::as_str));
                return Found::Nothing(near.map(|(distance, near)| (distance, join(&prefix, near))));
            }
        }
    }
    Found::Section
}

fn no_key(variable: &str, as_key: Option<(usize, String)>, as_file: Option<(usize, String)>) -> Error {
    let nearer_as_file = match (&as_key, &as_file) {
        (Some((as_key, _)), Some((as_file, _))) => as_file < as_key,
        (_, as_file) => as_file.is_some(),
    };
    let hint = match (as_key, as_file) {
        (_, Some((_, key))) if nearer_as_file => format!(", did you mean {key}, by {}{FILE_SUFFIX}?", name(&key)),
        (Some((_, key)), _) => format!(", did you mean {key}?"),
        _ => String::new(),
    };
    Error(format!("unknown key {variable} (environment){hint}"))
}

fn of_text(key: &str, text: String, default: &Value) -> Value {
    if SECRETS.contains(&key) && !text.is_empty() {
        return list(text.split(',').map(str::trim));
    }
    as_default(Value::String(text), default)
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Value::Array(texts.map(|text| Value::String(text.to_owned())).collect())
}

/// The value as one of its default's kind, where it reads as one: a variable is always a text, and people write numbers and
/// truths as texts in files too. Else as it is, for the type of the setting to refuse.
pub(super) fn as_default(value: Value, default: &Value) -> Value {
    let read = match (&value, default) {
        (Value::String(text), Value::Integer(_)) => text.trim().parse().ok().map(Value::Integer),
        (Value::String(text), Value::Boolean(_)) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(Value::Boolean(true)),
            "false" | "no" | "off" | "0" => Some(Value::Boolean(false)),
            _ => None,
        },
        (Value::Integer(_) | Value::Float(_) | Value::Boolean(_), Value::String(_)) => {
            Some(Value::String(value.to_string()))
        }
        _ => None,
    };
    read.unwrap_or(value)
}

fn source(variable: &str, path: &Path) -> String {
    format!("{variable}, {}", path.display())
}

fn of_named_file(name: &str, key: String, path: PathBuf, default: &Value) -> Result<Variable, Error> {
    let at = source(name, &path);
    let refused = |why: &str| Error(format!("{at}: {why}"));
    let text = contents(&path).map_err(|why| refused(&why))?;
    // Windows' editors begin a file with a mark.
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(refused("the file is empty"));
    }
    let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let value = if SECRETS.contains(&key.as_str()) {
        list(lines)
    } else if matches!(default, Value::Array(_)) || key == ADDRESSES {
        Value::String(lines.collect::<Vec<_>>().join(","))
    } else if text.contains('\n') {
        return Err(refused("the file holds more than one line"));
    } else {
        as_default(Value::String(text.to_owned()), default)
    };
    Ok(Variable { key, value, name: name.to_owned(), file: Some(path) })
}

fn contents(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("the file is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_bytes| "the file is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
