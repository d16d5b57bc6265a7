//! The Node bridge of benches/peers/node.

use std::process::Command;

use super::{Child, Rig, Running, Vhost};
use crate::dialect::Node;
use crate::engine::Place;

pub(super) fn start(rig: &Rig, vhost: Vhost) -> Running {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/node");
    let mut command = Command::new("node");
    command.arg("bridge.mjs").current_dir(folder).env("AMQP_URL", vhost.amqp_url()).env("NODE_ENV", "production");
    let (child, port) = Child::start(command, &rig.folder.join("node.log"), |line| {
        line.strip_prefix("listening ")?.parse::<u16>().ok()
    });
    Running {
        pids: vec![child.pid()],
        place: Some(Place { addresses: vec![([127, 0, 0, 1], port).into()], dialect: Box::new(Node), tls: None }),
        arrivals: None,
        publisher: None,
        vhost,
        children: vec![child],
        database: None,
    }
}
