//! What any listener needs: accepting and refusing connections, TLS, bodies, limits by client address, and problem
//! documents. A leaf over axum and hyper: knows neither tickets nor payments.

mod address_limit;
mod authorization;
mod body;
mod bucket;
mod clients;
mod forwarded;
mod handshakes;
mod host;
mod problem;
mod reconnect_pacing;
mod refuse;
mod server;
mod tls;
mod tls_stream;
mod write_deadline;

pub(crate) use authorization::bearer;
pub(crate) use body::{BodyLimits, whole_body};
pub(crate) use bucket::Bucket;
pub(crate) use clients::{Client, admit, admit_options};
pub(crate) use problem::{Problem, ProblemDocument, RefusedWith, WEBSOCKET_VERSION};
pub(crate) use reconnect_pacing::drain_delay;
pub(crate) use server::OperatorAddress;

pub use clients::Clients;
pub use reconnect_pacing::ReconnectPacing;
pub use server::{Server, ServerOptions};
pub use tls::{Tls, TlsError};
