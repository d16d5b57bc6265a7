//! The side of the pages: axum, WebSocket, event streams, polling, tickets.
//!
//! Every transport is thin over [`watch`], which registers first and reads second, so that nothing falls between. This
//! room never talks to RabbitMQ and never decides what a payment is.

mod admin;
mod body;
mod callbacks;
mod clients;
mod context;
mod demo;
mod error;
mod forwarded;
mod host;
mod limits;
mod mint;
mod openapi;
mod peers;
mod poll;
mod publish;
mod recent;
mod reconnect_pacing;
mod refuse;
mod request;
mod revoke;
mod router;
mod server;
mod sse;
pub mod ticket;
mod tls;
mod watch;
pub mod wire;
mod write_deadline;
mod ws;

pub use admin::{
    AdminParts, DeadLetters, LettersError, Listed, Replayed, Selection, router as admin_router, starting_router,
};
pub use context::{Context, Parts};
pub use peers::{HeldByNode, Peers};
pub use publish::{PublishError, ResultPublisher};
pub use router::router;
pub use server::{Server, ServerOptions};
pub use tls::{Tls, TlsError};
