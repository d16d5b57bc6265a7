//! A PostgreSQL server whose data lies on the disk.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::{Disk, is_root};
use crate::support::process::Process;
use crate::support::{wait_for, wait_up_to};

const USER: &str = "payment_notifier";
/// Folder of the data on the disk.
const FOLDER: &str = "postgres";
/// Small segments and few of them: checkpoints come often, and with them everything that they rely on.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=50",
    "shared_buffers=16MB",
    "min_wal_size=2MB",
    "max_wal_size=4MB",
    // In the data folder: what a killed server leaves elsewhere would stay there.
    "dynamic_shared_memory_type=mmap",
    "autovacuum_naptime=5s",
];
/// For recovery on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Made once, started and killed as often as it must.
pub(crate) struct PostgresOnDisk {
    data: PathBuf,
    programs: PathBuf,
    port: u16,
    settings: Vec<String>,
    running: Option<Process>,
}

impl PostgresOnDisk {
    /// Makes the data and syncs the disk. Not set, with the reason, where there is no server to run.
    pub(crate) fn create(disk: &Disk, settings: &[&str]) -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL is not installed")?;
        let data = disk.path().join(FOLDER);
        std::fs::create_dir(&data).expect("the disk is mounted");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let server = Self { data, programs, port, settings, running: None };
        give_to_server(&server.data)?;
        let mut initdb = server.command("initdb");
        initdb.args(["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-sync"]);
        let made = initdb.args(["--wal-segsize=1", "-D"]).arg(&server.data).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        disk.sync_all();
        Ok(server)
    }

    /// For `store.url`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Begins to start.
    pub(crate) fn start(&mut self) {
        // Where the power fails while a server makes its lock file, one without its number is left. PostgreSQL refuses it
        // by name and says that it has to be removed.
        let lock = self.data.join("postmaster.pid");
        if std::fs::read(&lock).is_ok_and(|lock| !lock.first().is_some_and(u8::is_ascii_digit)) {
            std::fs::remove_file(&lock).expect("the disk is mounted");
        }
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data).args(["-p", &self.port.to_string()]);
        command.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        self.running = Some(Process::start(command));
    }

    /// Waits until it takes connections; false where it has ended instead.
    pub(crate) async fn is_up(&mut self) -> bool {
        let mut running = self.running.take().expect("it was started");
        let up = wait_up_to(START, "PostgreSQL answers or has ended", async || {
            let said = running.logs().text().contains("ready to accept connections");
            let ended = running.ended().is_some();
            (said || ended).then_some(said && !ended)
        })
        .await;
        self.running = Some(running);
        up
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.running.as_mut().expect("it was started")
    }

    /// What it wrote since it was started.
    pub(crate) fn logs(&self) -> String {
        self.running.as_ref().map(|running| running.logs().tail()).unwrap_or_default()
    }

    #[allow(clippy::disallowed_methods, reason = "a connection of the test's own, which ends with it")]
    pub(crate) async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.expect("it is up");
        drop(tokio::spawn(connection));
        client
    }

    /// All its processes at once, as a loss of power ends them.
    pub(crate) async fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        let pid = running.id().to_string();
        // It makes the others: once it stands still there are no more.
        signal("STOP", &[&pid]);
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children: Vec<&str> = children.split_whitespace().collect();
        signal("KILL", &children);
        running.kill9().await;
        wait_for("every process of the server is gone", async || children.iter().all(|pid| is_gone(pid)).then_some(()))
            .await;
    }

    /// As the package's user, since the server refuses to run as root, and with System V shared memory of its own, which goes
    /// with it.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("unshare");
            command.args(["--ipc", "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("LC_ALL", "C").current_dir("/");
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("PG")).for_each(
            |name| {
                command.env_remove(name);
            },
        );
        command
    }
}

impl Drop for PostgresOnDisk {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            let pid = running.id().to_string();
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            signal("KILL", &children.split_whitespace().chain([pid.as_str()]).collect::<Vec<_>>());
        }
    }
}

/// Gives the folder to the server's user.
fn give_to_server(data: &Path) -> Result<(), String> {
    if !is_root() {
        return Ok(());
    }
    let given = Command::new("chown").arg("postgres:postgres").arg(data).status();
    let given = given.is_ok_and(|status| status.success());
    given.then_some(()).ok_or_else(|| "there is no user postgres".to_owned())
}

/// Where the newest server is.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path().join("bin"));
    versions.filter(|folder| folder.join("initdb").exists()).max()
}

fn signal(name: &str, pids: &[&str]) {
    if !pids.is_empty() {
        // One of them may have ended.
        drop(Command::new("kill").arg(format!("-{name}")).args(pids).stderr(Stdio::null()).status());
    }
}

/// A zombie holds nothing open.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['Z', 'X']))
}
