//! What each fault costs: the real program under load, a real RabbitMQ, and a ledger that proves afterwards that nothing
//! was lost and that no page went backward. `docs/RELIABILITY.md` lists the promises and the test of each.
//!
//! Each row prints one line, `fault-row: …`, past the capture of the test harness.

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

#[path = "../support/postgres.rs"]
mod postgres_server;

mod broker;
mod document;
mod ledger;
mod pages;
mod powerloss;
mod rfc6455;
mod store;
