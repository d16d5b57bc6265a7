//! Black-box tests: the real program on a real RabbitMQ, each test in a vhost of its own.
//!
//! One program for all of them, so that it is linked once and slow waits of one test pass while others work.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(clippy::large_futures, reason = "a test is not short of stack")]
#[path = "../support/mod.rs"]
mod support;

#[path = "../support/postgres_proxy.rs"]
mod postgres_proxy;
#[path = "../support/postgres.rs"]
mod postgres_server;

mod address_limits;
mod admin_auth;
mod admin_languages;
mod admin_pages;
mod alerts;
mod arrays;
mod asyncapi;
mod bad_frames;
mod bad_messages;
mod bad_requests;
mod broker_faults;
mod callbacks;
mod config_cli;
mod console;
mod dead_letters_cli;
mod dead_letters_faults;
mod demo;
mod drain;
mod examples;
mod extremes;
mod healthcheck;
mod hosts;
mod live;
mod lost_commit;
mod mappings;
mod metrics;
mod openapi;
mod order_show;
mod outbox;
mod overload;
mod pooler;
mod postgres;
mod private_files;
mod probes;
mod prometheus;
mod publish_forms;
mod race;
mod restart;
mod retention;
mod revocations;
mod rolling_restart;
mod rotation;
mod series;
mod service_manager;
mod slow_page;
mod snippets;
mod store_faults;
mod ticket_keys;
mod tickets;
mod timelines;
mod tls;
mod topology;
mod traces;
mod transports;
mod weak_keys;
