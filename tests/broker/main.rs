//! The broker room against a real RabbitMQ, each test in a vhost of its own. Needs `AMQP_URL` and `MANAGEMENT_URL`, or
//! `.run/test/env` as `scripts/broker up .run/test` writes it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says so by failing"
)]

#[path = "../support/amqp.rs"]
mod amqp;
mod consume;
mod dead_letters;
mod harness;
mod live;
mod memory;
mod notes;
mod outbox;
mod publish;
mod recover;
mod topology;
mod wire;
