//! What one node stores reaches the pages of another, and where it does not, nobody waits in vain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ExchangeDeleteOptions};
use payment_notifier::broker::live::{HeldTicket, Live, LiveParts, LiveSender, Pages};
use payment_notifier::config;
use payment_notifier::hub::{Hub, Inbox, Subscription};
use payment_notifier::payment::{Key, Status};
use payment_notifier::runtime::Tasks;
use payment_notifier::store::{self, PaymentStore, Revocation, Revoked};
use payment_notifier::telemetry::Metrics;
use serde_json::json;

use crate::harness::{DEADLINE, Node, World, body, event, key, metric_of, until};
use crate::memory::Memory;

/// That a node has room for, from the others.
const REVOCATIONS_MAX: usize = 2;

/// The side of the pages: what it was given.
#[derive(Default)]
struct Told {
    revoked: Mutex<Vec<(Revocation, Vec<Key>)>>,
    read: AtomicUsize,
    held: Mutex<Vec<HeldTicket>>,
    holds: Vec<HeldTicket>,
}

#[async_trait]
impl Pages for Told {
    fn revoked(&self, revocation: Revocation, keys: &[Key]) -> bool {
        let mut revoked = self.revoked.lock().unwrap();
        let has_room = revoked.len() < REVOCATIONS_MAX;
        if has_room {
            revoked.push((revocation, keys.to_vec()));
        }
        has_room
    }

    async fn read_revocations(&self) -> Result<(), store::Error> {
        self.read.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn held_tickets(&self, tickets_max: usize) -> Vec<HeldTicket> {
        self.holds.iter().take(tickets_max).copied().collect()
    }

    fn held_by(&self, _node: u64, tickets: Vec<HeldTicket>, valid: Duration) {
        if !valid.is_zero() {
            *self.held.lock().unwrap() = tickets;
        }
    }
}

/// The links of one node, over a store that it shares with others.
struct Links {
    hub: Arc<Hub>,
    pages: Arc<Told>,
    metrics: Metrics,
    teller: LiveSender,
    tasks: Tasks,
}

/// Nothing is found by reading again now and then.
fn by_hints_alone() -> config::Live {
    config::Live { reread_s: 3600, heartbeat_ms: 200, ..config::load(None).unwrap().live }
}

impl Links {
    fn begin(world: &World, instance: &str, store: &Arc<Memory>, live: config::Live, holds: Vec<HeldTicket>) -> Self {
        let metrics = Metrics::new().unwrap();
        let (hub, pages) = (Hub::new(), Arc::new(Told { holds, ..Told::default() }));
        let parts =
            LiveParts { store: store.clone(), hub: hub.clone(), pages: pages.clone(), metrics: metrics.clone() };
        let mut options = world.options();
        options.instance = format!("{instance}-{}", world.vhost);
        let teller = LiveSender::new(&live, metrics.clone());
        let links = Live::new(&options, live, teller.clone(), parts).unwrap();
        let tasks = Tasks::new();
        tasks.spawn(links.run(tasks.clone()));
        Self { hub, pages, metrics, teller, tasks }
    }

    async fn start(world: &World, instance: &str, store: &Arc<Memory>, live: config::Live) -> Self {
        let links = Self::begin(world, instance, store, live, Vec::new());
        links.wait_connected().await;
        links
    }

    async fn wait_connected(&self) {
        until("the node is connected", async || self.is_connected()).await;
    }

    fn is_connected(&self) -> bool {
        self.metric("live_connected") == 1.0
    }

    fn metric(&self, line: &str) -> f64 {
        metric_of(&self.metrics, line)
    }

    fn gaps(&self, reason: &str) -> f64 {
        self.metric(&format!("live_gaps_total{{reason={reason:?}}}"))
    }

    fn page(&self, order: &str) -> Page {
        let inbox = Inbox::new();
        let subscription = self.hub.subscribe(&inbox, &key(order)).unwrap();
        Page { inbox, _subscription: subscription }
    }

    async fn stop(&self) {
        self.tasks.stop();
        self.tasks.join(Duration::from_secs(20)).await.expect("the links end");
    }
}

/// Waits for one order.
struct Page {
    inbox: Arc<Inbox>,
    _subscription: Subscription,
}

impl Page {
    async fn next_update(&self) -> Arc<payment_notifier::hub::Update> {
        tokio::time::timeout(DEADLINE, self.inbox.next()).await.expect("the page is updated").expect("no interruption")
    }
}

/// A node that consumes, and tells the others by `links`.
async fn consumer(world: &World, store: &Arc<Memory>, links: &Links) -> Node {
    let node = Node::begin_telling(world, store.clone(), Some(links.teller.clone()));
    until("the consumer is established", async || !node.faults().contains("consumer")).await;
    node
}

async fn send(world: &World, order: &str) {
    world.send(&body(order, "e", Status::Succeeded), BasicProperties::default()).await;
}

/// Stores something that no other node is sent.
async fn store_unsent(store: &Memory, order: &str) {
    store.apply_events(vec![event(order, "e", Status::Succeeded)]).await.unwrap();
}

/// Says something as another node would.
async fn publish_as_node(world: &World, sequence: u64, heartbeat_ms: u64) {
    let text = json!({
        "format": 1, "instance": "other", "run": "00000000000000aa", "sequence": sequence,
        "sent_us": payment_notifier::runtime::unix_us(), "heartbeat_ms": heartbeat_ms,
    });
    say_text(world, &text.to_string()).await;
}

async fn say_text(world: &World, text: &str) {
    let (exchange, options) = (world.amqp.live_exchange.as_str().into(), BasicPublishOptions::default());
    let properties = BasicProperties::default();
    drop(world.channel().await.basic_publish(exchange, "".into(), options, text.as_bytes(), properties).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_learns_of_what_another_node_stored_and_no_node_of_what_it_said_itself() {
    let (world, store) = (World::new("live").await, Memory::new());
    // A node that pauses for a second shall be silent to nobody.
    let patient = || config::Live { heartbeat_ms: 2000, ..by_hints_alone() };
    let a = Links::start(&world, "a", &store, patient()).await;
    let b = Links::start(&world, "b", &store, patient()).await;
    let node = consumer(&world, &store, &b).await;
    let page = a.page("o-1");
    for order in ["o-0", "o-1", "o-2"] {
        send(&world, order).await;
    }
    let update = page.next_update().await;
    assert_eq!(
        (&update.payment.key, update.payment.status, update.payment.version),
        (&key("o-1"), Status::Succeeded, 1)
    );
    assert!(update.received_at.is_some_and(|at| at.elapsed() < DEADLINE));
    until("all three are received", async || a.metric("live_changes_total{direction=\"in\"}") == 3.0).await;
    until("the hit is counted", async || a.metric("live_hits_total") == 1.0).await;
    until("the lag is measured", async || a.metric("live_lag_seconds_count") >= 1.0).await;
    until("all three are counted as sent", async || b.metric("live_changes_total{direction=\"out\"}") == 3.0).await;
    until("the nodes know each other", async || b.metric("live_lag_seconds_count") >= 1.0).await;
    assert_eq!(b.metric("live_changes_total{direction=\"in\"}"), 0.0, "its own are none of another node");
    let queue =
        world.management.call("GET", &format!("queues/{}/payment-notifier.live.a-{0}", world.vhost), None).await;
    assert_eq!(
        (&queue["exclusive"], &queue["auto_delete"], &queue["type"]),
        (&json!(true), &json!(true), &json!("classic"))
    );
    assert_eq!(
        (&queue["arguments"]["x-max-length"], &queue["arguments"]["x-overflow"]),
        (&json!(4096), &json!("drop-head"))
    );
    for name in ["payment-notifier live-in a-", "payment-notifier live-out b-", "payment-notifier consumer"] {
        until("the console names it", async || world.connections(name).await.len() == 1).await;
    }
    node.stop().await;
    b.stop().await;
    assert_eq!((a.gaps("silent"), a.gaps("sequence")), (0.0, 0.0), "a node that leaves in order is missed by nobody");
    a.stop().await;
    assert_eq!(world.queue(&format!("payment-notifier.live.a-{}", world.vhost)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_drops_is_read_again_by_the_others() {
    let (world, store) = (World::new("dropped").await, Memory::new());
    let a = Links::start(&world, "a", &store, by_hints_alone()).await;
    let b = Links::start(&world, "b", &store, config::Live { changes_waiting_max: 1, ..by_hints_alone() }).await;
    let node = consumer(&world, &store, &b).await;
    let prefetch = u32::from(world.amqp.prefetch);
    let pages: Vec<_> = (0..prefetch + 100).map(|at| a.page(&format!("o-{at}"))).collect();
    let shut = store.gate.write().await;
    for at in 0..prefetch + 100 {
        send(&world, &format!("o-{at}")).await;
    }
    until("a batch waits", async || node.metric("deliveries_in_flight") == f64::from(prefetch)).await;
    drop(shut);
    for page in &pages {
        assert_eq!(page.next_update().await.payment.status, Status::Succeeded);
    }
    assert!(b.metric("live_dropped_total") >= f64::from(prefetch / 2), "{}", b.metrics.render());
    assert!(a.gaps("sequence") >= 1.0);
    until("that is counted", async || a.metric("live_rereads_total{cause=\"gap\"}") > f64::from(prefetch)).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_number_a_silent_node_and_words_that_nobody_understands_make_a_node_read_again() {
    let (world, store) = (World::new("gaps").await, Memory::new());
    let a = Links::start(&world, "a", &store, by_hints_alone()).await;
    publish_as_node(&world, 1, 3_600_000).await;
    until("the other node is known", async || a.metric("live_lag_seconds_count") == 1.0).await;
    let read = async |order: &str, reason: &str| {
        let page = a.page(order);
        let before = a.metric("live_rereads_total{cause=\"gap\"}");
        store_unsent(&store, order).await;
        match reason {
            "sequence" => publish_as_node(&world, 3, 3_600_000).await,
            "silent" => publish_as_node(&world, 4, 10).await,
            _ => say_text(&world, r#"{"format":2}"#).await,
        }
        assert_eq!(page.next_update().await.payment.version, 1);
        until("it was for that", async || {
            a.gaps(reason) >= 1.0 && a.metric("live_rereads_total{cause=\"gap\"}") > before
        })
        .await;
    };
    for (order, reason) in [("o-1", "sequence"), ("o-2", "silent"), ("o-3", "unreadable")] {
        read(order, reason).await;
    }
    assert_eq!(a.metric("live_hits_total"), 0.0);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_closed_or_deaf_is_built_anew_and_what_it_missed_is_read() {
    let (world, store) = (World::new("link").await, Memory::new());
    let a = Links::start(&world, "a", &store, by_hints_alone()).await;
    let page = a.page("o-1");
    let name = "payment-notifier live-in a-";
    until("the connection has its name", async || world.connections(name).await.len() == 1).await;
    store_unsent(&store, "o-1").await;
    assert_eq!(world.close_connections(name).await, 1);
    page.next_update().await;
    a.wait_connected().await;
    until("the gap is counted", async || a.gaps("connected") >= 2.0).await;

    // Without its exchange no node receives from any other, and no connection ends of that.
    let page = a.page("o-2");
    let (channel, exchange) = (world.channel().await, world.amqp.live_exchange.as_str().into());
    channel.exchange_delete(exchange, ExchangeDeleteOptions::default()).await.unwrap();
    store_unsent(&store, "o-2").await;
    page.next_update().await;
    let b = Links::start(&world, "b", &store, by_hints_alone()).await;
    until("both are connected again", async || {
        a.metric("live_lag_seconds_count") > 0.0 && b.metric("live_lag_seconds_count") > 0.0
    })
    .await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_noticed_to_be_lost_is_read_at_a_steady_pace_and_a_store_that_is_down_is_waited_for() {
    let (world, store) = (World::new("steady").await, Memory::new());
    let a = Links::start(&world, "a", &store, config::Live { reread_s: 1, ..by_hints_alone() }).await;
    let page = a.page("o-1");
    store.unreadable.store(3, Ordering::SeqCst);
    store_unsent(&store, "o-1").await;
    page.next_update().await;
    until("that is counted", async || a.metric("live_rereads_total{cause=\"steady\"}") >= 1.0).await;
    assert_eq!(store.unreadable.load(Ordering::SeqCst), 0);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_stored_and_could_not_tell_is_told_by_who_gets_the_event_next() {
    let (world, store) = (World::new("unsent").await, Memory::new());
    let a = Links::start(&world, "a", &store, by_hints_alone()).await;
    let b = Links::start(&world, "b", &store, by_hints_alone()).await;
    let node = consumer(&world, &store, &b).await;
    let page = a.page("o-1");
    // Stored, and the answer lost: the second attempt finds nothing but a duplicate.
    store.ambiguous.store(1, Ordering::SeqCst);
    send(&world, "o-1").await;
    page.next_update().await;
    until("the hit is counted", async || a.metric("live_hits_total") == 1.0).await;
    until("the duplicate is counted", async || node.metric("events_total{outcome=\"duplicate\"}") == 1.0).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_of_one_name_are_told_apart_by_the_broker_and_the_second_waits_for_the_first() {
    let (world, store) = (World::new("clash").await, Memory::new());
    let first = Links::start(&world, "same", &store, by_hints_alone()).await;
    let second = Links::begin(&world, "same", &store, by_hints_alone(), Vec::new());
    // It sends to the first, though it cannot receive from it.
    until("the second speaks", async || first.metric("live_lag_seconds_count") >= 3.0).await;
    assert!(!second.is_connected());
    first.stop().await;
    second.wait_connected().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_and_what_tickets_hold_reach_the_other_nodes() {
    let (world, store) = (World::new("beside").await, Memory::new());
    let held = HeldTicket { fingerprint: [7; 16], pages: 9 };
    let a = Links::start(&world, "a", &store, by_hints_alone()).await;
    let b = Links::begin(&world, "b", &store, by_hints_alone(), vec![held]);
    until("the ticket is known", async || *a.pages.held.lock().unwrap() == [held]).await;
    let of_ticket = Revocation { revoked: Revoked::Ticket([3; 16]), until_s: 99 };
    let of_order = Revocation { revoked: Revoked::Order(key("o-3")), until_s: 98 };
    b.teller.revoked(of_ticket.clone(), vec![key("o-1"), key("o-2")]);
    b.teller.revoked(of_order.clone(), vec![key("o-3")]);
    let expected = vec![(of_ticket, vec![key("o-1"), key("o-2")]), (of_order, vec![key("o-3")])];
    until("both are received", async || *a.pages.revoked.lock().unwrap() == expected).await;
    assert!(b.pages.revoked.lock().unwrap().is_empty());
    let before = a.pages.read.load(Ordering::Relaxed);
    b.teller.revoked(Revocation { revoked: Revoked::Ticket([4; 16]), until_s: 97 }, Vec::new());
    until("the store is read for what has no room", async || {
        a.gaps("full") == 1.0 && a.pages.read.load(Ordering::Relaxed) > before
    })
    .await;
    b.stop().await;
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_leave_to_declare_needs_no_more_rights_than_the_definitions_give() {
    let mut world = World::new("liverights").await;
    payment_notifier::broker::check(&world.options()).await.unwrap();
    let user = format!("{}-user", world.vhost);
    world.management.call("PUT", &format!("users/{user}"), Some(json!({ "password": "hunter2", "tags": "" }))).await;
    let definitions: serde_json::Value =
        serde_json::from_str(include_str!("../../config/rabbitmq/definitions.json")).unwrap();
    let rights = definitions["permissions"].as_array().unwrap().iter().find(|of| of["user"] == "notifier").unwrap();
    let rights = json!({ "configure": rights["configure"], "write": rights["write"], "read": rights["read"] });
    world.management.call("PUT", &format!("permissions/{}/{user}", world.vhost), Some(rights)).await;
    let (_, host) = world.amqp.url.expose().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    world.amqp.url = config::Secret::new(format!("amqp://{user}:hunter2@{host}"));
    world.amqp.declare = false;
    let store = Memory::new();
    let (a, b) = tokio::join!(
        Links::start(&world, "a", &store, by_hints_alone()),
        Links::start(&world, "b", &store, by_hints_alone()),
    );
    let revocation = Revocation { revoked: Revoked::Order(key("o-1")), until_s: 99 };
    b.teller.revoked(revocation, Vec::new());
    until("a receives from b", async || a.pages.revoked.lock().unwrap().len() == 1).await;
    a.stop().await;
    b.stop().await;
    world.management.call("DELETE", &format!("users/{user}"), None).await;
}
