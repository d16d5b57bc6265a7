//! What Kubernetes, compose and load balancers ask of a node, and what they learn: whether it lives, whether it can serve
//! pages, and whether all is well, which are three questions.

use reqwest::Method;
use serde_json::json;

use crate::support::api::Answer;
use crate::support::{EventStream, Page, Proxy, Publisher, Service, Setup, event, ticket, wait_for};

/// What `config/kubernetes` asks before it sends pages to a node.
const CAN_SERVE_PAGES: &str = "/readyz?exclude=broker,consumer";
const LIVES: [&str; 2] = ["/livez", "/healthz"];

async fn statuses(service: &Service, paths: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for path in paths {
        statuses.push(service.admin_get(path).await.status);
    }
    statuses
}

#[tokio::test]
async fn without_a_broker_a_node_is_not_ready_and_serves_pages_all_the_same() {
    let proxy = Proxy::start();
    let service = Setup::new().await.through(&proxy).start().await;
    Publisher::connect(service.vhost()).await.publish(&event("probe-1", "processing")).await;
    let ticket = ticket("probe-1");
    service.payment_with_status("probe-1", &ticket, "processing").await;
    assert_eq!(statuses(&service, &["/readyz", CAN_SERVE_PAGES, "/readyz/broker", "/readyz/node"]).await, [200; 4]);

    proxy.refuse();
    service.wait_unready_for(&["\"broker\"", "\"consumer\""]).await;
    let apart = [
        "/readyz?exclude=broker&exclude=consumer",
        "/readyz?exclude=broker%2Cconsumer",
        "/readyz?exclude=consumer,,broker",
    ];
    assert_eq!(statuses(&service, &apart).await, [200; 3]);
    assert_eq!(statuses(&service, &["/readyz", "/readyz?exclude=broker", "/readyz?exclude=store"]).await, [503; 3]);
    assert_eq!(statuses(&service, &["/readyz/broker", "/readyz/consumer"]).await, [503; 2]);
    assert_eq!(statuses(&service, &["/readyz/store", "/readyz/node", LIVES[0], LIVES[1]]).await, [200; 4]);

    let answer = service.admin_get(CAN_SERVE_PAGES).await;
    assert_eq!(answer.json, json!({ "ready": true, "faults": {}, "excluded": ["broker", "consumer"] }));
    assert_eq!(service.payment("probe-1", &ticket, "").await.json["status"], "processing");
    let (mut page, payment) = Page::subscribed(&service, &ticket).await;
    assert_eq!(payment["version"], 1);
    page.ping_pong().await;
    assert_eq!(EventStream::open(&service, "probe-1", &ticket).await.payment().await["version"], 1);

    Publisher::connect(service.vhost()).await.publish(&event("probe-1", "succeeded")).await;
    proxy.cut_and_pass();
    assert_eq!(page.payment().await["status"], "succeeded");
    service.wait_ready().await;
}

#[tokio::test]
async fn without_its_store_a_node_gets_no_pages_and_is_not_started_anew() {
    let service = Service::start().await;
    let (here, away) = (service.database().parent().unwrap().to_owned(), service.setup.folder().join("away"));
    std::fs::rename(&here, &away).unwrap();
    wait_for("the store is missed", async || (service.admin_get("/readyz/store").await.status == 503).then_some(()))
        .await;
    assert_eq!(statuses(&service, &["/readyz", CAN_SERVE_PAGES]).await, [503; 2]);
    assert_eq!(statuses(&service, &LIVES).await, [200; 2]);
    std::fs::rename(&away, &here).unwrap();
    wait_for("it is found again", async || (service.admin_get(CAN_SERVE_PAGES).await.status == 200).then_some(()))
        .await;
}

#[tokio::test]
async fn a_node_that_drains_gets_no_pages_and_is_not_killed_for_it() {
    let mut service = Setup::new().await.set("HTTP__DRAIN_S", 12).start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("probe-2")).await;
    service.terminate();
    service.wait_unready().await;
    assert_eq!(statuses(&service, &["/readyz", CAN_SERVE_PAGES, "/readyz/node"]).await, [503; 3]);
    assert_eq!(statuses(&service, &LIVES).await, [200; 2]);
    assert_eq!(page.frame().await["type"], "reconnect");
    assert!(service.wait_end().await.success());
}

#[tokio::test]
async fn what_is_no_part_is_named_and_leaves_nothing_out() {
    let service = Service::start().await;
    let unknown = service.admin_get("/readyz/brokr").await;
    unknown.assert_problem(404, "unknown_part");
    assert!(unknown.text.contains("broker, consumer, store, node"), "{}", unknown.text);
    assert_eq!(statuses(&service, &["/readyz/BROKER", "/readyz/broker%20"]).await, [404; 2]);
    // A typo in a probe takes no node away while all is well, and hides no fault.
    let answer = service.admin_get("/readyz?exclude=brokr,consumer").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["excluded"], json!(["consumer"]));
    assert!(answer.json["warnings"][0].as_str().unwrap().contains("no matches for \"brokr\""), "{}", answer.text);
    assert_eq!(service.admin_get("/readyz").await.json, json!({ "ready": true, "faults": {} }));

    let answer = service.admin_get("/readyz?verbose&exclude=consumer,nothing").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    let lines: Vec<_> = answer.text.lines().collect();
    assert_eq!(
        lines,
        [
            "[+]broker ok",
            "[+]consumer excluded: ok",
            "[+]store ok",
            "[+]node ok",
            "warn: some health checks cannot be excluded: no matches for \"nothing\"",
            "readyz check passed",
        ]
    );
    let head = service.client.request(Method::HEAD, format!("http://{}{CAN_SERVE_PAGES}", service.admin));
    assert_eq!(Answer::of(head).await.status, 200);
}
