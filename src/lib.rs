//! Delivers payment results from RabbitMQ to the pages waiting for them.
//!
//! The program is `main.rs`; this library is the same rooms, so that tests and benchmarks can enter them one by one.

pub mod app;
pub mod bridge;
pub mod broker;
pub mod callbacks;
pub mod cli;
pub mod config;
pub mod demo;
pub mod http;
pub mod hub;
pub mod operators;
pub mod payment;
pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod tickets;
