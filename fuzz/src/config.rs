//! Settings. The input is a text: lines `SECTION__KEY=VALUE` of the environment, a line `---`, and a settings file.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use payment_notifier::broker::decode::Decoder;
use payment_notifier::config::{Settings, env_variables, load_from};
use payment_notifier::http::ServerOptions;
use serde_json::Value;
use tempfile::TempDir;

/// Stands in every secret. No line may show it.
const CANARY: &str = "canary-0123456789-canary-0123456789";

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder can be made"));

/// The last part of each key, and each section: one of them must stand in an error.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = env_variables().into_iter().map(|(name, _)| name.to_lowercase());
    let parts = names.flat_map(|name| name.split("__").skip(1).map(str::to_owned).collect::<Vec<_>>());
    parts.collect()
});

/// One environment and one file.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (env, file) = text.split_once("---\n").unwrap_or((text, ""));
    let path = file_with(file);
    let mut variables = vec![
        variable("TICKETS__HS256_SECRET", CANARY),
        variable("TICKETS__API_KEY", CANARY),
        variable("AMQP__URL", &format!("amqp://guest:{CANARY}@127.0.0.1:5672")),
    ];
    variables.extend(env.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| variable(name, value)));
    let watched = !text.contains("canary");
    match load_from(Some(&path), variables) {
        Ok(settings) => usable(&settings, watched),
        Err(error) => refused(&error.to_string(), watched),
    }
    secrets_stay_hidden(file, &path);
}

fn variable(name: &str, value: &str) -> (String, String) {
    (format!("PAYMENT_NOTIFIER__{name}"), value.to_owned())
}

fn file_with(text: &str) -> PathBuf {
    let path = FOLDER.path().join("settings.toml");
    std::fs::write(&path, text).expect("the temporary folder is writable");
    path
}

/// One line that names a key, a section or the file, and nothing of a secret.
fn refused(line: &str, watched: bool) {
    assert!(!line.contains(char::is_control) && line.lines().count() == 1, "{line:?}");
    assert!(!watched || !line.contains("canary"), "{line:?}");
    let words = line.to_lowercase();
    let named = ["settings.toml", "unknown key "].iter().any(|name| words.contains(name));
    assert!(named || WORDS.iter().any(|word| words.contains(word)), "names nothing: {line:?}");
}

/// The same file with a secret in it that is not closed, or not where one belongs.
fn secrets_stay_hidden(file: &str, path: &std::path::Path) {
    if file.contains("canary") || file.len() > 2048 {
        return;
    }
    const MORE: [&str; 3] = ["\n[tickets]\napi_key = \"canary\n", "\n[callbacks]\nstripe = [\"canary\"]\n", "\"canary"];
    // Each input pays for one of them.
    let more = MORE[file.len() % MORE.len()];
    std::fs::write(path, format!("{file}{more}")).expect("the temporary folder is writable");
    if let Err(error) = load_from(Some(path), Vec::new()) {
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

/// What was found good can be used: no wait is beyond the clock, and no secret is shown.
fn usable(settings: &Settings, watched: bool) {
    let shown = serde_json::to_value(settings).expect("settings can be shown");
    assert!(!watched || !shown.to_string().contains("canary"), "{shown}");
    assert!(!watched || !format!("{settings:?}").contains("canary"));
    waits_are_sane(&shown);
    // Mappings are checked where they are compiled.
    if let Err(error) = Decoder::new(&settings.payments) {
        let line = error.to_string();
        assert!(!settings.payments.mappings.is_empty() && line.contains("payments.mappings, number "), "{line}");
    }
    drop(ServerOptions::new(&settings.http));
}

fn waits_are_sane(settings: &Value) {
    for (name, value) in settings.as_object().into_iter().flatten() {
        waits_are_sane(value);
        if let Some(number) = value.as_u64().filter(|_| name.ends_with("_s") || name.contains("_s_")) {
            let wait = Duration::from_secs(number);
            assert!(
                Instant::now().checked_add(wait).is_some_and(|at| at.checked_add(wait).is_some()),
                "{name} {number}"
            );
        }
    }
}
