//! The side of the pages: WebSocket, event streams, polling, tickets for back ends, payment providers' notifications.
//!
//! Every transport is thin over [`watch`], which registers first and reads second, so that nothing falls between. This
//! room never talks to RabbitMQ and never decides what a payment is.

mod acks;
mod callbacks;
mod context;
mod mint;
mod openapi;
mod peers;
mod poll;
mod problems;
mod request;
mod router;
mod seen_recently;
mod sse;
mod ticket_limit;
mod watch;
mod wire;
mod ws;

pub use context::{Context, PageServices, Publish, Shared, TellPeers};
pub use peers::HeldByNode;
pub use router::router;
