//! The broker room against a real RabbitMQ, each test in a vhost of its own. Needs `AMQP_URL` and `MANAGEMENT_URL`, or
//! `.run/test/env` as `scripts/broker up .run/test` writes it.

mod consume;
mod dead_letters;
mod harness;
mod memory;
mod publish;
mod recover;
mod topology;
mod wire;
