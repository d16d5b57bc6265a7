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

mod edge;
mod kubernetes;
mod net;
mod nginx;
mod settings;
