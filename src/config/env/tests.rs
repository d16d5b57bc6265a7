use std::path::Path;

use super::super::{Settings, load_from};

const FIRST: &str = "first-0123456789-0123456789-0123456789";
const SECOND: &str = "second-0123456789-0123456789-0123456789";

fn with(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let env = pairs.iter().map(|(name, value)| (format!("PAYMENT_NOTIFIER__{name}"), (*value).to_owned()));
    load_from(None, env.collect()).map_err(|error| error.to_string())
}

fn file(folder: &Path, name: &str, contents: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, contents).unwrap();
    path.display().to_string()
}

fn secrets(settings: &Settings) -> Vec<&str> {
    settings.tickets.hs256_secret.iter().map(crate::config::Secret::expose).collect()
}

#[test]
fn every_key_can_be_given_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name, contents| file(folder.path(), name, contents);
    let settings = with(&[
        ("AMQP__URL_FILE", &file("amqp", "amqp://u:p@a/v\namqp://u:p@b/v\n")),
        ("AMQP__PREFETCH_FILE", &file("prefetch", "77\r\n")),
        ("AMQP__DECLARE_FILE", &file("declare", "false")),
        ("HTTP__ALLOWED_ORIGINS_FILE", &file("origins", "https://a.example\nhttps://b.example\n")),
        ("HTTP__TLS_CERT_FILE", "/cert.pem"),
        ("HTTP__TLS_KEY_FILE_FILE", &file("key", "/key.pem\n")),
        ("STORE__URL_FILE", &file("store", "\u{feff}postgres://u:p@h/d\n\n")),
        ("ADMIN__TOKEN_FILE", &file("token", "one, with a comma, is one")),
        (
            "TICKETS__HS256_SECRET_FILE",
            &file("secret", "first-0123456789-0123456789-0123456789\r\nsecond-0123456789-0123456789-0123456789\n"),
        ),
        ("TICKETS__API_KEY", ""),
        ("TICKETS__API_KEY_FILE", &file("api-key", "0123456789abcdef\n")),
        ("TICKETS__AUDIENCE_FILE", ""),
    ])
    .unwrap();
    assert_eq!(settings.amqp.url.addresses().len(), 2);
    assert_eq!((settings.amqp.prefetch, settings.amqp.declare), (77, false));
    assert_eq!(settings.http.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(settings.http.tls_cert_file, Path::new("/cert.pem"));
    assert_eq!(settings.http.tls_key_file, Path::new("/key.pem"));
    assert_eq!(settings.store.url.expose(), "postgres://u:p@h/d");
    assert!(settings.admin.token.contains(b"one, with a comma, is one"));
    assert_eq!(secrets(&settings), [FIRST, SECOND]);
    assert!(settings.tickets.api_key.contains(b"0123456789abcdef"));
    assert_eq!(settings.tickets.audience, "payment-notifier");
}

#[test]
fn an_empty_variable_is_one_that_is_not_set_and_makes_a_list_empty() {
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[tickets]\nhs256_secret = \"{FIRST}\"\n[http]\nallowed_origins = [\"https://a.example\"]\nping_s = 7\n"
    );
    let path = file(folder.path(), "settings.toml", toml);
    let empty = [
        "CALLBACKS__STRIPE",
        "PAYMENTS__MAPPINGS",
        "TICKETS__HS256_SECRET",
        "HTTP__ALLOWED_ORIGINS",
        "HTTP__PING_S",
        "HTTP__LISTEN",
        "AMQP__DECLARE",
        "STORE__KEEP",
    ];
    let env = empty.map(|name| (format!("PAYMENT_NOTIFIER__{name}"), String::new()));
    let settings = load_from(Some(Path::new(&path)), env.into()).unwrap();
    assert_eq!((secrets(&settings), settings.http.ping_s), (vec![FIRST], 7));
    assert!(settings.http.allowed_origins.is_empty());
    assert_eq!(settings.http.listen, with(&[]).unwrap().http.listen);
}

#[test]
fn several_secrets_are_a_list_with_commas_in_a_variable_and_a_list_in_toml() {
    let both = format!("{FIRST}, {SECOND}");
    assert_eq!(secrets(&with(&[("TICKETS__HS256_SECRET", &both)]).unwrap()), [FIRST, SECOND]);
    let folder = tempfile::tempdir().unwrap();
    for (toml, expected) in [
        (format!("[\"{FIRST}\", \"{SECOND}\"]"), vec![FIRST, SECOND]),
        (format!("\"{both}\""), vec![both.as_str()]),
        (format!("\"{FIRST}\""), vec![FIRST]),
        ("[]".to_owned(), vec![]),
        ("\"\"".to_owned(), vec![]),
    ] {
        let path = file(folder.path(), "settings.toml", format!("[tickets]\nhs256_secret = {toml}\n"));
        assert_eq!(secrets(&load_from(Some(Path::new(&path)), Vec::new()).unwrap()), expected, "{toml}");
    }
}

#[test]
fn a_secret_that_is_no_good_is_one_line_that_names_its_place_and_shows_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name, contents: String| file(folder.path(), name, contents);
    let (short, doubled) =
        (file("short", format!("{FIRST}\nhunter2\n")), file("doubled", format!("{FIRST}\n{FIRST}\n")));
    let gap = file("gap", format!("{FIRST}\n\n{SECOND}\n"));
    let list = |text: &str, count| vec![text; count].join(",");
    for (name, value, said) in [
        (
            "TICKETS__HS256_SECRET",
            format!("{FIRST},hunter2"),
            "tickets.hs256_secret, number 2 of 2, must be at least 32 bytes",
        ),
        ("TICKETS__HS256_SECRET", format!("{FIRST},,{SECOND}"), "tickets.hs256_secret, number 2 of 3, is empty"),
        ("TICKETS__HS256_SECRET", format!("{FIRST},"), "number 2 of 2, is empty"),
        ("TICKETS__HS256_SECRET", ",".to_owned(), "number 1 of 2, is empty"),
        ("TICKETS__HS256_SECRET", format!("{FIRST},{SECOND},{FIRST}"), "number 3 of 3, is the same as number 1"),
        ("TICKETS__HS256_SECRET", list(FIRST, 17), "tickets.hs256_secret must be at most 16 secrets"),
        ("TICKETS__HS256_SECRET", "hunter2".repeat(5), "fewer than 8 different characters: make one with `openssl"),
        (
            "TICKETS__HS256_SECRET",
            "REPLACE-hunter2-".repeat(5),
            "a placeholder from an example: make one with `openssl",
        ),
        ("TICKETS__HS256_SECRET_FILE", short, "number 2 of 2, must be at least 32 bytes"),
        (
            "TICKETS__HS256_SECRET_FILE",
            doubled,
            "number 2 of 2, is the same as number 1 (from PAYMENT_NOTIFIER__TICKETS__HS256",
        ),
        (
            "TICKETS__HS256_SECRET_FILE",
            gap,
            "number 2 of 3, is empty (from PAYMENT_NOTIFIER__TICKETS__HS256_SECRET_FILE, /",
        ),
        ("TICKETS__API_KEY", "hunter2".to_owned(), "tickets.api_key must be at least 16 bytes: make one with"),
        ("ADMIN__TOKEN", "hunter2".to_owned(), "admin.token must be at least 16 bytes"),
        ("ADMIN__TOKEN", "Change-Me-hunter2".to_owned(), "admin.token is a placeholder"),
        ("AMQP__URL", "amqp://hunter2:PASSWORD@h/v".to_owned(), "amqp.url has a placeholder"),
        ("STORE__URL", "postgres://hunter2:replace-me@h/v".to_owned(), "store.url has a placeholder"),
    ] {
        let line = with(&[(name, &value)]).unwrap_err();
        assert!(line.contains(said) && !line.contains(FIRST) && !line.contains("hunter2"), "{name}: {line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_one_line_that_names_variable_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &[u8]| file(folder.path(), name, contents);
    let missing = folder.path().join("missing").display().to_string();
    let exact = [b"amqp://u:p@h/".as_slice(), &vec![b'v'; 64 * 1024 - 13]].concat();
    assert!(with(&[("AMQP__URL_FILE", &file("exact", &exact))]).is_ok());
    for (key, path, said) in [
        ("AMQP__URL", missing, "No such file"),
        ("AMQP__URL", folder.path().display().to_string(), "directory"),
        ("AMQP__URL", "/dev/zero".to_owned(), "larger than 65536 bytes"),
        ("AMQP__URL", file("large", &vec![b'v'; 64 * 1024 + 1]), "larger than 65536 bytes"),
        ("AMQP__URL", file("bytes", b"hunter2\xff"), "not UTF-8"),
        ("TICKETS__API_KEY", file("nothing", b""), "empty"),
        ("TICKETS__API_KEY", file("blank", b" \r\n\n"), "empty"),
        ("TICKETS__AUDIENCE", file("lines", b"hunter2\nhunter3"), "more than one line"),
        ("AMQP__PREFETCH", file("number", b"hunter2"), "amqp.prefetch"),
        ("AMQP__DECLARE", file("truth", b"hunter2"), "amqp.declare"),
        ("HTTP__LISTEN", file("address", b"hunter2"), "http.listen"),
        ("TELEMETRY__LOG_FORMAT", file("variant", b"hunter2"), "telemetry.log_format"),
        ("HTTP__TRUSTED_PROXIES", file("networks", b"hunter2"), "http.trusted_proxies"),
        ("STORE__KEEP", file("span", b"hunter2"), "store.keep"),
        ("CALLBACKS__STRIPE", file("tables", b"hunter2"), "callbacks.stripe"),
        ("INQUIRY__AFTER", file("spans", b"hunter2"), "inquiry.after"),
    ] {
        let line = with(&[(&format!("{key}_FILE"), &path)]).unwrap_err();
        assert!(line.contains(&format!("PAYMENT_NOTIFIER__{key}_FILE, {path}: ")) && line.contains(said), "{line}");
        assert!(!line.contains("hunter") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_key_that_is_there_twice_or_not_at_all_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "key", "0123456789abcdef\n");
    let line = with(&[("TICKETS__API_KEY", "hunter2"), ("TICKETS__API_KEY_FILE", &path)]).unwrap_err();
    for name in ["PAYMENT_NOTIFIER__TICKETS__API_KEY and ", "PAYMENT_NOTIFIER__TICKETS__API_KEY_FILE are both set"] {
        assert!(line.contains(name) && !line.contains("hunter2"), "{line}");
    }
    let path = path.as_str();
    for (name, value, said) in [
        (
            "TICKETS__HS256_SECRT_FILE",
            path,
            "did you mean tickets.hs256_secret, by PAYMENT_NOTIFIER__TICKETS__HS256_SECRET_FILE?",
        ),
        ("HTTP__TLS_CRT_FILE", path, "did you mean http.tls_cert_file?"),
        (
            "TICKET__API_KEY_FILE",
            path,
            "unknown key PAYMENT_NOTIFIER__TICKET__API_KEY_FILE (environment), did you mean tickets?",
        ),
        ("HTTP_FILE", path, "PAYMENT_NOTIFIER__HTTP_FILE (environment) names a section"),
        ("AMQP__URL__X_FILE", path, "unknown key PAYMENT_NOTIFIER__AMQP__URL__X_FILE (environment)"),
        ("AMQP__URL_FILE_FILE", path, "unknown key PAYMENT_NOTIFIER__AMQP__URL_FILE_FILE"),
        ("_FILE", path, "PAYMENT_NOTIFIER___FILE"),
        ("", "x", "PAYMENT_NOTIFIER__"),
    ] {
        let line = with(&[(name, value)]).unwrap_err();
        assert!(line.contains(said) && !line.contains('\n'), "{line}");
    }
}
