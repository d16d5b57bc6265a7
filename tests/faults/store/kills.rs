//! `kill -9` at any moment, under load: each confirmed event is stored once, and no page is taken back.
//!
//! Three ways to die: with the acknowledgement of a committed event on its way, which a proxy holds back; in the midst of
//! writing the log, where strace kills at the n-th write; and after a random time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::json;

use super::flood::Flood;
use crate::ledger::{Ledger, row};
use crate::support::{Heard, Page, Proxy, Publisher, Service, Setup, event, ticket, wait_for};

const SERVICES: usize = 3;
const ROUNDS: usize = 12;

#[derive(Default)]
struct Tally {
    kills: usize,
    /// The log ends in a transaction that was not finished.
    in_commit: usize,
    /// strace was not allowed to look on, and the time of death was left to chance.
    untraced: usize,
    /// What had been committed was delivered again.
    before_ack: usize,
    confirmed: usize,
    longest_pause: Duration,
}

/// One service that is killed again and again, and the page that watches it.
struct Victim {
    name: String,
    service: Service,
    proxy: Proxy,
    /// Pages of every transport, for the first of the services.
    ledger: Option<Ledger>,
    ticket: String,
    shown: u64,
    tally: Tally,
}

impl Victim {
    async fn start(n: usize) -> Self {
        let proxy = Proxy::start();
        let setup = Setup::new().await.through(&proxy).set("STORE__BATCH_EVENTS_MAX", 32);
        let name = format!("victim-{n}");
        let ticket = ticket(json!([format!("{name}-watched"), format!("{name}-held")]));
        let service = setup.start().await;
        let ledger = if n == 0 { Some(Ledger::open("kill9-pages", &service).await) } else { None };
        Self { service, proxy, ledger, ticket, shown: 0, tally: Tally::default(), name }
    }

    /// Dies with an event stored and shown whose acknowledgement never reaches the broker.
    async fn die_before_ack(&mut self, publisher: &Publisher) {
        let held = format!("{}-held", self.name);
        let before = self.service.payment(&held, &self.ticket, "").await.json["version"].as_u64().unwrap();
        self.proxy.deafen_broker();
        publisher.publish(&event(&held, "processing")).await;
        wait_for("an event is stored and not acknowledged", async || {
            let now = self.service.payment(&held, &self.ticket, "").await.json["version"].as_u64().unwrap();
            (now > before).then_some(())
        })
        .await;
        self.service.kill9().await;
        self.proxy.cut_and_pass();
        self.come_back().await;
        let after = self.service.payment(&held, &self.ticket, "").await.json["version"].as_u64().unwrap();
        assert_eq!(after, before + 1, "{held}: it is counted once");
    }

    /// Dies at one of the next writes to the log.
    async fn die_in_commit(&mut self) {
        let write = rand::rng().random_range(1..60);
        let log = self.service.database().with_extension("db-wal");
        let mut strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-P"])
            .arg(&log)
            .args(["-p", &self.service.pid().to_string(), "-e"])
            .arg(format!("inject=write,pwrite64,fsync,fdatasync:signal=SIGKILL:when={write}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        let refused = wait_for("strace has killed, or may not", async || {
            let ended = strace.try_wait().expect("a child can be asked").is_some();
            (self.service.has_ended() || ended).then(|| !self.service.has_ended())
        })
        .await;
        if refused {
            self.tally.untraced += 1;
            return self.die_at_random().await;
        }
        strace.wait().expect("strace ends with what it traced");
        self.come_back().await;
    }

    async fn die_at_random(&mut self) {
        let micros = rand::rng().random_range(0..300_000);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.service.kill9().await;
        self.come_back().await;
    }

    /// Starts again on the same store, and compares with what the page was shown before.
    async fn come_back(&mut self) {
        self.tally.kills += 1;
        self.tally.in_commit += usize::from(ends_in_a_transaction(&self.service.database()));
        let began = Instant::now();
        self.service.start_again().await;
        self.tally.longest_pause = self.tally.longest_pause.max(began.elapsed());
        if let Some(ledger) = &self.ledger {
            ledger.moved(&self.service);
        }
        let watched = format!("{}-watched", self.name);
        let stored = self.service.payment(&watched, &self.ticket, "").await.json;
        assert!(stored["version"].as_u64() >= Some(self.shown), "{stored} after version {} was shown", self.shown);
        let again = wait_for("what was in flight is delivered again", async || {
            let applied = self.service.metric("payment_notifier_events_total", "outcome=\"applied\"").await;
            let again = self.service.metric("payment_notifier_events_total", "outcome=\"duplicate\"").await;
            (applied > 0.0).then_some(again)
        })
        .await;
        self.tally.before_ack += usize::from(again > 0.0);
    }

    /// What the page is shown while the service lives; ends with it.
    async fn watch(service: (std::net::SocketAddr, &str), order: &str, mut shown: u64) -> u64 {
        let Ok((mut page, _)) = Page::open_at(service.0, "/v1/ws", &[]).await else { return shown };
        page.flood(&json!({ "type": "subscribe", "ticket": service.1 }), 1).await;
        while let Heard::Frame(frame) = page.hear().await {
            if frame["payment"]["order_id"] == order {
                let version = frame["payment"]["version"].as_u64().unwrap();
                assert!(version >= shown, "version {version} after {shown}");
                shown = version;
            }
        }
        shown
    }

    async fn live_and_die(mut self) -> Tally {
        let flood = Flood::start(&self.name, Arc::clone(self.service.vhost())).await;
        let publisher = Publisher::connect(self.service.vhost()).await;
        let watched = format!("{}-watched", self.name);
        for round in 0..ROUNDS * 3 {
            let (address, ticket, shown) = (self.service.http, self.ticket.clone(), self.shown);
            let watching = Self::watch((address, &ticket), &watched, shown);
            let dying = async {
                match round % 3 {
                    0 => self.die_before_ack(&publisher).await,
                    1 => self.die_in_commit().await,
                    _ => self.die_at_random().await,
                }
            };
            let (shown, ()) = tokio::join!(watching, dying);
            self.shown = shown;
        }
        let confirmed = flood.stop().await;
        self.tally.confirmed = confirmed.events();
        publisher.publish(&event(&watched, "succeeded")).await;
        self.service.payment_with_status(&watched, &self.ticket, "succeeded").await;
        confirmed.prove(&self.service.database()).await;
        if let Some(ledger) = self.ledger {
            ledger.prove(&self.service, self.tally.kills).await;
        } else {
            let letters = self.service.vhost().get("queues", "payment-notifier.dead-letters").await;
            assert_eq!(letters["messages"].as_u64().unwrap_or(0), 0, "{letters}");
        }
        self.tally
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_between_commit_and_ack_in_mid_commit_and_anywhere() {
    let victims = async |n| Victim::start(n).await.live_and_die().await;
    let (a, b, c) = tokio::join!(victims(0), victims(1), victims(2));
    let all = [a, b, c];
    let sum = |of: fn(&Tally) -> usize| all.iter().map(of).sum::<usize>();
    let (kills, in_commit, before_ack) = (sum(|t| t.kills), sum(|t| t.in_commit), sum(|t| t.before_ack));
    let pause_ms = all.iter().map(|t| t.longest_pause).max().unwrap_or_default().as_millis();
    let confirmed = sum(|t| t.confirmed);
    row(&format!(
        "kill9-service runs={kills} lost=0 pause_ms={pause_ms} between_commit_and_ack={before_ack} \
         in_mid_commit={in_commit} confirmed={confirmed}"
    ));
    assert_eq!(kills, SERVICES * ROUNDS * 3);
    assert!(before_ack >= SERVICES * ROUNDS, "the proxy held back each acknowledgement: {before_ack}");
    match sum(|t| t.untraced) {
        0 => assert!(in_commit > 0, "strace killed in the midst of a commit"),
        untraced => {
            row(&format!("kill9-service at a chosen write left out {untraced} times: strace may not attach here"))
        }
    }
}

/// True if the log's last frame does not end a transaction (<https://sqlite.org/fileformat2.html#walformat>).
fn ends_in_a_transaction(database: &Path) -> bool {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let log = std::fs::read(database.with_extension("db-wal")).unwrap_or_default();
    let Some(salt) = log.get(16..24) else { return false };
    let frames = log[HEADER.min(log.len())..].chunks(FRAME).take_while(|frame| frame.get(8..16) == Some(salt));
    frames.last().is_some_and(|last| last.len() < FRAME || last[4..8] == [0; 4])
}
