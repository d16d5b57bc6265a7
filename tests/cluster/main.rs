//! Several nodes, and what stands before them: the real nginx with the configuration of `config/nginx`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(clippy::large_futures, reason = "a test is not short of stack")]

#[allow(dead_code, unused_imports, reason = "shared with the other test programs, and none of them needs all of it")]
#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "shared with the fault tests")]
#[path = "../faults/broker/node.rs"]
mod broker_node;
#[allow(dead_code, reason = "shared with the fault tests")]
#[path = "../faults/ledger/mod.rs"]
mod ledger;
#[path = "../support/postgres.rs"]
mod postgres_server;

mod edge;
mod fleet;
mod kubernetes;
mod net;
mod nginx;
mod same_state;
mod servers;
mod settings;
mod sql;
mod storms;
mod upgrade;
