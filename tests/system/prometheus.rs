//! A real Prometheus with the shipped settings, beside the real program: the scrape, the alerts, the dashboard's questions.

use std::path::Path;
use std::process::Command;

use lapin::BasicProperties;
use serde_json::Value;

use super::alerts::{RULES, absolute, panel_expressions, read};
use super::metrics::do_something_of_everything;
use crate::support::api::{Answer, client};
use crate::support::process::Process;
use crate::support::{Publisher, Service, Setup, wait_for};

const TOKEN: &str = "test-only-admin-token-0001";

struct Prometheus {
    _process: Process,
    address: String,
}

impl Prometheus {
    /// With the shipped settings but for addresses and the time between two looks.
    async fn start(folder: &Path, service: &Service) -> Self {
        let mut config = read("config/prometheus/prometheus.yml");
        let token = folder.join("admin.token");
        std::fs::write(&token, TOKEN).unwrap();
        for (shipped, ours) in [
            ("payment-notifier:9090", service.admin.to_string()),
            ("/etc/prometheus/payment-notifier.rules.yml", absolute(RULES).display().to_string()),
            ("/run/prometheus/admin.token", token.display().to_string()),
            ("scrape_interval: 15s", "scrape_interval: 1s".to_owned()),
            ("evaluation_interval: 15s", "evaluation_interval: 1s".to_owned()),
        ] {
            assert!(config.contains(shipped), "{shipped}");
            config = config.replace(shipped, &ours);
        }
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()));
        command.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        let process = Process::start(command);
        let address = wait_for("Prometheus listens", async || {
            let lines = process.logs().json();
            let line = lines.iter().find(|line| line["msg"] == "Listening on")?;
            Some(line["address"].as_str()?.to_owned())
        })
        .await;
        wait_for("Prometheus is ready", async || {
            let ready = Answer::of(client().get(format!("http://{address}/-/ready"))).await;
            (ready.status == 200).then_some(())
        })
        .await;
        Self { _process: process, address }
    }

    async fn get(&self, path: &str, query: &str) -> Value {
        let request = client().get(format!("http://{}/api/v1/{path}", self.address));
        let request = if query.is_empty() { request } else { request.query(&[("query", query)]) };
        let answer = Answer::of(request).await;
        assert_eq!(answer.json["status"], "success", "{path} {query}: {}", answer.text);
        answer.json["data"].clone()
    }

    async fn samples(&self, query: &str) -> usize {
        self.get("query", query).await["result"].as_array().map_or(0, Vec::len)
    }

    async fn wait_for_samples(&self, query: &str) {
        wait_for(query, async || (self.samples(query).await > 0).then_some(())).await;
    }
}

#[tokio::test]
async fn prometheus_scrapes_with_the_token_and_answers_each_panel_and_each_alert() {
    let service = Setup::new().await.set("ADMIN__TOKEN", TOKEN).set("AMQP__LAG_INTERVAL_S", 1).start().await;
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), &service).await;
    prometheus.wait_for_samples("up == 1").await;
    do_something_of_everything(&service).await;
    // The first dead letter of a kind is an increase, since its counter stood at 0 before.
    prometheus.wait_for_samples("payment_notifier_dead_letters_total{reason=\"too_deep\"} == 0").await;
    let deep = "[".repeat(100);
    Publisher::connect(service.vhost()).await.publish_bytes(deep.as_bytes(), BasicProperties::default()).await;
    let firing = "ALERTS{alertname=\"PaymentNotifierDeadLettersRise\", alertstate=\"firing\", reason=\"too_deep\"}";
    prometheus.wait_for_samples(firing).await;

    let groups = prometheus.get("rules", "").await["groups"].clone();
    for rule in groups[0]["rules"].as_array().unwrap() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let expressions = panel_expressions();
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in expressions {
        let asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        // Nothing here speaks TLS, and there is one node.
        if ["_tls_", "_live_"].iter().any(|part| expression.contains(part)) {
            prometheus.get("query", &asked).await;
        } else {
            prometheus.wait_for_samples(&asked).await;
        }
    }
}
