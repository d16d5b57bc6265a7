//! `config/kubernetes` keeps to the schemas of Kubernetes, strictly, and says the same as the service.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use serde_json::{Value, json};

use crate::support::{repository, tools};

/// The oldest release that has all that the files use, and the newest whose schemas the validator has.
const RELEASES: [&str; 2] = ["1.30", "1.37"];
const FILES: [&str; 7] = [
    "namespace",
    "deployment",
    "service",
    "poddisruptionbudget",
    "horizontalpodautoscaler",
    "networkpolicy",
    "ingress",
];
/// What `config/kubernetes/monitoring` brings for the Prometheus operator.
const MONITORING: [&str; 2] = ["monitoring/servicemonitor", "monitoring/prometheusrule"];
/// Where the deployment puts the Secret.
const SECRETS: &str = "/etc/payment-notifier/secrets";
/// How long the shutdown takes at most beside `http.drain_s`: consumer, what is left of pages, operators' listener, notes, store.
const SHUTDOWN_BESIDE_DRAIN_S: u64 = 50;

fn folder() -> PathBuf {
    repository().join("config/kubernetes")
}

fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.yaml"))
}

async fn validated(release: &str, paths: &[PathBuf]) -> (ExitStatus, String, String) {
    let mut command = Command::new(tools::python());
    command.arg(repository().join("tests/clients/python/kubernetes_manifests.py")).arg(release).args(paths);
    tools::end_of(command, String::new()).await
}

/// All resources by their kind and name.
async fn resources(release: &str) -> BTreeMap<String, Value> {
    let paths: Vec<_> = FILES.iter().chain(&MONITORING).map(|name| path(name)).collect();
    let (status, out, err) = validated(release, &paths).await;
    assert!(status.success() && err.is_empty(), "{release}: {err}");
    let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["resource"].take());
    lines
        .map(|resource| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (format!("{}/{}", text(&resource["kind"]), text(&resource["metadata"]["name"])), resource)
        })
        .collect()
}

/// The variables of a file of them.
fn variables(name: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once('=').expect("NAME=VALUE")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[tokio::test]
async fn each_manifest_keeps_to_the_schemas_of_the_oldest_and_the_newest_release() {
    for release in RELEASES {
        assert_eq!(
            resources(release).await.len(),
            FILES.len() + MONITORING.len() + 1,
            "a service for pages and one for operators"
        );
    }
    let kustomization = std::fs::read_to_string(path("kustomization")).unwrap();
    for name in FILES.iter().filter(|name| **name != "ingress") {
        assert!(kustomization.contains(&format!("  - {name}.yaml\n")), "{name}");
    }
}

#[tokio::test]
async fn a_manifest_with_a_fault_is_refused() {
    let good = std::fs::read_to_string(path("deployment")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (number, (from, to, said)) in [
        ("          readinessProbe:", "          readynessProbe:", "readynessProbe"),
        ("maxSurge: 1\n", "maxSurge: [1]\n", "maxSurge"),
        ("minReadySeconds: 10", "minReadySeconds: ten", "minReadySeconds"),
        ("              cpu: 500m\n", "              cpu: 500m\n              cpu: 1\n", "twice: cpu"),
        ("apiVersion: apps/v1\n", "apiVersion: apps/v2\n", "Couldn't find schema"),
        ("        - name: payment-notifier\n          image", "        - image", "'name' is a required property"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(good.matches(from).count(), 1, "{from}");
        let bad = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&bad, good.replace(from, to)).unwrap();
        let (status, _, err) = validated(RELEASES[1], &[bad]).await;
        assert!(!status.success() && err.contains(said), "{to}: {err}");
    }
}

#[tokio::test]
async fn parts_find_each_other_and_pages_have_time_to_leave() {
    let all = resources(RELEASES[1]).await;
    let deployment = &all["Deployment/payment-notifier"]["spec"];
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let labels = &deployment["template"]["metadata"]["labels"];
    let ports: Vec<&Value> = container["ports"].as_array().unwrap().iter().map(|port| &port["name"]).collect();
    assert_eq!(&deployment["selector"]["matchLabels"], labels);
    assert_eq!(&all["PodDisruptionBudget/payment-notifier"]["spec"]["selector"]["matchLabels"], labels);
    for (service, port) in [("payment-notifier", "pages"), ("payment-notifier-admin", "admin")] {
        let service = &all[&format!("Service/{service}")]["spec"];
        assert_eq!(&service["selector"], labels);
        assert_eq!(service["ports"][0]["targetPort"], port);
        assert!(ports.contains(&&Value::from(port)), "{ports:?}");
    }
    let backend = &all["Ingress/payment-notifier"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!((&backend["name"], &backend["port"]["name"]), (&"payment-notifier".into(), &"pages".into()));
    // Liveness looks at nothing outside of the process, and readiness at nothing that pages can do without.
    let pages = "/readyz?exclude=broker,consumer";
    for (probe, asks) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", pages)] {
        let ask = &container[probe]["httpGet"];
        assert_eq!((&ask["path"], &ask["port"]), (&asks.into(), &"admin".into()), "{probe}");
    }
    let defaults = payment_notifier::config::load_from(None, Vec::new()).unwrap();
    let leaves_s = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace_s = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace_s > leaves_s + defaults.http.drain_s + SHUTDOWN_BESIDE_DRAIN_S, "{grace_s}");

    let autoscaler = &all["HorizontalPodAutoscaler/payment-notifier"]["spec"];
    assert_eq!(autoscaler["scaleTargetRef"]["kind"], "Deployment");
    assert_eq!(autoscaler["scaleTargetRef"]["name"], "payment-notifier");
    let pods = &autoscaler["metrics"][0]["pods"];
    let metric = pods["metric"]["name"].as_str().unwrap();
    let operations = std::fs::read_to_string(repository().join("docs/operations/metrics.md")).unwrap();
    assert!(operations.contains(&format!("| `{metric}` | gauge |")), "{metric}");
    let adapter = std::fs::read_to_string(path("prometheus-adapter")).unwrap();
    assert!(adapter.contains(&format!("as: {metric}\n")) && adapter.contains(&format!("'{metric}{{")), "{adapter}");
    let wanted: usize = pods["target"]["averageValue"].as_str().unwrap().parse().unwrap();
    let least = usize::try_from(autoscaler["minReplicas"].as_u64().unwrap()).unwrap();
    assert!(wanted * least <= defaults.http.connections_max * (least - 1), "the others can take what one held");
}

/// The names of the fields of an object, sorted.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_ingress_says_what_the_proxy_of_ours_says() {
    let all = resources(RELEASES[1]).await;
    let defaults = payment_notifier::config::load_from(None, Vec::new()).unwrap();
    let annotations = &all["Ingress/payment-notifier"]["metadata"]["annotations"];
    let said = |name: &str| annotations[format!("nginx.ingress.kubernetes.io/{name}")].as_str().expect(name);
    let nginx = std::fs::read_to_string(repository().join("config/nginx/payment-notifier.conf")).unwrap();
    for (annotation, line) in [
        ("proxy-read-timeout", "proxy_read_timeout {}s;"),
        ("proxy-send-timeout", "proxy_send_timeout {}s;"),
        ("proxy-connect-timeout", "proxy_connect_timeout {}s;"),
        ("proxy-body-size", "client_max_body_size {};"),
        ("proxy-buffering", "proxy_buffering {};"),
        ("proxy-next-upstream", "proxy_next_upstream {};"),
        ("proxy-next-upstream-tries", "proxy_next_upstream_tries {};"),
        ("proxy-next-upstream-timeout", "proxy_next_upstream_timeout {}s;"),
    ] {
        assert!(nginx.contains(&line.replace("{}", said(annotation))), "{annotation}");
    }
    let read_s: u64 = said("proxy-read-timeout").parse().unwrap();
    assert!(read_s > defaults.http.wait_s_max && read_s > defaults.http.silent_s);
}

#[tokio::test]
async fn the_network_policy_lets_in_and_out_what_the_nodes_need() {
    let all = resources(RELEASES[1]).await;
    let pod = &all["Deployment/payment-notifier"]["spec"]["template"];
    let policy = &all["NetworkPolicy/payment-notifier"]["spec"];
    assert_eq!(policy["podSelector"]["matchLabels"], pod["metadata"]["labels"]);
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let ports = |rules: &Value| -> Vec<Value> {
        let rules = rules.as_array().expect("rules").iter();
        rules
            .flat_map(|rule| rule["ports"].as_array().expect("ports").iter().map(|port| port["port"].clone()))
            .collect()
    };
    // Each from a namespace of its own, and none from everywhere.
    let named: Vec<_> =
        pod["spec"]["containers"][0]["ports"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(ports(&policy["ingress"]), named);
    assert!(policy["ingress"].as_array().unwrap().iter().all(|rule| rule["from"][0]["namespaceSelector"].is_object()));
    let out = ports(&policy["egress"]);
    for port in [53, 5671, 5672, 5432, 443] {
        assert!(out.contains(&json!(port)), "{port}");
    }
}

#[tokio::test]
async fn the_prometheus_operator_finds_the_nodes_and_gets_the_alerts_as_they_are() {
    let all = resources(RELEASES[1]).await;
    let monitor = &all["ServiceMonitor/payment-notifier"]["spec"];
    let service = &all["Service/payment-notifier-admin"];
    assert_eq!(monitor["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert_ne!(monitor["selector"]["matchLabels"], all["Service/payment-notifier"]["metadata"]["labels"]);
    // The alerts know the nodes by this job.
    let job = monitor["jobLabel"].as_str().unwrap();
    assert_eq!(service["metadata"]["labels"][job], "payment-notifier");
    let endpoint = &monitor["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(fields(monitor), ["endpoints", "jobLabel", "selector"]);
    assert_eq!(fields(endpoint), ["authorization", "interval", "path", "port", "scrapeTimeout"]);
    let credentials = json!({ "name": "payment-notifier-scrape", "key": "token" });
    assert_eq!(endpoint["authorization"], json!({ "type": "Bearer", "credentials": credentials }));
    let component = std::fs::read_to_string(path("monitoring/kustomization")).unwrap();
    assert!(
        component.contains("  - name: payment-notifier-scrape\n    files:\n      - secrets/token\n"),
        "{component}"
    );

    let generated = std::fs::read_to_string(path("monitoring/prometheusrule")).unwrap();
    let rules = std::fs::read_to_string(repository().join("config/prometheus/payment-notifier.rules.yml")).unwrap();
    let source: Vec<_> = rules.lines().skip_while(|line| *line != "groups:").collect();
    let copied: Vec<_> = generated.lines().skip_while(|line| *line != "  groups:").collect();
    let copied: Vec<_> = copied.iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    assert_eq!(copied, source, "run scripts/prometheus-rule");
    for rule in all["PrometheusRule/payment-notifier"]["spec"]["groups"][0]["rules"].as_array().unwrap() {
        assert!(rule["alert"].is_string() && rule["expr"].is_string(), "{rule}");
    }
}

/// `settings.env` as a node reads it, with its secrets in another folder than the one of a pod.
fn settings_with(secrets: &Path) -> Vec<(String, String)> {
    let moved = |value: String| match value.strip_prefix(SECRETS) {
        Some(name) => secrets.join(&name[1..]).display().to_string(),
        None => value,
    };
    variables("settings.env").into_iter().map(|(name, value)| (name, moved(value))).collect()
}

#[tokio::test]
async fn secrets_come_as_files_that_the_user_of_the_nodes_alone_can_read() {
    let all = resources(RELEASES[1]).await;
    let pod = &all["Deployment/payment-notifier"]["spec"]["template"]["spec"];
    let secret = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "secrets").unwrap();
    assert_eq!(secret["secret"], json!({ "secretName": "payment-notifier", "defaultMode": 0o440 }));
    assert_eq!(pod["securityContext"]["fsGroup"], pod["securityContext"]["runAsGroup"]);
    let container = &pod["containers"][0];
    let mount = json!({ "name": "secrets", "mountPath": SECRETS, "readOnly": true });
    assert!(container["volumeMounts"].as_array().unwrap().contains(&mount));
    assert_eq!(container["envFrom"], json!([{ "configMapRef": { "name": "payment-notifier" } }]));

    let kustomization = std::fs::read_to_string(path("kustomization")).unwrap();
    for entry in std::fs::read_dir(folder().join("secrets.example")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(kustomization.contains(&format!("      - secrets/{name}\n")), "{name}");
        let read = format!("{SECRETS}/{name}");
        assert!(
            variables("settings.env").iter().any(|(key, value)| key.ends_with("_FILE") && *value == read),
            "{name}"
        );
    }
}

#[test]
fn its_settings_are_settings_of_the_service_and_each_of_its_placeholders_is_refused() {
    let secrets = tempfile::tempdir().unwrap();
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(folder().join("secrets.example")).unwrap() {
        let entry = entry.unwrap();
        let example = std::fs::read_to_string(entry.path()).unwrap();
        let path = secrets.path().join(entry.file_name());
        let good = match example.starts_with("REPLACE") {
            true => "made-by-a-test-0123456789-0123456789".to_owned(),
            false => example.replace("PASSWORD", "made-by-a-test"),
        };
        std::fs::write(&path, good).unwrap();
        examples.push((path, example));
    }
    let load = || payment_notifier::config::load_from(None, settings_with(secrets.path()));
    let loaded = load().expect("settings that can be used");
    assert!(!loaded.admin.listen.ip().is_loopback() && !loaded.amqp.declare);
    payment_notifier::app::check(&loaded).expect("settings that the service can start with");
    for (path, example) in examples {
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, example).unwrap();
        let line = load().unwrap_err().to_string();
        assert!(line.contains("a placeholder from an example") && line.contains(path.to_str().unwrap()), "{line}");
        std::fs::write(&path, good).unwrap();
    }
}
