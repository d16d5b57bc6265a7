//! The real PgBouncer before a database, in a folder and at an address of the test's own.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::process::Process;
use super::wait_for;

/// Gone when this is.
pub(crate) struct PgBouncer {
    address: String,
    process: Process,
    folder: TempDir,
    server: String,
}

impl PgBouncer {
    /// Before the database of this address, with lines for the section `[pgbouncer]`.
    pub(crate) async fn start(url: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let host = format!("127.{}.{}.1", rand::random_range(64..=254), rand::random::<u8>());
        let (address, server) = (format!("{host}:6432"), url.to_owned());
        write_configuration(folder.path(), &host, url, settings);
        let mut pooler = Self { process: launch(folder.path()), address, folder, server };
        pooler.listens().await;
        pooler
    }

    /// The database by way of this.
    pub(crate) fn url(&self) -> String {
        self.server.replace(&self.server_authority(), &self.address)
    }

    /// Ends it and starts it with other settings.
    pub(crate) async fn start_again(&mut self, settings: &str) {
        self.process.kill9().await;
        let host = self.address.split(':').next().unwrap_or_default().to_owned();
        write_configuration(self.folder.path(), &host, &self.server, settings);
        self.process = launch(self.folder.path());
        self.listens().await;
    }

    fn server_authority(&self) -> String {
        authority(&self.server).to_owned()
    }

    async fn listens(&mut self) {
        wait_for("PgBouncer listens", async || {
            assert!(self.process.ended().is_none(), "PgBouncer ended:\n{}", self.process.logs().text());
            TcpStream::connect(&self.address).ok()
        })
        .await;
    }
}

fn authority(url: &str) -> &str {
    let host = url.rsplit_once('@').expect("the address names a user").1;
    host.split('/').next().unwrap_or(host)
}

fn write_configuration(folder: &Path, host: &str, url: &str, settings: &str) {
    let (server, port) = authority(url).split_once(':').expect("the address names a port");
    let login = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).expect("the address names a user").0;
    let (user, password) = login.split_once(':').expect("the address names a password");
    let users = folder.join("users.txt");
    std::fs::write(&users, format!("\"{user}\" \"{password}\"\n")).expect("the temporary folder is writable");
    let text = format!(
        "[databases]\n* = host={server} port={port}\n[pgbouncer]\nlisten_addr = {host}\nlisten_port = 6432\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n{settings}\n",
        users.display()
    );
    std::fs::write(folder.join("pgbouncer.ini"), text).expect("the temporary folder is writable");
}

/// It refuses to run as root.
fn launch(folder: &Path) -> Process {
    let is_root = std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("\nUid:\t0\t"));
    let program = if Path::new("/usr/sbin/pgbouncer").exists() { "/usr/sbin/pgbouncer" } else { "pgbouncer" };
    let mut command = if is_root {
        let given = Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status();
        assert!(given.as_ref().is_ok_and(ExitStatus::success), "chown: {given:?}");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
        command
    } else {
        Command::new(program)
    };
    command.arg(folder.join("pgbouncer.ini")).stdin(Stdio::null());
    Process::start(command)
}
