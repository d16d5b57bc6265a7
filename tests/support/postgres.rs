//! The PostgreSQL that tests use, a database of it for each test, and servers of a test's own. The store's own tests use
//! this too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::NoTls;

/// A server of the test's own may stand still or be gone.
const DROP_LIMIT: Duration = Duration::from_secs(20);

/// Databases and servers of this process so far.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A database of the test's own, which goes with it.
pub(crate) struct Database {
    server: String,
    name: String,
}

#[allow(dead_code, reason = "who includes this file needs a part of it")]
impl Database {
    /// On the server of all tests.
    pub(crate) async fn create() -> Self {
        Self::create_on(server_url()).await
    }

    /// On a server by its address.
    pub(crate) async fn create_on(server: String) -> Self {
        let name = format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let database = Self { server, name };
        execute(&database.server, &format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        let (server, _database) = self.server.rsplit_once('/').expect("the address names a database");
        format!("{server}/{}", self.name)
    }

    /// Runs SQL in it.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url(), sql).await;
    }

    /// Runs SQL in the server's own database.
    pub(crate) async fn execute_beside(&self, sql: &str) {
        execute(&self.server, sql).await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A test's own runtime may be ending, or this thread be one of its threads.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            drop(runtime.block_on(async { tokio::time::timeout(DROP_LIMIT, try_execute(&server, &sql)).await }));
        });
        drop(dropped.join());
    }
}

/// A server of the test's own, which it may kill.
pub(crate) struct OwnServer {
    folder: PathBuf,
    port_from: u32,
}

#[allow(dead_code, reason = "who includes this file needs a part of it")]
impl OwnServer {
    /// Makes and starts one.
    pub(crate) async fn start() -> Self {
        let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = repository().join(".run/own").join(format!("postgres-{process}-{number}"));
        // Ports that no other server begins with: while this one is dead, nobody must take its port.
        let port_from = 16_000 + process % 150 * 100 + u32::try_from(number).unwrap_or(0) % 10 * 10;
        let server = Self { folder, port_from };
        server.script("up").await;
        server
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        setting(&self.folder.join("env"), "POSTGRES_URL").expect("the server is up")
    }

    /// `scripts/postgres VERB`: up, down, kill, restart.
    pub(crate) async fn script(&self, verb: &'static str) {
        let (folder, port_from) = (self.folder.clone(), self.port_from);
        let run = tokio::task::spawn_blocking(move || run(verb, &folder, port_from));
        let output = run.await.expect("running a script does not panic");
        assert!(output.status.success(), "scripts/postgres {verb}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// All its processes stop where they are (`STOP`), or go on (`CONT`).
    pub(crate) fn signal(&self, signal: &str) {
        let pid = setting(&self.folder.join("env"), "POSTGRES_PID").expect("the server is up");
        // The first makes the others: once it stands still there are no more. One of them may just be ending.
        assert!(kill(signal, &[&pid]), "the server is there");
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the server runs");
        for child in children.split_whitespace() {
            kill(signal, &[child]);
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(run("purge", &self.folder, self.port_from));
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn kill(signal: &str, pids: &[&str]) -> bool {
    let status = Command::new("kill").arg(format!("-{signal}")).args(pids).status();
    status.expect("kill is installed").success()
}

fn run(verb: &str, folder: &Path, port_from: u32) -> std::process::Output {
    let mut command = Command::new(repository().join("scripts/postgres"));
    let output = command.arg(verb).arg(folder).env("POSTGRES_PORT_FROM", port_from.to_string()).output();
    output.expect("scripts/postgres can be run")
}

/// From `POSTGRES_URL`, else from the file that `scripts/postgres up .run/postgres` writes.
fn server_url() -> String {
    let set = std::env::var("POSTGRES_URL").ok().filter(|url| !url.is_empty());
    let url = set.or_else(|| setting(&repository().join(".run/postgres/env"), "POSTGRES_URL"));
    url.expect("no PostgreSQL to test with: run `scripts/postgres up .run/postgres`, or set POSTGRES_URL")
}

fn setting(file: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.to_owned())
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn execute(url: &str, sql: &str) {
    try_execute(url, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

#[allow(clippy::disallowed_methods, reason = "a connection of the test's own, which ends with it")]
async fn try_execute(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let serving = tokio::spawn(connection);
    client.batch_execute(sql).await?;
    drop(client);
    drop(serving.await);
    Ok(())
}
