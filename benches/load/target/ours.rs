//! The service, with its defaults: durable store, tickets, quorum queue.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Child, Rig, Running, Start, Vhost};
use crate::dialect::Ours;
use crate::engine::Place;
use crate::{socket, ticket};

pub(super) fn start(rig: &Rig, vhost: Vhost, start: &Start) -> Running {
    let database = start.database.clone().unwrap_or_else(|| {
        let folder = rig.folder.join(&vhost.name);
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("payments.db")
    });
    let mut settings = vec![("STORE__URL", format!("sqlite://{}", database.display()))];
    let tls = start.tls.then(|| {
        let (certificate, key) = (rig.folder.join("tls-cert.pem"), rig.folder.join("tls-key.pem"));
        settings.push(("HTTP__TLS_CERT_FILE", certificate.display().to_string()));
        settings.push(("HTTP__TLS_KEY_FILE", key.display().to_string()));
        socket::trusting(&certificate)
    });
    let (child, http) = launch(rig, &vhost, "ours", &settings);
    Running {
        pids: vec![child.pid()],
        place: Some(Place { addresses: vec![http], dialect: Box::new(Ours::new(&start.orders)), tls }),
        arrivals: None,
        publisher: None,
        vhost,
        children: vec![child],
        database: Some(database),
    }
}

/// One process, and where it serves pages. Its output is in a file by its name.
pub(super) fn launch(rig: &Rig, vhost: &Vhost, name: &str, settings: &[(&str, String)]) -> (Child, SocketAddr) {
    let mut command = Command::new(&rig.program);
    command.arg("serve").current_dir(&rig.folder);
    let foreign = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("PAYMENT_NOTIFIER__"));
    for name in foreign {
        command.env_remove(name);
    }
    let mut set = |key: &str, value: &str| {
        command.env(format!("PAYMENT_NOTIFIER__{key}"), value);
    };
    set("AMQP__URL", &vhost.amqp_url());
    set("HTTP__LISTEN", "127.0.0.1:0");
    set("ADMIN__LISTEN", "127.0.0.1:0");
    set("TICKETS__HS256_SECRET", ticket::SECRET);
    set("TELEMETRY__LOG_FORMAT", "json");
    settings.iter().for_each(|(key, value)| set(key, value));
    rig.settings.iter().for_each(|(key, value)| set(key, value));
    let (child, (http, admin)) = Child::start(command, &rig.folder.join(format!("{name}.log")), listening);
    wait_ready(admin);
    (child, http)
}

fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let address = |name: &str| fields[name].as_str().and_then(|text| text.parse().ok());
    (fields["message"] == "listening").then(|| Some((address("http")?, address("admin")?))).flatten()
}

fn wait_ready(admin: SocketAddr) {
    let began = Instant::now();
    let mut answer = String::new();
    while began.elapsed() < Duration::from_secs(60) {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        answer.clear();
        stream.read_to_string(&mut answer).unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the service is not ready: {answer}");
}
