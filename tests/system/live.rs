//! Two nodes on one PostgreSQL and one queue: a page on one of them learns of what the other has stored.

use std::time::Instant;

use serde_json::{Value, json};

use crate::postgres_server::Database;
use crate::support::sse::Item;
use crate::support::{EventStream, MERCHANT, Page, Proxy, Publisher, Service, Setup, event, ticket, wait_for};

/// Nodes that share a store. Reading again now and then is too rare to help.
pub(crate) struct Nodes {
    database: Database,
    pub(crate) consumes: Service,
    pub(crate) waits: Service,
}

/// A node that takes results, beside one that cannot: it consumes a queue that gets none.
impl Nodes {
    async fn start() -> Self {
        Self::start_with(|setup| setup, |setup| setup).await
    }

    pub(crate) async fn start_with(consumes: impl FnOnce(Setup) -> Setup, waits: impl FnOnce(Setup) -> Setup) -> Self {
        let database = Database::create().await;
        let consumes = consumes(on(&database, Setup::new().await, "consumes")).start().await;
        let idle = on(&database, Setup::beside(&consumes), "waits").set("AMQP__QUEUE", "idle");
        let waits = waits(idle.set("AMQP__BINDING", "idle")).start().await;
        let nodes = Self { database, consumes, waits };
        for service in [&nodes.consumes, &nodes.waits] {
            hears(service).await;
        }
        nodes
    }

    async fn publisher(&self) -> Publisher {
        Publisher::connect(self.consumes.vhost()).await
    }
}

fn on(database: &Database, setup: Setup, instance: &str) -> Setup {
    setup
        .set("STORE__URL", database.url())
        .set("STORE__POSTGRES_CONNECTIONS_MAX", 4)
        .set("INSTANCE", instance)
        .set("LIVE__REREAD_S", 3600)
        .set("LIVE__HEARTBEAT_MS", 200)
}

async fn hears(service: &Service) {
    service.metric_is("payment_notifier_live_connected", "", 1.0).await;
}

async fn metric(service: &Service, name: &str, labels: &str) -> f64 {
    service.metric(&format!("payment_notifier_live_{name}"), labels).await
}

async fn pages_wait(service: &Service, pages: f64) {
    service.metric_is("payment_notifier_pages_waiting", "", pages).await;
}

#[tokio::test]
async fn a_page_on_one_node_learns_of_what_another_has_stored_on_all_four_transports() {
    // A node that pauses for a second shall be silent to nobody.
    let patient = |setup: Setup| setup.set("LIVE__HEARTBEAT_MS", 5000);
    let nodes = Nodes::start_with(patient, patient).await;
    let publisher = nodes.publisher().await;
    let tickets = ticket(json!(["l-ws", "l-sse", "l-long", "l-poll"]));
    let (mut page, _) = Page::subscribed(&nodes.waits, &ticket("l-ws")).await;
    let mut stream = EventStream::open(&nodes.waits, "l-sse", &tickets).await;
    stream.payment().await;
    let long_poll = nodes.waits.payment("l-long", &tickets, "?after=0&wait=50");
    let (answer, ()) = tokio::join!(long_poll, async {
        pages_wait(&nodes.waits, 3.0).await;
        for order in ["l-ws", "l-sse", "l-long", "l-poll"] {
            publisher.publish(&event(order, "succeeded")).await;
        }
    });
    assert_eq!((&answer.json["status"], &answer.json["version"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(page.payment().await["status"], "succeeded");
    assert_eq!(stream.payment().await["status"], "succeeded");
    nodes.waits.payment_with_status("l-poll", &tickets, "succeeded").await;
    // By hints, not by reading again.
    nodes.waits.metric_is("payment_notifier_live_hits_total", "", 3.0).await;
    nodes.consumes.metric_is("payment_notifier_live_changes_total", "direction=\"out\"", 4.0).await;
    assert_eq!(nodes.waits.metric("payment_notifier_deliveries_total", "").await, 0.0);
    let name = "payment_notifier_arrival_to_page_seconds_count";
    nodes.waits.metric_is(name, "transport=\"websocket\"", 1.0).await;

    // A page that comes back to the other node goes on from there.
    let mut stream = EventStream::open_with(&nodes.consumes, "l-sse", &tickets, "", Some("1")).await.unwrap();
    let mut refunded = event("l-sse", "succeeded");
    refunded["refund"] = json!({ "status": "full" });
    publisher.publish(&refunded).await;
    let payment = stream.payment().await;
    assert_eq!((&payment["version"], &payment["refund"]["status"]), (&json!(2), &json!("full")));
}

#[tokio::test]
async fn a_node_that_hears_nobody_still_tells_its_pages() {
    let proxy = Proxy::start();
    let nodes = Nodes::start_with(|setup| setup, |setup| setup.through(&proxy)).await;
    let publisher = nodes.publisher().await;
    for (links, order) in [(2.0, "silent-1"), (3.0, "silent-2")] {
        let (mut page, _) = Page::subscribed(&nodes.waits, &ticket(order)).await;
        proxy.silence();
        publisher.publish(&event(order, "succeeded")).await;
        assert_eq!(page.payment().await["status"], "succeeded");
        assert_eq!(metric(&nodes.waits, "hits_total", "").await, 0.0);
        proxy.cut_and_pass();
        let connected = async || metric(&nodes.waits, "gaps_total", "reason=\"connected\"").await >= links;
        wait_for("it hears again", async || connected().await.then_some(())).await;
    }
    let (mut page, _) = Page::subscribed(&nodes.waits, &ticket("heard-1")).await;
    publisher.publish(&event("heard-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    nodes.waits.metric_is("payment_notifier_live_hits_total", "", 1.0).await;
}

#[tokio::test]
async fn a_node_that_is_killed_in_mid_flow_leaves_no_page_waiting() {
    const PAGES: usize = 60;
    let mut nodes = Nodes::start_with(|setup| setup, |setup| setup.unset("AMQP__QUEUE").unset("AMQP__BINDING")).await;
    let publisher = nodes.publisher().await;
    let orders: Vec<String> = (0..PAGES).map(|at| format!("killed-{at}")).collect();
    let mut pages = Vec::new();
    for order in &orders {
        pages.push(Page::subscribed(&nodes.waits, &ticket(order.as_str())).await.0);
    }
    for (at, order) in orders.iter().enumerate() {
        publisher.publish(&event(order, "succeeded")).await;
        if at == PAGES / 2 {
            nodes.consumes.kill9().await;
        }
    }
    for page in &mut pages {
        assert_eq!(page.payment().await["status"], "succeeded");
    }
    let silent = async || metric(&nodes.waits, "gaps_total", "reason=\"silent\"").await >= 1.0;
    wait_for("its silence is noticed", async || silent().await.then_some(())).await;
}

#[tokio::test]
async fn what_is_revoked_on_one_node_is_revoked_on_all_also_where_nobody_was_heard() {
    let proxy = Proxy::start();
    let nodes = Nodes::start_with(|setup| setup, |setup| setup.through(&proxy)).await;
    let revoke = async |body: Value| {
        let answer = nodes.consumes.admin_post("/v1/revocations", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    let allowed = async |order: &str| nodes.waits.payment(order, &ticket(order), "").await.status == 200;
    let of_order = |ttl_s: Option<u64>| {
        let mut body = json!({ "merchant_id": MERCHANT, "order_id": "revoked-1" });
        body.as_object_mut().unwrap().extend(ttl_s.map(|ttl_s| ("ttl_s".to_owned(), json!(ttl_s))));
        body
    };
    let (mut page, _) = Page::subscribed(&nodes.waits, &ticket("revoked-1")).await;
    revoke(of_order(None)).await;
    page.error_then_close("forbidden", 4401).await;
    assert!(!allowed("revoked-1").await);
    revoke(of_order(Some(0))).await;
    wait_for("it is lifted", async || allowed("revoked-1").await.then_some(())).await;

    let bad = ticket("revoked-2");
    let mut stream = EventStream::open(&nodes.waits, "revoked-2", &bad).await;
    stream.payment().await;
    proxy.silence();
    revoke(json!({ "ticket": bad })).await;
    revoke(of_order(None)).await;
    let Item::Event { event, data, .. } = stream.next().await else { panic!("an error event") };
    assert_eq!((event.as_str(), data["code"].as_str()), ("error", Some("invalid_ticket")), "{data}");
    wait_for("the order is known too", async || (!allowed("revoked-1").await).then_some(())).await;
    revoke(of_order(Some(0))).await;
    wait_for("it is lifted", async || allowed("revoked-1").await.then_some(())).await;
}

#[tokio::test]
async fn a_ticket_holds_no_more_pages_on_all_nodes_together_than_on_one() {
    const MOST: usize = 4;
    let limited = |setup: Setup| setup.set("HTTP__CONNECTIONS_PER_TICKET_MAX", MOST);
    let nodes = Nodes::start_with(limited, limited).await;
    let ticket = ticket("held-1");
    let mut held = Vec::new();
    for _ in 0..MOST {
        held.push(Page::subscribed(&nodes.consumes, &ticket).await.0);
    }
    let may_wait = async || EventStream::open_with(&nodes.waits, "held-1", &ticket, "", None).await;
    wait_for("the other node knows", async || {
        may_wait().await.err().inspect(|answer| answer.assert_problem(429, "rate_limited"))
    })
    .await;
    for page in &mut held {
        page.close().await;
    }
    wait_for("the other node knows that they are gone", async || may_wait().await.ok()).await;
}

#[tokio::test]
async fn two_nodes_of_one_name_are_an_error_that_says_so_and_no_harm() {
    let nodes = Nodes::start_with(|setup| setup, |setup| setup.set("INSTANCE", "same")).await;
    let third = on(&nodes.database, Setup::beside(&nodes.consumes), "same").start().await;
    let said = "queue \\\"payment-notifier.live.same\\\" is in use by another connection: another node has the same `instance`";
    wait_for("it says so", async || third.logs().text().contains(said).then_some(())).await;
    let (mut page, _) = Page::subscribed(&third, &ticket("same-1")).await;
    nodes.publisher().await.publish(&event("same-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    assert_eq!(metric(&third, "connected", "").await, 0.0);
}

#[tokio::test]
async fn a_single_node_declares_and_sends_nothing_for_others() {
    let service = Service::start().await;
    let (mut page, _) = Page::subscribed(&service, &ticket("single-1")).await;
    Publisher::connect(service.vhost()).await.publish(&event("single-1", "succeeded")).await;
    assert_eq!(page.payment().await["status"], "succeeded");
    let queues = service.vhost().get("queues", "").await;
    let names: Vec<_> = queues.as_array().unwrap().iter().filter_map(|queue| queue["name"].as_str()).collect();
    assert!(names.contains(&"payment-notifier.results"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("live")), "{names:?}");
    assert!(!service.admin_get("/metrics").await.text.contains("payment_notifier_live_"));
}

/// By hand, since nothing can be asserted of times on a busy machine: `cargo test --test system -- --ignored over_another`.
/// Each event is heard by a page of the node that stores it and by one of the other.
#[tokio::test]
#[ignore = "a measurement, which nothing can be asserted of on a busy machine"]
async fn what_the_way_over_another_node_costs() {
    const EVENTS: usize = 2000;
    const UNWATCHED: usize = 20_000;
    let nodes = Nodes::start().await;
    let publisher = nodes.publisher().await;
    let (mut near, _) = Page::subscribed(&nodes.consumes, &ticket("way-1")).await;
    let (mut far, _) = Page::subscribed(&nodes.waits, &ticket("way-1")).await;
    let mut ways = [Vec::new(), Vec::new()];
    for _ in 0..EVENTS {
        let event = event("way-1", "processing");
        let began = Instant::now();
        let on = async |page: &mut Page| {
            page.payment().await;
            began.elapsed()
        };
        let (near, far, ()) = tokio::join!(on(&mut near), on(&mut far), publisher.publish(&event));
        ways[0].push(near);
        ways[1].push(far);
    }
    nodes.waits.metric_is("payment_notifier_live_hits_total", "", 2000.0).await;
    for (name, mut way) in ["the node that stores", "another node"].into_iter().zip(ways) {
        way.sort_unstable();
        let at = |percent: usize| way[(way.len() * percent / 100).min(way.len() - 1)];
        println!("{EVENTS} events, from publish to a page of {name}: p50 {:?}, p99 {:?}", at(50), at(99));
    }
    let before = [&nodes.consumes, &nodes.waits].map(cpu_ms);
    for some in (0..UNWATCHED).collect::<Vec<_>>().chunks(200) {
        let orders = some.iter().map(|at| event(&format!("unwatched-{at}"), "succeeded")).collect::<Vec<_>>();
        futures_util::future::join_all(orders.iter().map(|order| publisher.publish(order))).await;
    }
    let heard = async || metric(&nodes.waits, "changes_total", "direction=\"in\"").await;
    let all = (EVENTS + UNWATCHED) as f64;
    wait_for("all are heard", async || (heard().await == all).then_some(())).await;
    let after = [&nodes.consumes, &nodes.waits].map(cpu_ms);
    let us = |node: usize| (after[node] - before[node]) as f64 * 1000.0 / UNWATCHED as f64;
    let messages = nodes.waits.metric("payment_notifier_live_lag_seconds_count", "").await;
    println!("{UNWATCHED} events that no page waits for, {messages} messages between the nodes in all");
    println!("CPU an event: {:.1} us where it is stored, {:.1} us where it is heard", us(0), us(1));
}

/// Of the whole process, in user and system mode. A tick is 10 ms on every Linux.
fn cpu_ms(service: &Service) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}
