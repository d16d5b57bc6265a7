//! What alerts look at is there before anything has happened: an increase from nothing to 1 is none to Prometheus, and the
//! first event is often the only one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::alerts::{alerts, documented, read, uses};
use crate::postgres_server::Database;
use crate::support::{Service, Setup, fixture, keys, wait_for};

/// Name, without a histogram's ending, to the label sets that it is there with.
type Series = BTreeMap<String, BTreeSet<BTreeMap<String, String>>>;

/// With all that can be configured, so that all that can be counted is there.
fn configured(setup: Setup) -> Setup {
    let path = |name: &str| setup.folder().join(name).display().to_string();
    let key = fixture("callbacks/test-only-public-key.pem").display().to_string();
    let config = format!(
        "[[callbacks.stripe]]\nmerchant_id = \"shop\"\nsigning_secrets = [\"whsec_test_only_0123456789\"]\n\
         [[callbacks.alipay]]\nmerchant_id = \"shop\"\napp_id = \"2021000000000001\"\nseller_id = \"2088000000000001\"\n\
         public_key_file = {key:?}\n\
         [[callbacks.douyin]]\nmerchant_id = \"shop\"\napp_id = \"tt07e3715e98c9aac0\"\npublic_key_files = [{key:?}]\n\
         [[callbacks.wechat_pay]]\nmerchant_id = \"shop\"\napi_v3_key = \"a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb\"\n\
         mch_id = \"1900000001\"\nkeys = [{{ serial = \"PUB_KEY_ID_01\", public_key_file = {key:?} }}]\n"
    );
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(path("tls.pem"), identity.cert.pem()).unwrap();
    std::fs::write(path("tls.key"), identity.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("jwks.json"), json!({ "keys": [keys::ES256.jwk("a")] }).to_string()).unwrap();
    let (certificate, private_key, key_set) = (path("tls.pem"), path("tls.key"), path("jwks.json"));
    setup
        .config(&config)
        .set("HTTP__TLS_CERT_FILE", certificate)
        .set("HTTP__TLS_KEY_FILE", private_key)
        .set("TICKETS__JWKS_FILE", key_set)
        // Nobody listens there.
        .set("TICKETS__JWKS_URL", "http://127.0.0.1:9/jwks.json")
        .set("AMQP__LAG_INTERVAL_S", 1)
}

async fn series(nodes: &[Service]) -> Series {
    let mut series = Series::new();
    for node in nodes {
        for line in node.admin_get("/metrics").await.text.lines().filter(|line| !line.starts_with('#')) {
            let Some((named, _value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = named.split_once('{').unwrap_or((named, ""));
            let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
            let labels = labels.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned()));
            series.entry(name.to_owned()).or_default().insert(labels.collect());
        }
    }
    series
}

/// The expression of an alert, from its block of the rules.
fn expression(block: &str) -> String {
    let (_, rest) = block.split_once("expr: ").expect("an expression");
    let end = rest.find("\n        for: ").or_else(|| rest.find("\n        labels: ")).expect("what follows it");
    rest[..end].to_owned()
}

/// Whether a label's value is what a matcher asks for. Our expressions know `a|b` and `.*` at an end.
fn fits(value: &str, pattern: &str) -> bool {
    pattern.split('|').any(|pattern| match (pattern.strip_prefix(".*"), pattern.strip_suffix(".*")) {
        (Some(end), _) => value.ends_with(end),
        (_, Some(start)) => value.starts_with(start),
        _ => value == pattern,
    })
}

/// Which of the series that an expression names are not there: each of the values that a matcher lists has to be.
fn missing(expression: &str, series: &Series) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, matchers) in uses(expression) {
        let matchers: Vec<(&str, &str, &str)> = matchers
            .split(',')
            .filter_map(|matcher| {
                let (label, rest) = matcher.split_at(matcher.find(['=', '!'])?);
                let value = rest.find('"')?;
                Some((label.trim(), &rest[..value], rest[value..].trim_matches('"')))
            })
            .filter(|(label, ..)| *label != "job")
            .collect();
        let listed = matchers.iter().filter(|(_, is, _)| !is.starts_with('!'));
        let mut wanted: Vec<_> =
            listed.flat_map(|(label, _, value)| value.split('|').map(|one| (*label, one))).collect();
        wanted.push(("", ""));
        for (label, value) in wanted {
            let is_there = series.get(&name).into_iter().flatten().any(|labels| {
                let of = |label: &str| labels.get(label).map_or("", String::as_str);
                fits(of(label), value)
                    && matchers.iter().all(|(label, is, value)| fits(of(label), value) != is.starts_with('!'))
            });
            if !is_there {
                missing.push(if label.is_empty() { name.clone() } else { format!("{name}{{{label}={value:?}}}") });
            }
        }
    }
    missing
}

#[tokio::test]
async fn each_series_that_an_alert_looks_at_is_there_from_the_start() {
    let database = Database::create().await;
    let alone = configured(Setup::new().await).start_unready().await;
    let shared = configured(Setup::beside(&alone)).set("STORE__URL", database.url()).start_unready().await;
    let nodes = [alone, shared];
    let at_start = series(&nodes).await;
    let alerts = alerts();
    let missing_of = |series: &Series, is_wanted: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        let all = alerts.iter().flat_map(|(alert, block)| {
            missing(&expression(block), series).into_iter().map(move |series| (alert, series))
        });
        all.filter(|(_, series)| is_wanted(series)).map(|(alert, series)| format!("{alert}: {series}")).collect()
    };
    let is_counter = |series: &str| series.split('{').next().is_some_and(|name| name.ends_with("_total"));
    assert_eq!(missing_of(&at_start, &is_counter), BTreeSet::new(), "counters");
    // What is measured is there once it was measured: an alert on its value misses nothing before that.
    let mut last = BTreeSet::new();
    wait_for("what is measured is there", async || {
        last = missing_of(&series(&nodes).await, &|_| true);
        last.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_counter_begins_at_0_with_each_value_of_its_labels_that_is_documented() {
    let database = Database::create().await;
    let node = configured(Setup::new().await).set("STORE__URL", database.url()).start_unready().await;
    let series = series(&[node]).await;
    let protocol = read("docs/PROTOCOL.md");
    let codes = protocol.lines().filter_map(|line| {
        let mut cells = line.split(" | ");
        cells.next()?.strip_prefix("| ")?.parse::<u16>().ok()?;
        Some(cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned())
    });
    let codes: BTreeSet<String> = codes.collect();
    assert!(codes.len() > 10, "{codes:?}");
    let mut missing = Vec::new();
    for (name, labels) in documented() {
        if !name.ends_with("_total") {
            continue;
        }
        let there = series.get(&name).cloned().unwrap_or_default();
        let mut wanted = vec![BTreeMap::new()];
        for (label, values) in labels {
            let values = if label == "code" { codes.clone() } else { values };
            if values.is_empty() {
                continue;
            }
            wanted = wanted
                .iter()
                .flat_map(|one: &BTreeMap<String, String>| {
                    values.iter().map(|value| {
                        let mut more = one.clone();
                        more.insert(label.clone(), value.clone());
                        more
                    })
                })
                .collect();
        }
        let is_there =
            |wanted: &BTreeMap<_, _>| there.iter().any(|labels| wanted.iter().all(|(k, v)| labels.get(k) == Some(v)));
        missing
            .extend(wanted.into_iter().filter(|wanted| !is_there(wanted)).map(|wanted| format!("{name} {wanted:?}")));
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_is_not_there_is_found() {
    let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut series = Series::new();
    series.entry("payment_notifier_a_total".to_owned()).or_default().insert(labels(&[("x", "one"), ("y", "a_end")]));
    for good in
        ["a_total", "a_total{x=\"one\"}", "a_total{x=\"one\", y=~\".*_end\"}", "a_total{job=\"j\", x!~\"two|three\"}"]
    {
        assert_eq!(missing(&format!("rate(payment_notifier_{good}[5m])"), &series), Vec::<String>::new(), "{good}");
    }
    for bad in
        ["b_total", "a_total{x=\"two\"}", "a_total{x=~\"one|two\"}", "a_total{x!=\"one\"}", "a_total{y=~\".*_start\"}"]
    {
        assert!(!missing(&format!("rate(payment_notifier_{bad}[5m])"), &series).is_empty(), "{bad}");
    }
}
