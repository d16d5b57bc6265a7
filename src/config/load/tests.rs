use super::super::keys::{join, leaves};
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
    fn typed_leaves(value: &serde_json::Value, prefix: &str, keys: &mut Vec<String>) {
        for (name, value) in value.as_object().unwrap() {
            let key = join(prefix, name);
            if value.is_object() { typed_leaves(value, &key, keys) } else { keys.push(key) }
        }
    }
    typed_leaves(&typed, "", &mut typed_keys);
    let mut documented = Vec::new();
    leaves(&defaults().unwrap(), "", &mut |key, _| documented.push(key.to_owned()));
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
fn networks_of_ipv4_are_that_however_they_are_written() {
    let written = "::ffff:10.0.0.0/104, ::ffff:192.0.2.7, 192.0.2.0/24, ::ffff:0:0/64, 2001:db8::/32";
    let settings = with_env(&[("PAYMENT_NOTIFIER__HTTP__TRUSTED_PROXIES", written)]).unwrap();
    let networks: Vec<String> = settings.http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "192.0.2.0/24", "::ffff:0.0.0.0/64", "2001:db8::/32"]);
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
        (env("PAYMENT_NOTIFIER__TIMELINE__NOTES_WAITING_MAX", "9223372036854775807"), "notes_waiting_max", "at most"),
        (env("PAYMENT_NOTIFIER__STORE__READS_WAITING_MAX", "9223372036854775807"), "reads_waiting_max", "at most"),
        (env("PAYMENT_NOTIFIER__AMQP__PUBLISH_CONNECTIONS_MAX", "9223372036854775807"), "connections_max", "at most"),
        (env("PAYMENT_NOTIFIER__TELEMETRY__OTLP_ENDPOINT", "http://"), "telemetry.otlp_endpoint", "address"),
        (env("PAYMENT_NOTIFIER__TICKETS__JWKS_URL", "https://"), "tickets.jwks_url", "address"),
        (env("PAYMENT_NOTIFIER__ADMIN__TOKEN", "密钥密钥一二三四五六七八九十"), "admin.token", "ASCII"),
        (with_file("[admin]\ntoken = ' 0123456789abcdef'").unwrap_err().to_string(), "admin.token", "ASCII"),
        (
            env("PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS", "https://Shop.example"),
            "number 1 of 1",
            "https://shop.example",
        ),
        (
            env("PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS", "https://a.example:443"),
            "number 1",
            "must be https://a.example,",
        ),
        (
            env("PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS", "https://b\u{fc}cher.example"),
            "number 1",
            "https://xn--bcher-kva.example",
        ),
        (
            env("PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS", "https://u@a.example?x#y"),
            "number 1",
            "must be https://a.example,",
        ),
        (env("PAYMENT_NOTIFIER__HTTP__ALLOWED_ORIGINS", "https://*.a.example"), "number 1", "scheme and host"),
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
        assert!(lines.iter().all(|line| !line.contains(char::is_control) && line.lines().count() == 1), "{lines:?}");
    }
}

#[test]
fn no_mistake_shows_a_secret() {
    assert!(!with_env(&[("PAYMENT_NOTIFIER__TICKETS__HS256_SECRET", "hunter2")]).unwrap_err().0.contains("hunter2"));
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
