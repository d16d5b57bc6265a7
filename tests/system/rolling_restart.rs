//! A service that is restarted several times while payments arrive and pages wait, each in its own way.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Error;

use crate::support::{Heard, Page, Publisher, Service, Setup, event, ticket, wait_for, wait_up_to};

const ORDERS: usize = 5;
/// For the confirms between two restarts, one after the other.
const PATIENCE: Duration = Duration::from_secs(120);
const PAGES_PER_ORDER: usize = 8;
const RESTARTS: usize = 3;
const EVENTS_BETWEEN_RESTARTS: usize = 150;
/// Of a page that finds nobody: the node has stopped and is not back yet.
const RETRY_WAIT: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(120);

/// One page over all of its connections.
pub(crate) struct Waiting {
    address: Arc<Mutex<SocketAddr>>,
    order_id: String,
    ticket: String,
    version: u64,
    last: Value,
    connections: usize,
    reconnects: usize,
}

impl Waiting {
    fn new(address: &Arc<Mutex<SocketAddr>>, order: usize) -> Self {
        let order_id = format!("rolling-{order}");
        let ticket = ticket(order_id.as_str());
        Self::with_ticket(address, order_id, ticket)
    }

    pub(crate) fn with_ticket(address: &Arc<Mutex<SocketAddr>>, order_id: String, ticket: String) -> Self {
        let address = Arc::clone(address);
        Self { address, order_id, ticket, version: 0, last: Value::Null, connections: 0, reconnects: 0 }
    }

    fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.last["final"] == true
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// Takes a payment, which must never be older than what was shown before, over any number of restarts.
    fn show(&mut self, payment: &Value) {
        let Some(version) = payment["version"].as_u64() else { return };
        assert!(version >= self.version, "{} went back from {} to {version}", self.order_id, self.version);
        self.version = version;
        self.last = payment.clone();
    }

    pub(crate) async fn by_websocket(mut self) -> Self {
        while !self.is_over() {
            let mut page = match Page::open_at(self.address(), "/v1/ws", &[]).await {
                Ok((page, _)) => page,
                Err(error) => {
                    self.pause(error).await;
                    continue;
                }
            };
            self.connections += 1;
            page.send(&serde_json::json!({ "type": "subscribe", "ticket": self.ticket })).await;
            while !self.is_over() {
                match page.hear().await {
                    Heard::Frame(frame) if frame["type"] == "reconnect" => {
                        self.reconnects += 1;
                        let after_ms = frame["after_ms"].as_u64().expect("milliseconds");
                        assert_eq!(page.hear().await, Heard::Closed(Some(1012)));
                        tokio::time::sleep(Duration::from_millis(after_ms)).await;
                        break;
                    }
                    Heard::Frame(frame) => {
                        assert!(frame["type"] == "subscribed" || frame["type"] == "payment", "{frame}");
                        self.show(&frame["payment"]);
                    }
                    Heard::Closed(code) => panic!("closed ({code:?}) without having been asked to come back"),
                }
            }
        }
        self
    }

    /// What the node says of a handshake that it does not take.
    async fn pause(&self, error: Error) {
        match error {
            Error::Http(answer) => {
                assert_eq!(answer.status(), 503);
                let after = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                tokio::time::sleep(Duration::from_secs(after)).await;
            }
            _gone => tokio::time::sleep(RETRY_WAIT).await,
        }
    }

    pub(crate) async fn by_long_poll(mut self) -> Self {
        let client = crate::support::api::client();
        let mut after = String::new();
        while !self.is_over() {
            let url = format!("http://{}/v1/payments/{}{after}", self.address(), self.order_id);
            let answered = async {
                let answer = client.get(url).bearer_auth(&self.ticket).send().await?;
                Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
            };
            match answered.await {
                Ok((status, text)) if status == 200 => {
                    self.connections += 1;
                    self.show(&serde_json::from_str(&text).expect("JSON"));
                    after = format!("?after={}&wait=20", self.version);
                }
                Ok((status, text)) => {
                    assert_eq!(status, 503, "{text}");
                    tokio::time::sleep(RETRY_WAIT).await;
                }
                Err(_gone) => tokio::time::sleep(RETRY_WAIT).await,
            }
        }
        self
    }

    pub(crate) async fn by_event_stream(mut self) -> Self {
        let client = crate::support::api::client();
        while !self.is_over() {
            let url = format!("http://{}/v1/payments/{}/events", self.address(), self.order_id);
            let request = client.get(url).bearer_auth(&self.ticket).header("last-event-id", self.version.to_string());
            let Ok(mut stream) = request.send().await else {
                tokio::time::sleep(RETRY_WAIT).await;
                continue;
            };
            let (mut text, mut retry_ms) = (String::new(), 100);
            self.connections += usize::from(stream.status() == 200);
            while let Ok(Some(chunk)) = stream.chunk().await {
                text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
                while let Some((block, rest)) = text.split_once("\n\n") {
                    for line in block.lines() {
                        if let Some(data) = line.strip_prefix("data: ") {
                            self.show(&serde_json::from_str(data).expect("JSON"));
                        }
                        if let Some(ms) = line.strip_prefix("retry: ") {
                            retry_ms = ms.parse().expect("milliseconds");
                        }
                    }
                    text = rest.to_owned();
                }
                if self.is_over() {
                    return self;
                }
            }
            tokio::time::sleep(Duration::from_millis(retry_ms)).await;
        }
        self
    }
}

/// Publishes without a pause until it is told to stop, then the end of each order. Answers how many orders had one event
/// alone.
async fn publish(publisher: &Publisher, published: &AtomicUsize, stop: &AtomicBool) -> usize {
    let mut lone = 0;
    while !stop.load(Ordering::Acquire) {
        publisher.publish(&event(&format!("lone-{lone}"), "succeeded")).await;
        lone += 1;
        for order in 0..ORDERS {
            publisher.publish(&event(&format!("rolling-{order}"), "processing")).await;
            published.fetch_add(1, Ordering::AcqRel);
        }
    }
    for order in 0..ORDERS {
        publisher.publish(&event(&format!("rolling-{order}"), "succeeded")).await;
        published.fetch_add(1, Ordering::AcqRel);
    }
    lone
}

fn lone_orders(service: &Service) -> usize {
    let database = rusqlite::Connection::open(service.database()).unwrap();
    let count = "SELECT count(*) FROM payments WHERE order_id LIKE 'lone-%' AND status = 'succeeded'";
    database.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap() as usize
}

async fn restart(service: &mut Service, address: &Mutex<SocketAddr>, published: &AtomicUsize, stop: &AtomicBool) {
    for _ in 0..RESTARTS {
        let wanted = published.load(Ordering::Acquire) + EVENTS_BETWEEN_RESTARTS;
        wait_up_to(PATIENCE, "payments arrive", async || (published.load(Ordering::Acquire) >= wanted).then_some(()))
            .await;
        service.terminate();
        assert!(service.wait_end().await.success(), "{}", service.logs().text());
        service.start_again().await;
        *address.lock().unwrap() = service.http;
    }
    stop.store(true, Ordering::Release);
}

#[tokio::test]
async fn rolling_restarts_under_load_lose_nothing_and_take_no_page_back() {
    let started_at = Instant::now();
    let mut service = Setup::new().await.set("HTTP__DRAIN_S", 2).start().await;
    let publisher = Publisher::connect(service.vhost()).await;
    let address = Arc::new(Mutex::new(service.http));
    let (published, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (mut sockets, mut polls, mut streams) = (Vec::new(), Vec::new(), Vec::new());
    for order in 0..ORDERS {
        sockets.extend((0..PAGES_PER_ORDER).map(|_| Waiting::new(&address, order).by_websocket()));
        polls.push(Waiting::new(&address, order).by_long_poll());
        streams.push(Waiting::new(&address, order).by_event_stream());
    }
    let pages = async { tokio::join!(join_all(sockets), join_all(polls), join_all(streams)) };
    let all = async {
        tokio::join!(pages, publish(&publisher, &published, &stop), restart(&mut service, &address, &published, &stop))
    };
    let ((sockets, polls, streams), lone, ()) =
        tokio::time::timeout(DEADLINE, all).await.expect("each page has the last version");

    let reconnects: usize = sockets.iter().map(|page| page.reconnects).sum();
    assert!(reconnects >= RESTARTS, "pages were asked to come back: {reconnects}");
    assert!(polls.iter().chain(&streams).all(|page| page.connections > 1));
    let mut versions = 0;
    for order in 0..ORDERS {
        let order_id = format!("rolling-{order}");
        let stored = service.payment(&order_id, &ticket(order_id.as_str()), "").await.json;
        versions += stored["version"].as_u64().expect("a version");
        for page in sockets.iter().chain(&polls).chain(&streams).filter(|page| page.order_id == order_id) {
            assert_eq!(page.last, stored, "what the page shows is what is stored");
        }
    }
    // What the stopping node gave back may come after later events of its order, and is no version then.
    assert!(usize::try_from(versions).unwrap() <= published.load(Ordering::Acquire), "none was counted twice");
    wait_for("no event was lost", async || (lone_orders(&service) == lone).then_some(())).await;
    println!(
        "{} pages, {RESTARTS} restarts, {} events, {reconnects} reconnect frames, {} s",
        sockets.len() + polls.len() + streams.len(),
        published.load(Ordering::Acquire),
        started_at.elapsed().as_secs()
    );
}
