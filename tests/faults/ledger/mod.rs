//! Publishes confirmed events on many orders while faults happen, lets pages wait by every transport, and proves at the
//! end: each confirmed event is stored or in the dead letters, each page ended with the highest version, and none ever
//! went backward.

mod book;
mod load;
mod pages;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Service, ticket, wait_up_to};

use book::Book;
pub(crate) use load::{Publishing, dead_letters};

/// For what takes a broker's restart on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How much is published, and who waits for it.
pub(crate) struct Load {
    /// Publishers that run beside each other, each with a connection and orders of its own.
    pub(crate) lanes: usize,
    /// Between two events of one of them.
    pub(crate) tick: Duration,
    /// Orders that pages wait for.
    pub(crate) orders: usize,
    /// Of those, how many are waited for by a page of each transport.
    pub(crate) by_each_transport: usize,
    /// For events to reach every page, whatever has just failed.
    pub(crate) patience: Duration,
    /// Pages besides on each of the orders, all by WebSocket and in the manners of docs/PROTOCOL.md.
    pub(crate) sockets: usize,
}

impl Load {
    /// Enough to see that everything flows.
    pub(crate) const SMALL: Self = Self {
        lanes: 2,
        tick: Duration::from_millis(25),
        orders: 4,
        by_each_transport: 4,
        sockets: 0,
        patience: PATIENCE,
    };
}

/// Orders that a ticket may name.
const ORDERS_PER_TICKET: usize = 20;

/// Load, pages, and the account of both. Dropping it ends them.
pub(crate) struct Ledger {
    name: &'static str,
    patience: Duration,
    book: Arc<Book>,
    lanes: JoinSet<()>,
    /// Aborted when this is dropped.
    _pages: JoinSet<()>,
}

impl Ledger {
    /// Begins to publish to the service's vhost, and opens a page by each transport on each watched order. `name` is the
    /// row's, and starts the name of each order: at most 30 characters.
    pub(crate) async fn open(name: &'static str, service: &Service) -> Self {
        Self::open_by(name, service, vec![service.vhost().amqp_url()]).await
    }

    /// The same by several addresses of a cluster, which publishers try in turn.
    pub(crate) async fn open_by(name: &'static str, service: &Service, amqp_urls: Vec<String>) -> Self {
        Self::open_with(name, service, amqp_urls, &Load::SMALL).await
    }

    /// The same with a load of the caller's own.
    pub(crate) async fn open_with(name: &'static str, service: &Service, amqp_urls: Vec<String>, load: &Load) -> Self {
        let book = Arc::new(Book::new(service.http));
        let watched: Vec<String> = (0..load.orders).map(|n| format!("{name}-watched-{n}")).collect();
        let mut open_pages = JoinSet::new();
        for order in watched.iter().take(load.by_each_transport) {
            pages::open(&mut open_pages, &book, order);
        }
        for order in watched.iter().flat_map(|order| std::iter::repeat_n(order, load.sockets)) {
            pages::open_socket(&mut open_pages, &book, order);
        }
        let mut lanes = JoinSet::new();
        for lane in 0..load.lanes {
            let own = watched.iter().skip(lane).step_by(load.lanes).cloned().collect();
            let publishing = Publishing::new(amqp_urls.clone());
            lanes.spawn(load::lane(format!("{name}-{lane}"), own, Arc::clone(&book), publishing, load.tick));
        }
        let ledger = Self { name, patience: load.patience, book, lanes, _pages: open_pages };
        ledger.flows().await;
        ledger
    }

    /// The service listens elsewhere, as it does after each start.
    pub(crate) fn moved(&self, service: &Service) {
        self.book.set_http(service.http);
    }

    /// Waits until every page has been shown something that was published after this call.
    pub(crate) async fn flows(&self) {
        let began = Instant::now();
        wait_up_to(self.patience, &format!("{}: events flow to every page", self.name), async || {
            self.book.all_pages_shown_since(began).then_some(())
        })
        .await;
    }

    /// The longest that an event which was confirmed since was not shown to a page that waited for it, so far.
    #[allow(dead_code, reason = "only the tests of several nodes ask for one fault among many")]
    pub(crate) fn pause_ms_since(&self, since: Instant) -> u128 {
        self.book.pause_ms_since(Some(since))
    }

    /// How many events have been confirmed so far.
    pub(crate) fn confirmed(&self) -> usize {
        self.book.confirmed()
    }

    /// A message that was confirmed and is to be found in the dead letters at the end.
    pub(crate) fn is_put_aside(&self, body: &[u8]) {
        self.book.poison_confirmed(load::identity(body));
    }

    /// Ends the load, proves that nothing was lost in so many `runs` of the fault, and prints the row.
    pub(crate) async fn prove(mut self, service: &Service, runs: usize) {
        self.moved(service);
        self.book.stop();
        let name = self.name;
        let ended = async { while self.lanes.join_next().await.transpose().expect("no lane panics").is_some() {} };
        let ended = tokio::time::timeout(self.patience, ended).await;
        assert!(ended.is_ok(), "{name}: the publishers could not finish in {} s", self.patience.as_secs());

        let missing = self.missing(service).await;
        let refused = self.book.poison();
        let letters = dead_letters(service.vhost(), &refused).await;
        let put_aside: BTreeSet<&String> = missing.iter().filter(|id| letters.contains(*id)).collect();
        let lost: Vec<&String> = missing.iter().chain(&refused).filter(|id| !letters.contains(*id)).collect();
        assert!(lost.is_empty(), "{name}: {} lost, {:?} among them", lost.len(), &lost[..lost.len().min(10)]);
        assert!(put_aside.is_empty(), "{name}: good events were put aside: {put_aside:?}");
        wait_up_to(self.patience, &format!("{name}: every page has the highest version"), async || {
            self.book.all_pages_are_at_the_end().then_some(())
        })
        .await;
        let told = self.book.violations();
        assert!(told.is_empty(), "{name}: {}", told.join("\n"));
        service.wait_ready().await;
        let (events, pause_ms, gap_ms) = (self.book.confirmed(), self.book.pause_ms_since(None), self.book.gap_ms());
        row(&format!("{name} runs={runs} lost=0 pause_ms={pause_ms} gap_ms={gap_ms} confirmed={events}"));
    }

    /// The newest event of each order that the service does not hold after some patience, by its id.
    async fn missing(&self, service: &Service) -> Vec<String> {
        let expected = self.book.expected();
        let orders: Vec<&String> = expected.keys().collect();
        let deadline = Instant::now() + self.patience;
        let of_ticket = orders.chunks(ORDERS_PER_TICKET).map(async |orders| {
            let ticket = ticket(json!(orders));
            let mut missing = Vec::new();
            for order in orders {
                let newest = expected[*order];
                loop {
                    let payment = service.payment(order, &ticket, "").await.json;
                    if payment["display"]["n"] == newest && payment["status"] == "succeeded" {
                        break;
                    }
                    if Instant::now() > deadline {
                        missing.push(load::event_id(order, newest));
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            missing
        });
        futures_util::stream::iter(of_ticket).buffer_unordered(8).concat().await
    }
}

/// One line of the table, whatever the test harness does with a test's output.
pub(crate) fn row(text: &str) {
    writeln!(std::io::stdout(), "fault-row: {text}").expect("standard output is open");
}
