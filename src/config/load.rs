//! Layers the sources and turns what is wrong into one line.

use std::path::Path;

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::Settings;
use super::env::{self, Variable};

/// What `config/default.toml` says.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Why the settings cannot be used: one line that names the key and its source.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct Error(pub(super) String);

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
    let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
    let known = defaults.collect().map_err(|e| Error(format!("config/default.toml: {e}")))?;
    let mut builder = config::Config::builder().add_source(defaults);
    if let Some(path) = file {
        let source = File::from(path).format(FileFormat::Toml);
        let layer = source.collect().map_err(|e| {
            let why = super::file::fault(path).unwrap_or_else(|| reason(&e));
            Error(format!("{}: {why}", path.display()))
        })?;
        refuse_unknown(&layer, &known, "", &|key| format!("{key} in {}", path.display()))?;
        builder = builder.add_source(source);
    }
    let variables = env::read(env, &known)?;
    for variable in &variables {
        builder = builder.set_override(&variable.key, variable.value.clone()).map_err(|e| Error(reason(&e)))?;
    }
    let merged = builder.build().map_err(|e| Error(reason(&e)))?;
    let settings: Settings = merged.try_deserialize().map_err(|e| wrong_value(&e, &variables))?;
    super::check::check(&settings).map_err(|Error(text)| match env::of_file(&variables, &text) {
        Some(source) => Error(format!("{text} (from {source})")),
        None => Error(text),
    })?;
    Ok(settings)
}

/// Of what a file held that the environment names nothing is shown: it may be another file than was meant.
fn wrong_value(error: &ConfigError, variables: &[Variable]) -> Error {
    let (key, expected) = match error {
        ConfigError::At { error, key, .. } => match &**error {
            ConfigError::Type { expected, .. } => (key, Some(*expected)),
            _ => (key, None),
        },
        ConfigError::Type { key, expected, .. } => (key, Some(*expected)),
        _ => (&None, None),
    };
    match key.as_deref().and_then(|key| Some((key, env::of_file(variables, key)?))) {
        Some((key, source)) => {
            let expected = expected.map(|expected| format!(", expected {expected}")).unwrap_or_default();
            Error(format!("{source}: not a value for `{key}`{expected}"))
        }
        None => Error(reason(error)),
    }
}

/// The name of each variable with the default of its key.
#[must_use]
pub fn env_variables() -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if let Ok(known) = File::from_str(DEFAULTS, FileFormat::Toml).collect() {
        walk(&known, "", &mut |key, value| variables.push((env::name(key), value.to_string())));
    }
    variables.sort();
    variables
}

fn walk(table: &Map<String, Value>, prefix: &str, each: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = join(prefix, name);
        match &value.kind {
            ValueKind::Table(inner) => walk(inner, &key, each),
            _ => each(&key, value),
        }
    }
}

pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn refuse_unknown(
    layer: &Map<String, Value>,
    known: &Map<String, Value>,
    prefix: &str,
    place: &dyn Fn(&str) -> String,
) -> Result<(), Error> {
    for (name, value) in layer {
        let key = join(prefix, name);
        let Some(default) = known.get(name) else {
            let hint = closest(name, known.keys().map(String::as_str))
                .map(|(_, near)| format!(", did you mean {}?", join(prefix, near)))
                .unwrap_or_default();
            return Err(Error(format!("unknown key {}{hint}", place(&key))));
        };
        match (&value.kind, &default.kind) {
            (ValueKind::Table(inner), ValueKind::Table(inner_known)) => {
                refuse_unknown(inner, inner_known, &key, place)?;
            }
            (_, ValueKind::Table(_)) => return Err(Error(format!("{} is a section, not a value", place(&key)))),
            _ => {}
        }
    }
    Ok(())
}

/// The known name that shares the most with a mistyped one, if it is near enough to be meant, and how far it is.
pub(super) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    known.map(|k| (distance(name, k), k)).filter(|(d, _)| *d <= 3).min()
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// What is wrong, without the value where a list or a section was due: such a key may hold secrets, one of which was
/// written without its brackets. What should be a number is shown: it is no secret.
fn reason(error: &ConfigError) -> String {
    let (error, key, origin) = match error {
        ConfigError::At { error, key, origin } => (reason(error), key, origin),
        ConfigError::Type { unexpected, expected, key, origin } => {
            (without_value(&format!("invalid type: {unexpected}, expected {expected}")), key, origin)
        }
        other => return without_value(&other.to_string()),
    };
    let key = key.as_ref().map(|key| format!(" for key `{key}`")).unwrap_or_default();
    let origin = origin.as_ref().map(|origin| format!(" in {origin}")).unwrap_or_default();
    format!("{error}{key}{origin}")
}

fn without_value(text: &str) -> String {
    match text.rsplit_once(", expected ") {
        Some((found, expected))
            if found.starts_with("invalid type")
                && !expected.ends_with("integer")
                && !expected.ends_with("boolean") =>
        {
            format!("a value of the wrong kind, expected {expected}")
        }
        _ => text.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        load_from(None, pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn with_file(text: &str) -> Result<Settings, Error> {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        load_from(Some(file.path()), Vec::new())
    }

    #[test]
    fn defaults_are_whole_and_name_every_setting() {
        let settings = with_env(&[]).unwrap();
        let typed = serde_json::to_value(&settings).unwrap();
        let mut typed_keys = Vec::new();
        fn leaves(value: &serde_json::Value, prefix: &str, keys: &mut Vec<String>) {
            for (name, value) in value.as_object().unwrap() {
                let key = join(prefix, name);
                if value.is_object() { leaves(value, &key, keys) } else { keys.push(key) }
            }
        }
        leaves(&typed, "", &mut typed_keys);
        let mut documented = Vec::new();
        let known = File::from_str(DEFAULTS, FileFormat::Toml).collect().unwrap();
        walk(&known, "", &mut |key, _| documented.push(key.to_owned()));
        typed_keys.sort();
        documented.sort();
        assert_eq!(typed_keys, documented);
    }

    #[test]
    fn environment_wins_over_file_and_texts_stay_texts() {
        let digits = "01234567890123456789012345678901";
        let settings = with_env(&[
            ("PAYMENT_NOTIFIER__AMQP__PREFETCH", "77"),
            ("PAYMENT_NOTIFIER__AMQP__DECLARE", "false"),
            ("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", digits),
            ("PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS", "https://a.example, https://b.example"),
            ("PAYMENT_NOTIFIER__INSTANCE", "node-1"),
        ])
        .unwrap();
        assert_eq!((settings.amqp.prefetch, settings.amqp.declare), (77, false));
        assert_eq!(settings.tickets.hs256_secret.first().unwrap().expose(), digits);
        assert_eq!(settings.http.allowed_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(settings.instance, "node-1");
    }

    #[test]
    fn each_mistake_is_one_line_that_names_its_key() {
        let env = |k: &str, v: &str| with_env(&[(k, v)]).unwrap_err().to_string();
        let cases = [
            (env("PAYMENT_NOTIFIER__HTTP__LISTN", "x"), "PAYMENT_NOTIFIER__HTTP__LISTN", "http.listen"),
            (env("PAYMENT_NOTIFIER__HTTP__LISTEN", "nowhere"), "http.listen", "socket address"),
            (env("PAYMENT_NOTIFIER__AMQP__PREFETCH", "many"), "amqp.prefetch", "many"),
            (env("PAYMENT_NOTIFIER__AMQP__PREFETCH", "70000"), "amqp.prefetch", ""),
            (env("PAYMENT_NOTIFIER__AMQP__PREFETCH", "0"), "amqp.prefetch", "at least 1"),
            (env("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", "short"), "tickets.hs256_secret", "32"),
            (env("PAYMENT_NOTIFIER__HTTP", "x"), "PAYMENT_NOTIFIER__HTTP", "section"),
            (with_file("[amqp]\nurll = 'x'").unwrap_err().to_string(), "amqp.urll", "amqp.url"),
            (with_file("[demo]\nenabled = 'perhaps'").unwrap_err().to_string(), "demo.enabled", ""),
            (with_file("[demo\n").unwrap_err().to_string(), ".toml", "TOML line 1"),
            (with_file("[amqp]\nprefetch = 99999999999999999999").unwrap_err().to_string(), "amqp.prefetch", "large"),
            (env("PAYMENT_NOTIFIER__HTTP__SILENT_S", "9223372036854775807"), "http.silent_s", "at most"),
        ];
        for (line, key, more) in cases {
            assert!(line.contains(key) && line.contains(more) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn no_mistake_is_more_than_a_line_whatever_its_key_is() {
        for key in ["a\nb", "a\r\u{1b}[31mb", "a\u{0}\u{85}\u{2028}b"] {
            let escaped: String = key.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
            let by_file = with_file(&format!("\"{escaped}\" = 1"));
            let lines = [with_env(&[(&format!("PAYMENT_NOTIFIER__{key}"), "1")]), by_file].map(|e| e.unwrap_err().0);
            assert!(
                lines.iter().all(|line| !line.contains(char::is_control) && line.lines().count() == 1),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn no_mistake_shows_a_secret() {
        assert!(
            !with_env(&[("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", "hunter2")]).unwrap_err().0.contains("hunter2")
        );
        assert!(!with_env(&[("PAYMENT_NOTIFIER__CALLBACKS__STRIPE", "hunter2")]).unwrap_err().0.contains("hunter2"));
        let files = [
            "[tickets]\nhs256_secret = \"hunter2",
            "[tickets]\nhs256_secret = hunter2",
            "[tickets]\nhs256_secret = [\"hunter2\"]",
            "[callbacks]\nstripe = [\"hunter2\"]",
            "[[callbacks.stripe]]\nmerchant_id = \"a\"\nsigning_secrets = \"hunter2, expected a sequence\"",
            "[[callbacks.wechat_pay]]\nmerchant_id = \"a\"\nkeys = []\napi_v3_key = { a = \"hunter2\" }",
        ];
        for file in files {
            let line = with_file(file).unwrap_err().0;
            assert!(!line.contains("hunter2") && !line.contains('\n') && !line.is_empty(), "{file}: {line}");
        }
    }
}
