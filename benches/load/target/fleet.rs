//! Several nodes of the service on one PostgreSQL and one queue.

use std::path::PathBuf;
use std::process::Command;

use super::{Child, Rig, Vhost, ours};
use crate::dialect::Ours;
use crate::engine::{Engine, Place};

/// What one of the nodes is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Takes events from the queue with the others.
    Consumes,
    /// Has a queue of its own that nobody publishes to: all it knows it was told by the others, or has read.
    Hears,
}

/// Nodes that run. Dropping them ends them, then the database goes, then the vhost.
pub(crate) struct Fleet {
    nodes: Vec<(Child, std::net::SocketAddr)>,
    _database: Database,
    pub(crate) vhost: Vhost,
}

impl Fleet {
    pub(crate) fn start(rig: &Rig, roles: &[Role]) -> Self {
        Self::start_with(rig, roles, &[])
    }

    /// With settings that differ from the defaults.
    pub(crate) fn start_with(rig: &Rig, roles: &[Role], others: &[(&'static str, &str)]) -> Self {
        let vhost = rig.vhost();
        let database = Database::create(&vhost.name.replace('-', "_"));
        let nodes = roles.iter().enumerate().map(|(index, role)| {
            let name = format!("node-{}", index + 1);
            let mut settings = vec![("INSTANCE", name.clone()), ("STORE__URL", database.url.clone())];
            settings.extend(others.iter().map(|(key, value)| (*key, (*value).to_owned())));
            if *role == Role::Hears {
                settings.push(("AMQP__QUEUE", format!("{name}.nothing")));
                settings.push(("AMQP__BINDING", format!("{name}.nothing")));
            }
            ours::launch(rig, &vhost, &name, &settings)
        });
        let nodes = nodes.collect();
        Self { nodes, _database: database, vhost }
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|(child, _)| child.pid()).collect()
    }

    /// Pages go to all nodes in turn, or to those of these numbers.
    pub(crate) fn engine(&self, rig: &Rig, only: Option<&[usize]>, pages: u32) -> Engine {
        let of = |index: usize| self.nodes[index].1;
        let addresses = match only {
            Some(some) => some.iter().map(|&index| of(index)).collect(),
            None => (0..self.nodes.len()).map(of).collect(),
        };
        let orders: Vec<u32> = (0..pages).collect();
        let place = Place { addresses, dialect: Box::new(Ours::new(&orders)), tls: None };
        Engine::new(Some(place), None, Some(rig.publisher(&self.vhost)))
    }
}

/// A database on the server that scripts/bench starts.
struct Database {
    name: String,
    url: String,
}

impl Database {
    fn create(name: &str) -> Self {
        let server = server_var("POSTGRES_URL");
        let (server, _database) = server.rsplit_once('/').unwrap();
        let database = Self { name: name.to_owned(), url: format!("{server}/{name}") };
        psql(&format!("CREATE DATABASE {name}"));
        database
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        psql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Whether scripts/bench has started one.
pub(crate) fn has_postgres() -> bool {
    std::env::var_os("POSTGRES_URL").is_some()
}

/// The server's process and those of its connections.
pub(crate) fn postgres_pids() -> Vec<u32> {
    let server: u32 = server_var("POSTGRES_PID").parse().unwrap();
    let children = format!("/proc/{server}/task/{server}/children");
    let children = std::fs::read_to_string(children).unwrap();
    std::iter::once(server).chain(children.split_whitespace().map(|pid| pid.parse().unwrap())).collect()
}

fn psql(sql: &str) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let done = Command::new(script).arg("psql").arg(server_var("POSTGRES_DIR")).args(["-qc", sql]).status();
    assert!(done.unwrap().success(), "{sql}");
}

fn server_var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: use scripts/bench"))
}
