//! Centrifugo and Mercure: a hub, and the consumer of benches/peers/consumer that feeds it. What is measured is both.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Child, Kind, Rig, Running, Start, Vhost};
use crate::dialect::{Centrifugo, Dialect, Mercure};
use crate::engine::Place;
use crate::ticket;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// For the benchmark only.
const API_KEY: &str = "bench-only-api-key";
/// Where scripts/bench has put the programs.
const PROGRAMS: &str = "BENCH_GO_PROGRAMS";

/// The programs that a hub needs.
pub(super) fn programs(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Centrifugo => &["centrifugo", "consumer"],
        Kind::Mercure => &["mercure", "consumer"],
        _ => &[],
    }
}

/// Where that program is, if it was installed.
pub(crate) fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::path::Path::new(&std::env::var_os(PROGRAMS)?).join(name);
    path.is_file().then_some(path)
}

/// Tokens, history in memory for five minutes, recovery. A private channel for each order.
pub(super) fn centrifugo(rig: &Rig, vhost: Vhost, start: &Start) -> Running {
    let address = free_address();
    let config = json!({
        "http_server": { "address": address.ip(), "port": address.port() },
        "client": { "token": { "hmac_secret_key": ticket::SECRET } },
        "http_api": { "key": API_KEY },
        "channel": {
            "namespaces": [{ "name": "orders", "history_size": 10, "history_ttl": "300s", "force_recovery": true }],
        },
        "usage_stats": { "disabled": true },
    });
    let file = rig.folder.join("centrifugo.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::new(program("centrifugo").unwrap());
    command.arg("--config").arg(file).current_dir(&rig.folder);
    let log = rig.folder.join("centrifugo.log");
    let hub = Child::start_at_once(command, &log);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < READY_WITHIN, "Centrifugo does not answer: see {}", log.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    running(rig, vhost, hub, address, ("centrifugo", API_KEY), Box::new(Centrifugo::new(&start.orders)))
}

/// Tokens, history in Bolt without an end. A private topic for each order.
pub(super) fn mercure(rig: &Rig, vhost: Vhost, start: &Start) -> Running {
    let folder = rig.folder.join(&vhost.name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(program("mercure").unwrap());
    command.env("HUB_JWT_KEY", ticket::SECRET).env("HUB_DATABASE", folder.join("mercure.db"));
    let (hub, port) = Child::start(command, &rig.folder.join("mercure.log"), |line| {
        line.strip_prefix("listening ")?.parse::<u16>().ok()
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let key = ticket::mercure(&[], &["*"]);
    running(rig, vhost, hub, address, ("mercure", &key), Box::new(Mercure::new(&start.orders)))
}

/// Starts the consumer too.
fn running(
    rig: &Rig,
    vhost: Vhost,
    hub: Child,
    address: SocketAddr,
    (name, key): (&str, &str),
    dialect: Box<dyn Dialect>,
) -> Running {
    let mut command = Command::new(program("consumer").unwrap());
    command.env("AMQP_URL", vhost.amqp_url()).env("HUB", name);
    command.env("HUB_URL", format!("http://{address}")).env("HUB_KEY", key);
    let log = rig.folder.join("consumer.log");
    let (consumer, ()) = Child::start(command, &log, |line| (line == "consuming").then_some(()));
    Running {
        pids: vec![hub.pid(), consumer.pid()],
        place: Some(Place { addresses: vec![address], dialect, tls: None }),
        arrivals: None,
        publisher: None,
        vhost,
        children: vec![consumer, hub],
        database: None,
    }
}

pub(super) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
