//! The alerts and the dashboard that are shipped: what promtool says of them, and whether all that they name exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::metrics::PREFIXES;
use crate::support::{Service, repository, tools};

pub(crate) const RULES: &str = "config/prometheus/payment-notifier.rules.yml";
const RULE_TESTS: [&str; 2] = ["tests/prometheus/rules.test.yml", "tests/prometheus/rules.days.test.yml"];
const DASHBOARD: &str = "config/grafana/payment-notifier.json";
/// What Prometheus itself adds.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

async fn promtool(arguments: &[&str], input: String) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(repository());
    tools::run(command, input).await
}

/// One documented metric: its labels, each with its values where they are listed.
pub(crate) type Labels = BTreeMap<String, BTreeSet<String>>;

/// Name to labels, from the table in `docs/operations/metrics.md`: `` | `name` | kind | `label`: `value` `value`; `label` | ``
pub(crate) fn documented() -> BTreeMap<String, Labels> {
    let text = read("docs/operations/metrics.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`');
        PREFIXES.iter().find(|prefix| name.starts_with(**prefix))?;
        let labels = cells.nth(1)?.split(';').filter_map(|part| {
            let mut quoted = part.split('`').skip(1).step_by(2).map(str::to_owned);
            Some((quoted.next()?, quoted.collect()))
        });
        Some((name.to_owned(), labels.collect()))
    });
    rows.collect()
}

/// Each use of a metric in a text: its name, without a histogram's ending, and its matchers as they stand.
pub(crate) fn uses(text: &str) -> Vec<(String, String)> {
    let of_prefix = |prefix: &'static str| text.match_indices(prefix).map(|(at, _)| &text[at..]);
    let all = PREFIXES.into_iter().flat_map(of_prefix).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let endings = ["_bucket", "_sum", "_count"];
        let name = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        (name.to_owned(), matchers.replace('\\', ""))
    });
    all.collect()
}

/// What the file asks of the metrics, and does not exist.
fn unknown(path: &str) -> Vec<String> {
    let (text, known) = (read(path), documented());
    let uses = uses(&text);
    assert!(uses.len() > 20 && known.len() > 20, "{path}: {uses:?}");
    let mut unknown = Vec::new();
    for (name, matchers) in uses {
        let Some(labels) = known.get(&name) else {
            unknown.push(name);
            continue;
        };
        for matcher in matchers.split(',').filter(|matcher| !matcher.is_empty()) {
            let end = matcher.find(['=', '!', '~']).unwrap_or(matcher.len());
            let (label, value) = (matcher[..end].trim(), matcher[end..].trim_start_matches(['=', '!', '~']));
            let Some(values) = labels.get(label) else {
                if !LABELS_OF_PROMETHEUS.contains(&label) {
                    unknown.push(format!("{name}{{{label}}}"));
                }
                continue;
            };
            let named = value.trim_matches('"').split('|').filter(|value| !value.contains(['.', '*', '$']));
            let absent = named.filter(|value| !values.is_empty() && !values.contains(*value));
            unknown.extend(absent.map(|value| format!("{name}{{{label}={value}}}")));
        }
    }
    unknown
}

/// `key: value` of each alert, from `- alert: Name` to the next.
pub(crate) fn alerts() -> Vec<(String, String)> {
    let text = read(RULES);
    let blocks = text.split("- alert: ").skip(1).map(|block| {
        let (name, rest) = block.split_once('\n').unwrap_or((block, ""));
        (name.to_owned(), rest.to_owned())
    });
    blocks.collect()
}

#[tokio::test]
async fn promtool_takes_the_rules_and_each_alert_fires_when_it_shall() {
    promtool(&["check", "rules", RULES], String::new()).await;
    promtool(&["check", "config", "--syntax-only", "config/prometheus/prometheus.yml"], String::new()).await;
    promtool(&["test", "rules", RULE_TESTS[0], RULE_TESTS[1]], String::new()).await;
    let tests = RULE_TESTS.map(read);
    let tests: Vec<_> = tests.iter().flat_map(|tests| tests.split("\n  - name: ").skip(1)).collect();
    for (name, _) in alerts() {
        let fires = format!("ALERTS{{alertname=\"{name}\"");
        // In one test both, or the one in which it does not fire may be about something else.
        let has_both = tests.iter().any(|test| {
            let (with, without): (Vec<_>, Vec<_>) =
                test.split("\n      - expr: ").skip(1).partition(|check| check.contains(&fires));
            !with.is_empty() && !without.is_empty()
        });
        assert!(has_both, "{name} has no test in which it fires and does not fire");
    }
}

#[tokio::test]
async fn promtool_takes_the_metrics_of_the_program() {
    let service = Service::start().await;
    let text = service.admin_get("/metrics").await.text;
    let complaints = promtool(&["check", "metrics"], text).await;
    assert_eq!(complaints.trim(), "");
}

#[test]
fn each_metric_and_label_of_rules_and_dashboard_exists() {
    for path in [RULES, DASHBOARD] {
        assert_eq!(unknown(path), Vec::<String>::new(), "{path}");
    }
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(path: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-')).collect::<String>().replace(' ', "-")
    };
    read(path).lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn each_alert_says_how_bad_it_is_what_to_do_and_where_more_of_it_stands() {
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    for (name, block) in alerts {
        for key in ["severity: ", "summary: ", "description: "] {
            assert!(block.contains(key), "{name} has no {key}");
        }
        let runbook = block.lines().find_map(|line| line.trim().strip_prefix("runbook_url: "));
        let (page, anchor) = runbook.and_then(|runbook| runbook.split_once('#')).unwrap_or_default();
        assert!(page.starts_with("docs/operations/"), "{name} has no runbook_url to a heading: {runbook:?}");
        assert!(anchors(page).contains(anchor), "{name}: {page} has no heading for {anchor}");
    }
}

#[test]
fn each_log_line_that_the_operations_pages_quote_is_in_the_source() {
    let source: String = files_below(&absolute("src"), "rs").iter().map(|path| words(path)).collect();
    let pages: String = files_below(&absolute("docs/operations"), "md").iter().map(|path| words(path)).collect();
    let quoted = ["log line `", "日志 `"].into_iter().flat_map(|before| pages.split(before).skip(1));
    let quoted: Vec<_> = quoted.filter_map(|rest| Some(rest.split_once('`')?.0)).collect();
    assert!(quoted.len() >= 8, "{quoted:?}");
    for line in quoted {
        assert!(source.contains(&format!("\"{line}")), "{line}");
    }
}

/// The text of a file, each run of white space as one space.
fn words(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files_below(&path, extension) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == extension)).collect()
}

/// The expressions of the dashboard's panels.
pub(crate) fn panel_expressions() -> Vec<String> {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// A file of the repository, for a Prometheus of the test's own.
pub(crate) fn absolute(path: &str) -> PathBuf {
    Path::new(repository()).join(path)
}
