//! RabbitMQ nodes of a test's own, which it may stop and kill.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::broker::Broker;
use crate::support::{Setup, Vhost, repository};

/// Tests with nodes of their own run one at a time: each node takes a core while it starts.
static TURN: Semaphore = Semaphore::const_new(1);

/// RabbitMQ writes the name of a new quorum queue's log some time after it has said that the queue is there. Killed before
/// that, it never finds a leader for the queue again.
pub(crate) const WRITE_ALL: &str = "[dets:sync(Table) || Table <- dets:all()].";

/// One node, or a cluster of three, gone when this is.
pub(crate) struct Node {
    folder: PathBuf,
    verbs: Verbs,
    _turn: SemaphorePermit<'static>,
}

/// What `scripts/broker` calls starting and forgetting.
struct Verbs {
    up: &'static str,
    purge: &'static str,
}

impl Node {
    /// Waits for the test's turn, then starts a node with some configuration of the Erlang kind.
    pub(crate) async fn start(advanced_config: &str) -> Self {
        Self::begin(Verbs { up: "up", purge: "purge" }, advanced_config).await
    }

    /// Three nodes: their folders are [`Node::member`].
    pub(crate) async fn start_cluster() -> Self {
        Self::begin(Verbs { up: "cluster-up", purge: "cluster-purge" }, "").await
    }

    async fn begin(verbs: Verbs, advanced_config: &str) -> Self {
        let turn = TURN.acquire().await.expect("the semaphore is never closed");
        let folder = repository().join(format!(".run/faults-{:08x}", rand::random::<u32>()));
        let node = Self { folder, verbs, _turn: turn };
        if !advanced_config.is_empty() {
            let inside = node.folder.join("rabbitmq");
            std::fs::create_dir_all(&inside).expect("the folder .run is writable");
            std::fs::write(inside.join("advanced.config"), advanced_config).expect("the folder .run is writable");
        }
        run(node.verbs.up, &node.folder, &[]).await;
        node
    }

    /// The folder of the cluster's node 1, 2 or 3.
    pub(crate) fn member(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// A vhost of the node, and the program's settings on it.
    pub(crate) async fn setup(&self) -> Setup {
        Setup::on(Arc::new(Vhost::create_on(Broker::of_folder(&self.folder)).await))
    }

    pub(crate) async fn restart(&self) {
        run("restart", &self.folder, &[]).await;
    }

    /// `kill -9`, once the names of its queues are in its files.
    pub(crate) async fn kill(&self) {
        let data = self.folder.join("rabbitmq/data");
        crate::support::wait_for("the queues' names are in the node's files", async || {
            self.ctl(&["eval", WRITE_ALL]).await;
            QUEUES.iter().all(|queue| names_hold(&data, queue)).then_some(())
        })
        .await;
        run("kill", &self.folder, &[]).await;
    }

    pub(crate) async fn up(&self) {
        run("up", &self.folder, &[]).await;
    }

    /// `rabbitmqctl`
    pub(crate) async fn ctl(&self, arguments: &[&str]) {
        run("ctl", &self.folder, arguments).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A node that the test killed is gone already, and its folder has to go all the same.
        drop(command(self.verbs.purge, &self.folder, &[]).output());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

const QUEUES: [&str; 2] = ["payment-notifier.results", "payment-notifier.dead-letters"];

/// Whether a `names.dets` below `folder` holds the name. RabbitMQ 3.10 writes that of a quorum queue about a second after the
/// queue was declared, and finds no leader for one that it does not find there.
fn names_hold(folder: &Path, queue: &str) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return names_hold(&path, queue);
        }
        let is_names = path.file_name().is_some_and(|name| name == "names.dets");
        let holds = |bytes: Vec<u8>| bytes.windows(queue.len()).any(|window| window == queue.as_bytes());
        is_names && std::fs::read(&path).is_ok_and(holds)
    })
}

/// `scripts/broker VERB FOLDER ARGUMENTS`
pub(crate) async fn run(verb: &str, folder: &Path, arguments: &[&str]) {
    let mut command = command(verb, folder, arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = output.expect("scripts/broker can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/broker {verb} {arguments:?}: {}\n{said}", output.status);
}

fn command(verb: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(repository().join("scripts/broker"));
    command.arg(verb).arg(folder).args(arguments).current_dir(repository());
    command
}
