//! The program itself, as an operator starts it: by its environment, in a folder of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Logs, Process};
use super::proxy::Proxy;
use super::{Vhost, ticket, wait_for};

/// The program that this build made.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_payment-notifier");

/// How a service is started. Kept by the service, so that it can be started again.
pub(crate) struct Setup {
    env: BTreeMap<String, String>,
    config: Option<PathBuf>,
    /// Not set: the one that is tested.
    program: Option<String>,
    /// A program, with its arguments, that becomes ours in the end.
    wrapper: Vec<String>,
    folder: TempDir,
    vhost: Arc<Vhost>,
}

impl Setup {
    /// A vhost and a folder of the test's own, free ports, and tickets by [`ticket::SECRET`].
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(Vhost::create().await))
    }

    /// Another node on the same vhost, with a folder of its own.
    pub(crate) fn beside(service: &Service) -> Self {
        Self::on(Arc::clone(service.vhost()))
    }

    /// On a vhost that is there already.
    pub(crate) fn on(vhost: Arc<Vhost>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = format!("sqlite://{}", folder.path().join("data/payments.db").display());
        let amqp_url = vhost.amqp_url();
        let setup = Self { env: BTreeMap::new(), config: None, program: None, wrapper: Vec::new(), folder, vhost };
        setup
            .set("AMQP__URL", amqp_url)
            .set("AMQP__RETRY_LONGEST_MS", 1000)
            .set("HTTP__LISTEN", "127.0.0.1:0")
            .set("HTTP__DRAIN_S", 1)
            .set("ADMIN__LISTEN", "127.0.0.1:0")
            .set("STORE__URL", store)
            .set("TICKETS__HS256_SECRET", ticket::SECRET)
            .set("TICKETS__API_KEY", ticket::API_KEY)
            .set("TELEMETRY__LOG_FORMAT", "json")
    }

    /// One more setting, by the last part of its variable's name: `HTTP__SILENT_S`.
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.change(key, value);
        self
    }

    /// What is set.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.env.get(&format!("PAYMENT_NOTIFIER__{key}")).map(String::as_str)
    }

    /// The same for a service that is started again.
    pub(crate) fn change(&mut self, key: &str, value: impl ToString) {
        self.env.insert(format!("PAYMENT_NOTIFIER__{key}"), value.to_string());
    }

    /// Reaches the broker through a proxy. The publishers of the test do not.
    pub(crate) fn through(self, proxy: &Proxy) -> Self {
        let url = self.vhost.amqp_url_at(&proxy.address.to_string());
        self.set("AMQP__URL", url)
    }

    /// A setting that is left to its default after all.
    pub(crate) fn unset(mut self, key: &str) -> Self {
        self.env.remove(&format!("PAYMENT_NOTIFIER__{key}"));
        self
    }

    /// A settings file, for what the environment cannot say.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        let path = self.folder.path().join("config.toml");
        std::fs::write(&path, toml).expect("the temporary folder is writable");
        self.config = Some(path);
        self
    }

    /// Writing past a file size limit is an error for the program instead of its end. The limit itself is set later,
    /// by [`Service::limit_file_bytes`].
    pub(crate) fn with_file_size_errors(self) -> Self {
        self.wrapped_by(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"])
    }

    /// Started by another program, which is given ours and its arguments and has to become it.
    pub(crate) fn wrapped_by(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Another program, such as an older version.
    #[allow(dead_code, reason = "only the tests of upgrades have another")]
    pub(crate) fn program(mut self, path: &str) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// The folder that is this service's own.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn vhost(&self) -> &Arc<Vhost> {
        &self.vhost
    }

    /// The program with these settings and some arguments, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        // Where figures are wanted and not only proofs, a release build.
        let tested = || std::env::var("PAYMENT_NOTIFIER_BIN").unwrap_or_else(|_not_set| PROGRAM.to_owned());
        let program = self.program.clone().unwrap_or_else(tested);
        let mut parts = self.wrapper.iter().map(String::as_str).chain([program.as_str()]);
        let mut command = Command::new(parts.next().unwrap_or(PROGRAM));
        command.args(parts);
        if let Some(path) = &self.config {
            command.arg("--config").arg(path);
        }
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        without_own_settings(&mut command);
        command.envs(&self.env);
        command
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) async fn start(self) -> Service {
        let service = self.start_unready().await;
        service.wait_ready().await;
        service
    }

    /// Starts it and waits no longer than until it listens.
    pub(crate) async fn start_unready(self) -> Service {
        let (process, http, admin) = launch(&self).await;
        let client = super::api::client();
        Service { process, http, admin, client, setup: self }
    }
}

/// Settings of whoever runs the tests must not reach the program under test.
pub(crate) fn without_own_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PAYMENT_NOTIFIER_") || name == OsStr::new("RUST_LOG") {
            command.env_remove(name);
        }
    }
}

async fn launch(setup: &Setup) -> (Process, SocketAddr, SocketAddr) {
    let mut process = Process::start(setup.command(&["serve"]));
    let (http, admin) = wait_for("the service says where it listens", async || {
        if let Some(status) = process.ended() {
            panic!("the service ended with {status}:\n{}", process.logs().text());
        }
        process.logs().json().iter().find_map(listening)
    })
    .await;
    (process, http, admin)
}

fn listening(line: &Value) -> Option<(SocketAddr, SocketAddr)> {
    let fields = line.get("fields").unwrap_or(line);
    let address = |name: &str| fields[name].as_str().and_then(|text| text.parse().ok());
    (fields["message"] == "listening").then(|| Some((address("http")?, address("admin")?))).flatten()
}

/// A running service. Dropping it ends the program and takes its folder and its vhost away.
pub(crate) struct Service {
    process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) setup: Setup,
}

impl Service {
    /// A service with nothing but what [`Setup::new`] sets.
    pub(crate) async fn start() -> Self {
        Setup::new().await.start().await
    }

    pub(crate) fn vhost(&self) -> &Arc<Vhost> {
        self.setup.vhost()
    }

    /// Of the program itself.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A number of `/proc/PID/status`: `Threads`, or `VmRSS` in KiB.
    #[allow(dead_code, reason = "only the fault tests measure the process")]
    pub(crate) fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the service runs");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{name} is not in the process's status"))
    }

    /// Everything that this process has written so far.
    pub(crate) fn logs(&self) -> &Logs {
        self.process.logs()
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) async fn wait_ready(&self) {
        let mut last = String::new();
        let ready = wait_for("ready", async || {
            let answer = self.admin_get("/readyz").await;
            last = format!("{} {}", answer.status, answer.text);
            (answer.status == 200).then_some(())
        });
        // The reason for not being ready is worth more than the fact.
        if tokio::time::timeout(super::DEADLINE - std::time::Duration::from_secs(1), ready).await.is_err() {
            panic!("not ready: {last}\n{}", self.logs().text());
        }
    }

    /// Waits until `/readyz` answers 503 and hands back its body.
    pub(crate) async fn wait_unready(&self) -> String {
        wait_for("not ready", async || {
            let answer = self.admin_get("/readyz").await;
            (answer.status == 503).then_some(answer.text)
        })
        .await
    }

    /// Waits until it is not ready and says all of this about it: a fault may come to light after another.
    pub(crate) async fn wait_unready_for(&self, words: &[&str]) -> String {
        wait_for(&format!("not ready, for {words:?}"), async || {
            let told = self.wait_unready().await;
            words.iter().all(|word| told.contains(word)).then_some(told)
        })
        .await
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) async fn kill9(&mut self) {
        self.process.kill9().await;
    }

    /// Whether it has ended, by itself or not.
    #[allow(dead_code, reason = "only the fault tests need it")]
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// `SIGTERM`, without waiting.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits for the end of a service that was told to stop.
    pub(crate) async fn wait_end(&mut self) -> ExitStatus {
        self.process.wait().await
    }

    /// Starts the program again on the same folder and vhost. It has other ports then: nothing keeps the old ones free.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.process.ended().is_some(), "it still runs");
        (self.process, self.http, self.admin) = launch(&self.setup).await;
        self.wait_ready().await;
    }

    /// The largest file that the program may write from now on, `None` for any: a disk that is full, and one that no
    /// longer is. Needs [`Setup::with_file_size_errors`].
    pub(crate) fn limit_file_bytes(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let limit = format!("--fsize={limit}:unlimited");
        let pid = self.pid().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(status.expect("prlimit, a part of util-linux, is installed").success());
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.setup.folder().join("data/payments.db")
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.expect("kill is installed").success(), "the service runs");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- what the service wrote:\n{}", self.logs().tail());
        }
    }
}
