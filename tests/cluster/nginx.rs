//! The real nginx on loopback, with the files of `config/nginx` and nothing changed in them but addresses.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::net::Net;
use crate::support::process::{Logs, Process};
use crate::support::{repository, wait_for};

/// Nodes that the upstream of the file names.
pub(crate) const NODES: u8 = 3;

/// The status in a line of the access log, whose parts are parted by blanks.
const STATUS_AT: usize = 4;

/// For its workers to end.
const STOP: Duration = Duration::from_secs(10);

/// A running nginx, gone when this is.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Nginx {
    /// Before these nodes of the net. Nodes need not run yet.
    pub(crate) async fn start(net: Net, nodes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        write_configuration(folder.path(), net, nodes);
        let mut command = Command::new(program());
        command.arg("-p").arg(folder.path()).args(["-e", "stderr", "-c", "nginx.conf", "-g", "daemon off;"]);
        command.stdin(Stdio::null());
        let mut nginx = Self { address: net.nginx(), process: Process::start(command), _folder: folder };
        wait_for("nginx listens", async || {
            assert!(nginx.process.ended().is_none(), "nginx ended:\n{}", nginx.logs().text());
            TcpStream::connect(nginx.address).ok()
        })
        .await;
        nginx
    }

    /// How often each status was told, by the access log.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut told = BTreeMap::new();
        let of_line = |line: &String| line.split(' ').nth(STATUS_AT)?.parse().ok();
        for status in self.logs().lines().iter().filter_map(of_line) {
            *told.entry(status).or_default() += 1;
        }
        told
    }

    /// For each time that a page was told 503: what the nodes that were asked said.
    pub(crate) fn refusals(&self) -> BTreeMap<String, usize> {
        let mut said = BTreeMap::new();
        for line in self.logs().lines().iter().filter(|line| line.split(' ').nth(STATUS_AT) == Some("503")) {
            let from = line.split_once("node_status=").map_or("", |(_, rest)| rest);
            let nodes = from.split_once(" node_time=").map_or("", |(nodes, _)| nodes);
            *said.entry(nodes.to_owned()).or_default() += 1;
        }
        said
    }

    /// What it has written: the access log, and errors.
    pub(crate) fn logs(&self) -> &Logs {
        self.process.logs()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed at once, the master would leave its workers behind.
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let deadline = Instant::now() + STOP;
        while asked.as_ref().is_ok_and(ExitStatus::success)
            && self.process.ended().is_none()
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Debian's lies in a folder that is on root's PATH alone.
fn program() -> &'static Path {
    let of_debian = Path::new("/usr/sbin/nginx");
    if of_debian.exists() { of_debian } else { Path::new("nginx") }
}

/// A file of `config/nginx`.
pub(crate) fn file(name: &str) -> String {
    std::fs::read_to_string(repository().join("config/nginx").join(name)).expect("the file is there")
}

fn write_configuration(folder: &Path, net: Net, nodes: &[u8]) {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {name}_temp;")).join("\n    ");
    let include = "include payment-notifier.conf;";
    let main = replaced(&file("nginx.conf"), include, &format!("{temporary}\n    {include}"));
    std::fs::write(folder.join("nginx.conf"), main).expect("the temporary folder is writable");
    let mut site =
        replaced(&file("payment-notifier.conf"), "listen 80 reuseport", &format!("listen {} reuseport", net.nginx()));
    for number in 1..=NODES {
        let named = format!("server payment-notifier-{number}:8080 ");
        let line = if nodes.contains(&number) { format!("server {} ", net.node(number)) } else { format!("# {named}") };
        site = replaced(&site, &named, &line);
    }
    std::fs::write(folder.join("payment-notifier.conf"), site).expect("the temporary folder is writable");
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} is once in the file");
    text.replace(from, to)
}
